//! The one composition root.

use std::path::Path;
use std::process::ExitCode;

/// Only the hidden subcommands of the runtimes, until the command line is composed.
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["supervise", "--session-dir", dir] => ao::adapters::runtime::supervise(Path::new(dir)).map(drop),
        ["holder", "--session-dir", dir, "--socket", socket] => {
            ao::adapters::runtime::pty::holder::run(Path::new(dir), Path::new(socket))
        }
        _ => Err(std::io::Error::other("unknown subcommand")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "ao: {error}");
            ExitCode::FAILURE
        }
    }
}
