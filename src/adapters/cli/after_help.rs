//! What stands below the options in a command's help: examples, and what else there is to say.

use clap::Command;

/// The line that the examples follow, each indented.
const HEADING: &str = "Examples:";

/// The examples as they are printed, without their indentation. A remark follows after two blanks or more.
pub(super) fn examples(command: &Command) -> Vec<String> {
    let text = text(command);
    let Some(rest) = text.strip_prefix(HEADING) else { return Vec::new() };
    rest.lines().skip(1).map_while(|line| line.strip_prefix("  ")).map(str::to_owned).collect()
}

/// The paragraphs behind the examples, as they are printed.
pub(super) fn notes(command: &Command) -> Vec<String> {
    let text = text(command);
    let is_example = |line: &&str| *line == HEADING || line.starts_with("  ");
    let rest: Vec<&str> = text.lines().skip_while(is_example).collect();
    rest.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n")).collect()
}

fn text(command: &Command) -> String {
    command.get_after_help().map(ToString::to_string).unwrap_or_default()
}
