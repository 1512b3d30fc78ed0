//! What an agent is taught of the command line. Made from the grammar, so that it cannot tell of what is not there.

use clap::{Command, CommandFactory};

use super::args::Cli;

/// Commands that an agent has no use for: they are about the machine, or for persons, at a terminal or by what they accept.
const LEFT_OUT: [&str; 12] =
    ["daemon", "start", "stop", "status", "doctor", "completion", "man", "version", "mcp", "attach", "token", "trust"];

/// The commands, each with what it does and how it is called, and examples of those that have some.
#[must_use]
pub fn commands() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut text = String::new();
    for command in cli.get_subcommands() {
        add(&mut text, command);
    }
    text
}

fn is_taught(command: &Command) -> bool {
    !command.is_hide_set() && !LEFT_OUT.contains(&command.get_name()) && command.get_name() != "help"
}

fn add(text: &mut String, command: &Command) {
    if !is_taught(command) {
        return;
    }
    if command.has_subcommands() {
        for inner in command.get_subcommands() {
            add(text, inner);
        }
        return;
    }
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    text.push_str(&format!("- {}: {about}\n", usage.trim_start_matches("Usage: ").replace('\n', " ")));
    for option in command.get_arguments().filter(|argument| !argument.is_hide_set() && !argument.is_positional()) {
        let (Some(long), Some(help)) = (option.get_long(), option.get_help()) else { continue };
        if !["help", "data-dir"].contains(&long) {
            text.push_str(&format!("    --{long}: {help}\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_teaches_what_there_is_and_nothing_of_the_machine() {
        let text = commands();
        for taught in ["- ao spawn", "--prompt-file: ", "- ao send", "- ao wait", "- ao project ls", "--queue: "] {
            assert!(text.contains(taught), "{taught} is not in {text}");
        }
        for left_out in
            ["ao hook", "ao doctor", "ao daemon", "ao mcp", "ao attach", "ao token", "project trust", "\u{1b}"]
        {
            assert!(!text.contains(left_out), "{left_out} is in {text}");
        }
    }
}
