//! The one composition root.

use std::path::Path;
use std::process::ExitCode;

/// Only the hidden subcommands of the runtimes, until the command line is composed.
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["supervise", "--session-dir", dir] => ao::adapters::runtime::supervise(Path::new(dir)).map(drop),
        _ => Err(std::io::Error::other("unknown subcommand")),
    };
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
