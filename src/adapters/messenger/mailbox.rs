//! The agent's side of messages: what its hooks, or who types to it, take out of the inbox, and what they record of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::boxes::{Boxes, Entry, Record, SETTLED, Stage, TURN, TURN_OVER, WAITER};
use super::directory::Lock;
use super::inbox::MAX_BODY_BYTES;
use super::ledger::Ledger;
use crate::domain::Timestamp;
use crate::domain::id::MessageId;
use crate::ports::mailbox::{Handover, Letter, Mailbox, OpenMailbox, Turn, Unconfirmed};
use crate::ports::messenger::MessengerError;

/// How long another hook of the same agent, or the daemon, may have it open: the agent waits meanwhile.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// What a text may have beyond a message's: the line that names its sender.
const MAX_TEXT_BYTES: u64 = MAX_BODY_BYTES as u64 + 1024;

/// The messages of the session that works in a workspace.
#[derive(Debug, Clone)]
pub struct FileMailbox {
    workspace: PathBuf,
    ledger: Option<Ledger>,
}

impl FileMailbox {
    /// The mailbox of a workspace.
    #[must_use]
    pub fn new(workspace: PathBuf) -> Self {
        Self { workspace, ledger: None }
    }

    /// Puts on record beside the session's other files too what its agent was seen to have taken.
    #[must_use]
    pub fn keeping_taken(mut self, session_dir: &Path) -> Self {
        self.ledger = Some(Ledger::of(session_dir));
        self
    }

    fn boxes(&self) -> Result<Option<Boxes>, MessengerError> {
        Boxes::open(&self.workspace)
    }

    fn insist(&self) -> Result<Boxes, MessengerError> {
        self.boxes()?.ok_or_else(|| MessengerError::File {
            action: "open the messages of",
            path: self.workspace.clone(),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }
}

impl Mailbox for FileMailbox {
    fn is_quiet(&self) -> Result<bool, MessengerError> {
        self.boxes()?.map_or(Ok(true), |boxes| boxes.are_quiet())
    }

    fn open(&self) -> Result<Box<dyn OpenMailbox + '_>, MessengerError> {
        let boxes = self.insist()?;
        let lock = boxes.lock(LOCK_TIMEOUT)?;
        Ok(Box::new(Open { boxes, _lock: lock, workspace: &self.workspace, ledger: self.ledger.as_ref() }))
    }

    fn is_waited_at(&self) -> Result<bool, MessengerError> {
        self.boxes()?.map_or(Ok(false), |boxes| boxes.ao.is_locked(WAITER))
    }

    fn note_turn(&self, is_in_turn: bool) -> Result<(), MessengerError> {
        let Some(boxes) = self.boxes()? else { return Ok(()) };
        if is_in_turn {
            return boxes.ao.touch(TURN);
        }
        // In this order: who waits is woken by the one that goes, and looks then when the turn ended.
        let noted = boxes.ao.touch(TURN_OVER);
        boxes.ao.discard(TURN);
        noted
    }

    fn turn(&self) -> Result<Turn, MessengerError> {
        let Some(boxes) = self.boxes()? else { return Ok(Turn::Over { since: None }) };
        let age = |name| {
            let changed = boxes.ao.changed_at(name)?;
            Ok::<_, MessengerError>(changed.map(|changed| changed.elapsed().unwrap_or_default()))
        };
        Ok(match age(TURN)? {
            Some(silent) => Turn::Running { silent },
            None => Turn::Over { since: age(TURN_OVER)? },
        })
    }

    fn note_settled(&self) -> Result<(), MessengerError> {
        self.boxes()?.map_or(Ok(()), |boxes| boxes.ao.touch(SETTLED))
    }

    fn settled_at(&self) -> Result<Option<SystemTime>, MessengerError> {
        self.boxes()?.map_or(Ok(None), |boxes| boxes.ao.changed_at(SETTLED))
    }
}

struct Open<'mailbox> {
    boxes: Boxes,
    workspace: &'mailbox Path,
    ledger: Option<&'mailbox Ledger>,
    _lock: Lock,
}

impl Open<'_> {
    fn taken(&self, id: &MessageId, stage: Stage) -> Result<Entry, MessengerError> {
        let found = self.boxes.taken()?.into_iter().find(|entry| entry.id == *id && entry.stage == stage);
        found.ok_or_else(|| MessengerError::File {
            action: "find message",
            path: self.boxes.taken.path().join(id.as_str()),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }

    fn advance(&self, entry: &Entry, stage: Stage) -> Result<(), MessengerError> {
        self.boxes.taken.rename_over(&entry.name(), &entry.at(stage).name())
    }
}

impl OpenMailbox for Open<'_> {
    fn unconfirmed(&self) -> Result<Vec<Unconfirmed>, MessengerError> {
        let mut all = Vec::new();
        for entry in self.boxes.taken()? {
            if entry.stage == Stage::Done {
                continue;
            }
            match self.boxes.record_of(&entry)? {
                Some(Record { handover, .. }) => {
                    let was_handed_over = entry.stage == Stage::Sent;
                    all.push(Unconfirmed { id: entry.id, handover, was_handed_over });
                }
                // Whoever took it out could not even write down how: it was not handed over.
                None => self.boxes.give_back(&entry)?,
            }
        }
        Ok(all)
    }

    fn waiting(&self) -> Result<Vec<MessageId>, MessengerError> {
        Ok(self.boxes.waiting()?.into_iter().map(|entry| entry.id).collect())
    }

    fn take(&mut self, id: &MessageId, handover: &Handover) -> Result<Option<Letter>, MessengerError> {
        let Some(entry) = self.boxes.waiting()?.into_iter().find(|entry| entry.id == *id) else { return Ok(None) };
        let content = self.boxes.inbox.read(&entry.name(), MAX_TEXT_BYTES)?;
        let Some(text) = content.and_then(|content| String::from_utf8(content).ok()) else { return Ok(None) };
        self.boxes.write_record(&entry, &Record { handover: handover.clone(), seen_at: None })?;
        self.boxes.inbox.hand_to(&entry.name(), &self.boxes.taken, &entry.name())?;
        Ok(Some(Letter { id: entry.id, text }))
    }

    fn note(&mut self, id: &MessageId, handover: &Handover) -> Result<(), MessengerError> {
        let entry = self.taken(id, Stage::Text)?;
        self.boxes.write_record(&entry, &Record { handover: handover.clone(), seen_at: None })
    }

    fn text(&self, id: &MessageId) -> Result<Option<String>, MessengerError> {
        let Some(entry) = self.boxes.taken()?.into_iter().find(|entry| entry.id == *id) else { return Ok(None) };
        let content = self.boxes.taken.read(&entry.name(), MAX_TEXT_BYTES)?;
        Ok(content.and_then(|content| String::from_utf8(content).ok()))
    }

    fn keep(&mut self, id: &MessageId) -> Result<PathBuf, MessengerError> {
        let entry = self.taken(id, Stage::Text)?;
        let messages = self.boxes.messages()?;
        let name = format!("{id}.md");
        self.boxes.taken.link_to(&entry.name(), &messages, &name)?;
        Ok(self.workspace.join(messages.path().strip_prefix(self.workspace).unwrap_or(messages.path())).join(name))
    }

    fn handed_over(&mut self, id: &MessageId) -> Result<(), MessengerError> {
        self.advance(&self.taken(id, Stage::Text)?, Stage::Sent)
    }

    fn give_back(&mut self, id: &MessageId) -> Result<(), MessengerError> {
        let entry = self.boxes.taken()?.into_iter().find(|entry| entry.id == *id && entry.stage != Stage::Done);
        entry.map_or(Ok(()), |entry| self.boxes.give_back(&entry))
    }

    fn confirm(&mut self, id: &MessageId, at: Timestamp) -> Result<(), MessengerError> {
        let entry = self.taken(id, Stage::Sent)?;
        if let Some(record) = self.boxes.record_of(&entry)? {
            let record = Record { seen_at: Some(at), ..record };
            if let Some(ledger) = self.ledger {
                // Where it cannot be, as on a full disk, the workspace is what knows.
                let _ = ledger.add(id, &record);
            }
            self.boxes.write_record(&entry, &record)?;
        }
        self.advance(&entry, Stage::Done)
    }
}

#[cfg(test)]
#[path = "mailbox_tests.rs"]
mod tests;
