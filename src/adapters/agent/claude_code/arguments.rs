//! The user's own arguments: which of them would break what ao promises.

use crate::ports::agent::AgentError;

/// Options that ao gives itself, or that take the agent away from the terminal and the hooks it is watched by; each with
/// what to do instead.
const TAKEN: [(&[&str], &str); 6] = [
    (
        &["--permission-mode", "--dangerously-skip-permissions", "--allow-dangerously-skip-permissions"],
        "use ao's --permission-mode",
    ),
    (&["--settings"], "ao's hooks stand there; put settings into .claude/settings.json"),
    (
        &["--session-id", "--resume", "-r", "--continue", "-c", "--fork-session", "--from-pr"],
        "ao chooses the conversation of each session",
    ),
    (&["--worktree", "-w", "--tmux"], "ao makes the worktree and the terminal"),
    (&["--print", "-p", "--bg", "--background"], "ao runs it interactively, in a terminal it can show"),
    (&["--bare", "--safe-mode"], "it switches off the hooks by which ao sees what the agent does"),
];

/// Refuses arguments that ao gives itself.
pub(super) fn check(args: &[String]) -> Result<(), AgentError> {
    // Everything after `--` is text.
    for arg in args.iter().take_while(|arg| *arg != "--") {
        let name = arg.split_once('=').map_or(arg.as_str(), |(name, _)| name);
        if let Some((_, instead)) = TAKEN.iter().find(|(names, _)| names.contains(&name)) {
            return Err(AgentError::Refused(format!("claude-code cannot be given {name}: {instead}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(args: &[&str]) -> Result<(), AgentError> {
        check(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_that_ao_gives_itself_are_refused_with_what_to_do() {
        for args in [&["--model", "opus", "--settings=x.json"][..], &["-p"], &["--resume", "x"]] {
            assert!(matches!(checked(args), Err(AgentError::Refused(_))), "{args:?}");
        }
    }

    #[test]
    fn every_other_argument_passes() {
        checked(&["--model", "opus", "--add-dir", "/x", "--", "--settings"]).unwrap();
    }
}
