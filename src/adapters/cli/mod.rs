//! The command line, inbound. One file a command under `commands`; each asks the daemon over its socket.
//!
//! stdout carries data, stderr carries talk. Exit codes are in [`error::ExitCode`].

mod after_help;
mod ago;
pub mod args;
pub mod client;
pub mod colours;
mod commands;
pub mod config;
pub mod context;
pub mod embedder;
pub mod error;
mod event_stream;
pub mod guide;
mod happened;
pub mod hook;
mod keyboard;
mod live;
pub mod taken;
mod terminal_stream;
mod tty;
mod ui;
pub mod usage;
pub(in crate::adapters) mod waiting;

use args::{Command, ProjectCommand};
use context::Context;
use error::CliError;

/// Runs a command that talks to a daemon. Those that are one (`daemon`) or need none (`hook`, `doctor`, …) are the
/// composition root's.
///
/// # Errors
/// [`CliError`] with its exit code; [`error::report`] shows it.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    run_command(command, context).await.map_err(|error| embedder::explain(error, context))
}

async fn run_command(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Spawn(args) => commands::spawn::run(args, context).await,
        Command::Ls(args) => commands::ls::run(&args, context).await,
        Command::Show(args) => commands::show::run(&args, context).await,
        Command::Output(args) => commands::output::run(&args, context).await,
        Command::Attach(args) => commands::attach::run(&args, context).await,
        Command::Send(args) => commands::send::run(&args, context).await,
        Command::Events(args) => commands::events::run(&args, context).await,
        Command::Messages(args) => commands::messages::run(&args, context).await,
        Command::Approve(args) => commands::approve::approve(args, context).await,
        Command::Deny(args) => commands::approve::deny(args, context).await,
        Command::Wait(args) => commands::wait::run(&args, context).await,
        Command::Kill(args) => commands::kill::run(&args, context).await,
        Command::Restore(args) => commands::restore::run(&args, context).await,
        Command::Cleanup(args) => commands::cleanup::run(&args, context).await,
        Command::Project { command } => match command {
            ProjectCommand::Add(args) => commands::project::add(&args, context).await,
            ProjectCommand::Ls(args) => commands::project::ls(&args, context).await,
            ProjectCommand::Show(args) => commands::project::show(&args, context).await,
            ProjectCommand::Trust(args) => commands::project::trust(&args, context).await,
            ProjectCommand::Rm(args) => commands::project::rm(&args, context).await,
        },
        Command::Start => commands::start::run(context).await,
        Command::Stop => commands::stop::run(context).await,
        Command::Status(args) => commands::status::run(&args, context).await,
        Command::Token(args) => commands::token::run(&args, context).await,
        Command::Version(_) | Command::Completion { .. } | Command::Man(_) => run_alone(command),
        Command::Daemon(_)
        | Command::Doctor(_)
        | Command::Hook(_)
        | Command::Mcp(_)
        | Command::Holder(_)
        | Command::Supervise(_)
        | Command::SetupShell(_) => Err(CliError::usage("this command is not the client's".to_owned())),
    }
}

/// Runs a command that tells of this program alone: it needs no daemon, no data directory and no home.
///
/// # Errors
/// [`CliError`] with its exit code; [`error::report`] shows it.
pub fn run_alone(command: Command) -> Result<(), CliError> {
    match command {
        Command::Version(args) => commands::version::run(&args),
        Command::Completion { shell } => commands::completion::run(shell),
        Command::Man(args) => commands::man::run(&args),
        _ => Err(CliError::usage("this command needs more than this program".to_owned())),
    }
}

pub use commands::doctor;
// What `ao mcp` does as the commands do.
pub(in crate::adapters) use commands::project::named_or_here;
pub(in crate::adapters) use commands::send::{post as post_message, until_answered};
pub(in crate::adapters) use commands::start::ensure_running;
