//! `ao completion`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::super::args::Cli;
use super::super::error::CliError;
use super::super::ui;

pub(in super::super) fn run(shell: Shell) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ao", &mut script);
    ui::data(&String::from_utf8_lossy(&script))
}
