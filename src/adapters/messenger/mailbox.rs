//! The agent's side of messages: what its hooks take out of the inbox, and what they record of it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use rustix::fs::inotify;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::boxes::{Boxes, Entry, Record, Stage, TURN, WAITER};
use super::directory::Lock;
use super::inbox::MAX_BODY_BYTES;
use crate::domain::Timestamp;
use crate::domain::id::MessageId;
use crate::domain::session::ProcessIdentity;
use crate::platform::process_end;
use crate::ports::mailbox::{Awaited, Handover, Letter, Mailbox, OpenMailbox, Unconfirmed, Watch};
use crate::ports::messenger::MessengerError;

/// How long another hook of the same agent, or the daemon, may have it open: the agent waits meanwhile.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the process that waited before may take to leave.
const WAITER_TIMEOUT: Duration = Duration::from_secs(3);
/// What a text may have beyond a message's: the line that names its sender.
const MAX_TEXT_BYTES: u64 = MAX_BODY_BYTES as u64 + 1024;

/// The messages of the session that works in a workspace.
#[derive(Debug, Clone)]
pub struct FileMailbox {
    workspace: PathBuf,
    /// The agent, for those who wait.
    agent: Option<ProcessIdentity>,
}

impl FileMailbox {
    /// The mailbox of a workspace in which `agent` works, where that is known.
    #[must_use]
    pub fn new(workspace: PathBuf, agent: Option<ProcessIdentity>) -> Self {
        Self { workspace, agent }
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
        let Some(boxes) = self.boxes()? else { return Ok(true) };
        // In this order: what is taken out meanwhile is seen in one of them.
        Ok(boxes.waiting()?.is_empty() && boxes.taken()?.iter().all(|entry| entry.stage == Stage::Done))
    }

    fn open(&self) -> Result<Box<dyn OpenMailbox + '_>, MessengerError> {
        let boxes = self.insist()?;
        let lock = boxes.lock(LOCK_TIMEOUT)?;
        Ok(Box::new(Open { boxes, _lock: lock, workspace: &self.workspace }))
    }

    fn note_turn(&self, is_in_turn: bool) -> Result<(), MessengerError> {
        let Some(boxes) = self.boxes()? else { return Ok(()) };
        if is_in_turn {
            return boxes.ao.touch(TURN);
        }
        boxes.ao.discard(TURN);
        Ok(())
    }

    fn in_turn_for(&self) -> Result<Option<Duration>, MessengerError> {
        let Some(boxes) = self.boxes()? else { return Ok(None) };
        Ok(boxes.ao.changed_at(TURN)?.map(|changed| changed.elapsed().unwrap_or_default()))
    }

    fn watch(&self) -> Result<Option<Box<dyn Watch + '_>>, MessengerError> {
        let Some(agent) = self.agent else { return Ok(None) };
        let boxes = Boxes::make(&self.workspace)?;
        let whose = format!("{} {}", agent.pid, agent.start_ticks);
        let is_held = |error: &MessengerError| matches!(error, MessengerError::File { source, .. } if source.kind() == std::io::ErrorKind::WouldBlock);
        let lock = match boxes.ao.lock(WAITER, Duration::ZERO) {
            // It waits for this agent, or for the one before, whose end it will notice.
            Err(error)
                if is_held(&error) && boxes.ao.read(WAITER, 64)?.is_some_and(|held| held == whose.as_bytes()) =>
            {
                return Ok(None);
            }
            Err(error) if is_held(&error) => boxes.ao.lock(WAITER, WAITER_TIMEOUT)?,
            lock => lock?,
        };
        lock.write(whose.as_bytes()).map_err(|source| MessengerError::File {
            action: "write to the lock in",
            path: boxes.ao.path().to_owned(),
            source,
        })?;
        let failed = |source: std::io::Error| MessengerError::File {
            action: "watch",
            path: boxes.inbox.path().to_owned(),
            source,
        };
        let handle = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC);
        let handle = handle.map_err(|errno| failed(errno.into()))?;
        for directory in [&boxes.ao, &boxes.inbox, &boxes.taken] {
            directory.watch(&handle)?;
        }
        #[allow(
            deprecated,
            reason = "sound for a handle that is owned here; what replaces it is for others, and unsafe"
        )]
        let handle = AsyncFd::with_interest(handle, Interest::READABLE).map_err(failed)?;
        let watch = DirectoryWatch { handle, agent, workspace: &self.workspace, boxes, _lock: lock };
        Ok(Some(Box::new(watch)))
    }
}

struct Open<'mailbox> {
    boxes: Boxes,
    workspace: &'mailbox Path,
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
            self.boxes.write_record(&entry, &Record { seen_at: Some(at), ..record })?;
        }
        self.advance(&entry, Stage::Done)
    }
}

struct DirectoryWatch<'mailbox> {
    handle: AsyncFd<OwnedFd>,
    agent: ProcessIdentity,
    workspace: &'mailbox Path,
    boxes: Boxes,
    _lock: Lock,
}

#[async_trait]
impl Watch for DirectoryWatch<'_> {
    async fn wait(&mut self, at_most: Option<Duration>) -> Result<Awaited, MessengerError> {
        let path = self.boxes.inbox.path().to_owned();
        let failed = |source| MessengerError::File { action: "watch", path: path.clone(), source };
        let time_is_up = async {
            match at_most {
                Some(at_most) => tokio::time::sleep(at_most).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = process_end::ended(self.agent) => ended.map(|()| Awaited::AgentEnded).map_err(failed),
            changed = self.handle.readable() => {
                changed.map_err(failed)?.clear_ready();
                // What came is found by looking; it has only to be taken off the queue.
                let mut room = [0; 4096];
                while rustix::io::read(self.handle.get_ref(), &mut room).is_ok_and(|bytes| bytes > 0) {}
                // An agent may take all that git ignores away, and with it what is watched. What comes then comes elsewhere.
                if self.boxes.are_in(self.workspace) { Ok(Awaited::Changed) } else { Err(failed(std::io::ErrorKind::NotFound.into())) }
            }
            () = time_is_up => Ok(Awaited::TimeIsUp),
        }
    }
}

#[cfg(test)]
#[path = "mailbox_tests.rs"]
mod tests;
