use clap::CommandFactory;

use super::*;
use crate::adapters::cli::after_help;

#[test]
fn the_grammar_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn times_have_units() {
    use std::time::Duration;
    assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
    assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
    assert!(parse_duration("5 minutes").is_err());
    assert!(parse_duration("").is_err());
    assert!(parse_duration("99999999999999999h").is_err());
}

#[test]
fn a_wait_names_its_sessions_and_a_state() {
    let cli = Cli::parse_from(["ao", "wait", "app-1", "app-2", "--for", "blocked", "--timeout", "8h"]);
    let Command::Wait(args) = cli.command else { panic!("not a wait") };
    assert_eq!(args.sessions.len(), 2);
    assert_eq!(
        (WaitFor::from(args.state), args.timeout),
        (WaitFor::Blocked, Some(std::time::Duration::from_secs(28_800)))
    );
    for wrong in
        [&["ao", "wait", "--for", "idle"][..], &["ao", "wait", "app-1"], &["ao", "wait", "app-1", "--for", "ready"]]
    {
        assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_follows_two_dashes_is_the_agents() {
    let cli = Cli::parse_from(["ao", "spawn", "--agent", "command", "--", "sh", "-c", "exit 3"]);
    let Command::Spawn(args) = cli.command else { panic!("not a spawn") };
    assert_eq!(args.agent_args, ["sh", "-c", "exit 3"]);
    assert_eq!(args.prompt, None);
}

/// Every command that a person is shown, with how it is called.
fn commands() -> Vec<(Vec<String>, clap::Command)> {
    fn add(found: &mut Vec<(Vec<String>, clap::Command)>, command: &clap::Command, before: &[String]) {
        let path = [before, &[command.get_name().to_owned()]].concat();
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
            add(found, inner, &path);
        }
        found.push((path, command.clone()));
    }
    let mut found = Vec::new();
    let mut ao = Cli::command();
    ao.build();
    add(&mut found, &ao, &[]);
    found
}

/// The calls of ao in an example, each as words: what stands behind two blanks is a remark.
fn calls(example: &str) -> Vec<Vec<String>> {
    let example = example.split("  ").next().unwrap_or_default();
    // What the shell puts in the place of a call is inside of it.
    let inside = example.split_once("$(").and_then(|(_, rest)| rest.split_once(')'));
    let example = inside.map_or(example, |(call, _)| call);
    let example =
        if example.contains("<(") { example.replace("<(", "< ").replace(')', "") } else { example.to_owned() };
    let words = shell_words::split(&example).unwrap_or_else(|error| panic!("{example}: {error}"));
    let is_between = |word: &String| ["|", "&&", "<", ">"].contains(&word.as_str());
    let call = |words: &[String]| words.iter().rposition(|word| word == "ao").map(|from| words[from..].to_vec());
    words.split(is_between).filter_map(call).collect()
}

#[test]
fn every_command_has_an_example_and_every_example_is_accepted() {
    for (path, command) in commands() {
        let examples = after_help::examples(&command);
        assert!(!examples.is_empty(), "the help of {path:?} has no \"Examples:\"");
        let called: Vec<Vec<String>> = examples
            .iter()
            .flat_map(|example| {
                let calls = calls(example);
                assert!(!calls.is_empty(), "{path:?}: nothing of ao is called in {example:?}");
                calls
            })
            .collect();
        for call in &called {
            Cli::try_parse_from(call).unwrap_or_else(|error| panic!("{path:?}, {call:?}: {error}"));
        }
        assert!(called.iter().any(|call| call.starts_with(&path)), "no example of {path:?} calls it: {called:?}");
    }
}

#[test]
fn examples_fit_a_terminal_of_80_columns_and_the_rest_is_wrapped_for_it() {
    for (path, command) in commands() {
        for note in after_help::notes(&command) {
            assert!(!note.contains('\n'), "{path:?}: a line ends where the source does: {note}");
        }
        for line in after_help::examples(&command) {
            assert!(line.chars().count() + 2 <= 80, "{path:?}: it would be wrapped: {line}");
        }
    }
}
