//! `ao completion`.

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::super::args::Cli;
use super::super::error::CliError;
use super::super::ui;

pub(in super::super) fn run(shell: Shell) -> Result<(), CliError> {
    ui::data(&String::from_utf8_lossy(&script(shell)))
}

fn script(shell: Shell) -> Vec<u8> {
    // What is hidden is for programs, and no command can be taken out of a grammar.
    let whole = Cli::command();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut grammar = Command::new("ao").args(whole.get_arguments().cloned()).subcommands(shown);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut grammar, "ao", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_use_is_offered_and_nothing_else() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell)).unwrap();
            for offered in ["spawn", "project", "attach", "--data-dir", "bypass-permissions", "zellij", "orchestrator"]
            {
                assert!(script.contains(offered.trim_start_matches('-')), "{shell} does not offer {offered}");
            }
            for hidden in ["holder", "supervise", "setup-shell"] {
                assert!(!script.contains(hidden), "{shell} offers {hidden}");
            }
        }
    }
}
