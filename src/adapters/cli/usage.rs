//! What a wrong command line is told besides the grammar's own words: what a newcomer most likely meant.

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::args::Cli;

/// What to do next, where that is known.
#[must_use]
pub fn hint(error: &Error) -> Option<&'static str> {
    let about = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        Some(ContextValue::StyledStr(text)) => text.to_string(),
        _ => String::new(),
    };
    let argument = about(ContextKind::InvalidArg);
    match error.kind() {
        // A task without quotes, or a command without the dashes; no option that is misspelt.
        ErrorKind::UnknownArgument
            if about(ContextKind::Usage).contains("ao spawn ") && error.get(ContextKind::SuggestedArg).is_none() =>
        {
            Some(
                "put the task in quotes, and what belongs to the agent behind --, for example: ao spawn --agent command -- make -k",
            )
        }
        ErrorKind::MissingRequiredArgument if argument.contains("--for") => {
            Some("say what to wait for: --for idle, --for exit or --for blocked")
        }
        ErrorKind::ValueValidation | ErrorKind::MissingRequiredArgument if argument.contains("<SESSION>") => {
            Some("see which sessions there are with: ao ls -a")
        }
        _ => None,
    }
}

/// Takes back that a command may have been meant which is for ao itself.
pub fn suggest_nothing_hidden(error: &mut Error) {
    let suggested = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::String(name)) => vec![name.clone()],
        Some(ContextValue::Strings(names)) => names.clone(),
        _ => return,
    };
    let command = Cli::command();
    let is_hidden = |name: &String| command.find_subcommand(name).is_some_and(clap::Command::is_hide_set);
    let known: Vec<String> = suggested.into_iter().filter(|name| !is_hidden(name)).collect();
    if known.is_empty() {
        error.remove(ContextKind::SuggestedSubcommand);
    } else {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(known));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn hint(args: &str) -> Option<&'static str> {
        let args = args.split(' ');
        super::hint(&Cli::try_parse_from(args).err()?)
    }

    #[test]
    fn no_command_of_aos_own_is_suggested() {
        let said = |word: &str| {
            let mut error = Cli::try_parse_from(["ao", word]).unwrap_err();
            super::suggest_nothing_hidden(&mut error);
            error.to_string()
        };
        assert!(!said("foo").contains("similar") && !said("hok").contains("'hook'"), "{}", said("hok"));
        assert!(said("spwan").contains("'spawn'"), "{}", said("spwan"));
    }

    #[test]
    fn what_a_newcomer_gets_wrong_is_told() {
        for (args, words) in [
            ("ao spawn fix the bug", "in quotes"),
            ("ao spawn --agent command make -k", "behind --"),
            ("ao wait app-1", "--for idle"),
            ("ao kill 3", "ao ls -a"),
            ("ao wait app --for idle", "ao ls -a"),
            ("ao show", "ao ls -a"),
        ] {
            assert!(hint(args).is_some_and(|hint| hint.contains(words)), "{args}: {:?}", hint(args));
        }
        for args in
            ["ao nonsense", "ao ls --nonsense", "ao --help", "ao spawn --kind nonsense", "ao spawn --agnet command x"]
        {
            assert_eq!(hint(args), None, "{args}");
        }
    }
}
