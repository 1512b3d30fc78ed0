//! Being told that a launch may have ended.

use std::io;
use std::path::Path;

use super::record;
use crate::platform::{process, process_end};

/// Returns when the launch on record may have ended: with its supervisor, which records the agent's end before it goes, or, where
/// the supervisor was killed, with the agent itself. Never returns where that cannot be learnt.
pub(in super::super) async fn ended(session_dir: &Path) {
    if let Err(error) = watch(session_dir).await {
        // The next look at all terminals sees the end a little later.
        tracing::debug!(%error, directory = %session_dir.display(), "this terminal's end cannot be waited for");
        std::future::pending::<()>().await;
    }
}

async fn watch(session_dir: &Path) -> io::Result<()> {
    let started = record::started(session_dir)?.ok_or(io::ErrorKind::NotFound)?;
    let watched = if process::is_running(started.supervisor)? { started.supervisor } else { started.agent };
    process_end::ended(watched).await
}
