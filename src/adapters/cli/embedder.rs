//! A program that embeds ao: it has a data directory in the place of a daemon, and serves its socket only if it wants to.

use std::os::unix::net::UnixStream;
use std::path::Path;

use super::context::Context;
use super::error::{CliError, ExitCode};
use crate::domain::layout::DataDir;
use crate::platform::lock::{self, Holder};

/// What to say when nobody answers because such a program has the data directory and serves no socket; `None` when it is not that.
#[must_use]
pub fn without_socket(data_dir: &DataDir, socket: &Path) -> Option<CliError> {
    let Holder { pid, program: Some(program) } = lock::holder(&data_dir.lock())? else { return None };
    if UnixStream::connect(socket).is_ok() {
        return None;
    }
    let message = format!("{program} (process {pid}) embeds ao in {} and serves no socket", data_dir.root().display());
    Some(CliError::new(ExitCode::Unreachable, message).hint(
        "its sessions are that program's to show and to end; for sessions of your own choose another place with --data-dir or AO_DATA_DIR",
    ))
}

/// An error as it is, or this reason for it.
pub(super) fn explain(error: CliError, context: &Context) -> CliError {
    let reason = || without_socket(&context.data_dir, &context.socket);
    if error.exit == ExitCode::Unreachable { reason().unwrap_or(error) } else { error }
}
