//! The directories that hold a session's messages, and what the names in them say.
//!
//! | In `<workspace>/.ao/` | Holds |
//! | --- | --- |
//! | `inbox/<number>_<id>.md` | a message that waits: exactly its text |
//! | `taken/<number>_<id>.md` | one that a hook took out to hand it over |
//! | `taken/<number>_<id>.sent` | one that was handed over |
//! | `taken/<number>_<id>.done` | one that the agent was seen to have taken |
//! | `taken/<number>_<id>.json` | how it was handed over |
//! | `messages/<id>.md` | the text of one that is too long to be handed over in a hook's answer |
//! | `lock` | who has it locked may move files between these |
//! | `turn` | is there while the agent is in a turn; touched by its hooks |
//! | `turn-over` | touched when a turn ends |
//! | `settled` | touched when whatever the agent itself had asked permission for is answered |
//! | `waiter.lock` | locked by the one process that waits for messages while the agent is idle |
//!
//! A number has 20 digits, so that names in alphabetical order are messages in posting order. A message keeps its number on its whole way.
//! What has another name is none of ours.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::directory::{Directory, Lock};
use crate::domain::Timestamp;
use crate::domain::id::MessageId;
use crate::domain::message::Progress;
use crate::ports::mailbox::Handover;
use crate::ports::messenger::MessengerError;

pub(super) const LOCK: &str = "lock";
pub(super) const TURN: &str = "turn";
pub(super) const TURN_OVER: &str = "turn-over";
pub(super) const SETTLED: &str = "settled";
pub(super) const WAITER: &str = "waiter.lock";

const AO: &str = ".ao";
const INBOX: &str = "inbox";
const TAKEN: &str = "taken";
const MESSAGES: &str = "messages";

/// Numbers above this (the year 2262) were not given by ao, and are not counted on from.
const HIGHEST_NUMBER: u64 = i64::MAX.unsigned_abs();

/// How large the record of a handover may be, in bytes.
const MAX_RECORD_BYTES: u64 = 64 * 1024;

/// How far a message has come, as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// `.md`: it waits, or was taken out.
    Text,
    /// `.sent`
    Sent,
    /// `.done`
    Done,
}

impl Stage {
    fn extension(self) -> &'static str {
        match self {
            Self::Text => "md",
            Self::Sent => "sent",
            Self::Done => "done",
        }
    }
}

/// A message's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) id: MessageId,
    pub(super) stage: Stage,
}

impl Entry {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (stem, extension) = name.rsplit_once('.')?;
        let stage = [Stage::Text, Stage::Sent, Stage::Done].into_iter().find(|stage| stage.extension() == extension)?;
        let (number, id) = stem.split_once('_')?;
        let number = number.parse().ok().filter(|given| *given < HIGHEST_NUMBER)?;
        let entry = Self { number, id: id.parse().ok()?, stage };
        // A number can be written in other ways, with a sign or too short: those name another file than the one there is.
        (entry.name() == name).then_some(entry)
    }

    pub(super) fn name(&self) -> String {
        self.named(self.stage.extension())
    }

    pub(super) fn at(&self, stage: Stage) -> Self {
        Self { stage, ..self.clone() }
    }

    fn named(&self, extension: &str) -> String {
        format!("{:020}_{}.{extension}", self.number, self.id)
    }
}

/// The record beside a message that was taken out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) handover: Handover,
    /// When the agent was seen to have taken it.
    #[serde(default)]
    pub(super) seen_at: Option<Timestamp>,
}

impl Record {
    /// How far the message is that the agent was seen to have taken.
    pub(super) fn acknowledged(&self) -> Progress {
        let (via, injected_at) = (self.handover.via, self.handover.at);
        Progress::Acknowledged { via, injected_at, at: self.seen_at.unwrap_or(injected_at) }
    }
}

/// The open directories of one workspace.
pub(super) struct Boxes {
    pub(super) ao: Directory,
    pub(super) inbox: Directory,
    pub(super) taken: Directory,
}

impl Boxes {
    /// Opens them, after making those that are not there.
    pub(super) fn make(workspace: &Path) -> Result<Self, MessengerError> {
        let ao = Directory::open(workspace)?.make(AO)?;
        let (inbox, taken) = (ao.make(INBOX)?, ao.make(TAKEN)?);
        Ok(Self { ao, inbox, taken })
    }

    /// Opens those that are there; `None` where messages were never opened, or the workspace is gone.
    pub(super) fn open(workspace: &Path) -> Result<Option<Self>, MessengerError> {
        let enter = || {
            let ao = Directory::open(workspace)?.enter(AO)?;
            let (inbox, taken) = (ao.enter(INBOX)?, ao.enter(TAKEN)?);
            Ok(Self { ao, inbox, taken })
        };
        match enter() {
            Err(MessengerError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    pub(super) fn lock(&self, at_most: Duration) -> Result<Lock, MessengerError> {
        self.ao.lock(LOCK, at_most)
    }

    /// Whether these are still the directories that the workspace has.
    pub(super) fn are_in(&self, workspace: &Path) -> bool {
        let is_there = || {
            let ao = Directory::open(workspace)?.enter(AO)?;
            Ok::<_, MessengerError>(ao.enter(INBOX)?.is(&self.inbox)? && ao.enter(TAKEN)?.is(&self.taken)?)
        };
        matches!(is_there(), Ok(true))
    }

    /// Whether nothing waits, and nothing is unconfirmed.
    pub(super) fn are_quiet(&self) -> Result<bool, MessengerError> {
        // In this order: what is taken out meanwhile is seen in one of them.
        Ok(self.waiting()?.is_empty() && self.taken()?.iter().all(|entry| entry.stage == Stage::Done))
    }

    /// What waits, oldest first.
    pub(super) fn waiting(&self) -> Result<Vec<Entry>, MessengerError> {
        let entries = entries(&self.inbox)?;
        Ok(entries.into_iter().filter(|entry| entry.stage == Stage::Text).collect())
    }

    /// What was taken out, oldest first.
    pub(super) fn taken(&self) -> Result<Vec<Entry>, MessengerError> {
        entries(&self.taken)
    }

    pub(super) fn record_of(&self, entry: &Entry) -> Result<Option<Record>, MessengerError> {
        let content = self.taken.read(&entry.named("json"), MAX_RECORD_BYTES)?;
        Ok(content.and_then(|content| serde_json::from_slice(&content).ok()))
    }

    pub(super) fn write_record(&self, entry: &Entry, record: &Record) -> Result<(), MessengerError> {
        let name = entry.named("json");
        let content = serde_json::to_vec(record).map_err(|error| MessengerError::File {
            action: "write",
            path: self.taken.path().join(&name),
            source: error.into(),
        })?;
        let temporary = format!(".{}.tmp", uuid::Uuid::new_v4());
        // Not synced: what a power cut takes away here, it takes from an agent that it ends.
        self.taken.write_new(&temporary, &content)?;
        let renamed = self.taken.rename_over(&temporary, &name);
        if renamed.is_err() {
            self.taken.discard(&temporary);
        }
        renamed
    }

    /// Puts a message that was taken out back where it was.
    pub(super) fn give_back(&self, entry: &Entry) -> Result<(), MessengerError> {
        self.taken.hand_to(&entry.name(), &self.inbox, &entry.at(Stage::Text).name())?;
        self.taken.discard(&entry.named("json"));
        Ok(())
    }

    /// Lets go of a message that was taken.
    pub(super) fn discard(&self, entry: &Entry) {
        // The record last: without it, what is left of the message could not be told from one that was taken out.
        self.taken.discard(&entry.name());
        self.taken.discard(&entry.named("json"));
    }

    /// The directory of texts that are too long to be handed over, made where it is not there.
    pub(super) fn messages(&self) -> Result<Directory, MessengerError> {
        self.ao.make(MESSAGES)
    }
}

/// The messages in a directory, oldest first.
fn entries(directory: &Directory) -> Result<Vec<Entry>, MessengerError> {
    let mut entries: Vec<Entry> = directory.names()?.iter().filter_map(|name| Entry::parse(name)).collect();
    entries.sort_by_key(|entry| entry.number);
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_ao_gives_are_messages() {
        let id = MessageId::hash_of("a");
        let name = format!("01700000000000000000_{id}.md");
        assert_eq!(Entry::parse(&name).map(|entry| entry.name()), Some(name.clone()));
        let sent = format!("01700000000000000000_{id}.sent");
        assert_eq!(Entry::parse(&sent).map(|entry| entry.stage), Some(Stage::Sent));
        for foreign in [
            "99999999999999999999_ffff.md",
            "notes.md",
            "18446744073709551615_0123456789abcdef.md",
            "1_0123456789abcdef.md",
            "+1700000000000000000_0123456789abcdef.md",
            "01700000000000000000_0123456789abcdef.json",
            ".0123.tmp",
        ] {
            assert_eq!(Entry::parse(foreign), None, "{foreign}");
        }
    }
}
