//! What an agent was seen to have taken, on record beside its session's other files too: its workspace is anybody's, and all that git ignores may be
//! cleaned away there while no daemon runs.

use std::io;
use std::path::{Path, PathBuf};

use super::boxes::Record;
use crate::domain::id::MessageId;
use crate::platform::file;

const TAKEN: &str = "taken";
const EXTENSION: &str = ".json";

/// A file for each message that was taken, until that is on record with the daemon.
#[derive(Debug, Clone)]
pub(super) struct Ledger(PathBuf);

impl Ledger {
    /// The ledger of a session that has this directory. It need not be there.
    pub(super) fn of(session_dir: &Path) -> Self {
        Self(session_dir.join(TAKEN))
    }

    /// Adds a message. Not synced, as its other records are not.
    pub(super) fn add(&self, id: &MessageId, record: &Record) -> io::Result<()> {
        match std::fs::create_dir(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        std::fs::write(self.path(id), serde_json::to_vec(record)?)
    }

    /// Whether a message is in it.
    pub(super) fn has(&self, id: &MessageId) -> bool {
        self.record(id).is_some()
    }

    /// All that are in it. What cannot be read is not: it was cut off, and its file in the workspace tells.
    pub(super) fn all(&self) -> Vec<(MessageId, Record)> {
        let names = std::fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let ids = names.filter_map(|name| name.to_str()?.strip_suffix(EXTENSION)?.parse::<MessageId>().ok());
        ids.filter_map(|id| self.record(&id).map(|record| (id, record))).collect()
    }

    /// Takes a message out, if it is in it. One that stays is found and taken out again.
    pub(super) fn remove(&self, id: &MessageId) {
        let _ = file::remove_if_there(&self.path(id));
    }

    fn record(&self, id: &MessageId) -> Option<Record> {
        serde_json::from_slice(&std::fs::read(self.path(id)).ok()?).ok()
    }

    fn path(&self, id: &MessageId) -> PathBuf {
        self.0.join(format!("{id}{EXTENSION}"))
    }
}
