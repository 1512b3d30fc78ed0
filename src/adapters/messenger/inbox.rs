//! The daemon's side of messages: posting them into the inbox of a workspace, and seeing how far they have come.
//!
//! One messenger is shared by everything that posts: the order of numbers is kept within it and against what lies in the inbox.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::boxes::{Boxes, Entry, Stage, TURN};
use super::directory::Directory;
use super::ledger::Ledger;
use super::mailbox::FileMailbox;
use crate::domain::id::MessageId;
use crate::domain::message::{Message, Progress};
use crate::platform::file;
use crate::ports::clock::Clock;
use crate::ports::mailbox::Mailbox;
use crate::ports::messenger::{AgentMessenger, MessengerError};

/// The longest text that is taken, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// How long a hook may keep the messages locked: as long as its answer is being printed. An agent can keep them locked for ever, which must hold
/// the daemon up for a moment only.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// Posts messages into the inbox of a workspace.
#[derive(Clone)]
pub struct InboxMessenger {
    clock: Arc<dyn Clock>,
    /// The highest number given so far.
    last: Arc<Mutex<u64>>,
    /// Where sessions have their directories, by the name of their workspaces.
    sessions: Option<PathBuf>,
}

impl InboxMessenger {
    /// A messenger that takes the time from `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Arc::default(), sessions: None }
    }

    /// Asks also [what was put on record](FileMailbox::keeping_taken) in the directories of sessions, which have the names of their workspaces.
    #[must_use]
    pub fn keeping_taken(mut self, sessions: PathBuf) -> Self {
        self.sessions = Some(sessions);
        self
    }

    fn ledger(&self, workspace: &Path) -> Option<Ledger> {
        Some(Ledger::of(&self.sessions.as_ref()?.join(workspace.file_name()?)))
    }

    fn post_now(&self, workspace: &Path, message: &Message) -> Result<(), MessengerError> {
        let boxes = Boxes::make(workspace)?;
        if find(&boxes, &message.id)? || self.ledger(workspace).is_some_and(|ledger| ledger.has(&message.id)) {
            return Ok(());
        }
        let temporary = format!(".{}.tmp", uuid::Uuid::new_v4());
        boxes.inbox.write_new_synced(&temporary, message.text().as_bytes())?;
        match self.place(&boxes, &temporary, &message.id) {
            Ok(Some(entry)) => {
                // Not under the lock, on which the agent's hooks wait.
                boxes.inbox.sync()?;
                confirm(workspace, &boxes, &entry)
            }
            not_placed => {
                boxes.inbox.discard(&temporary);
                not_placed.map(|_| ())
            }
        }
    }

    /// Gives the written file its final name, unless the message is there already.
    fn place(&self, boxes: &Boxes, temporary: &str, id: &MessageId) -> Result<Option<Entry>, MessengerError> {
        let _lock = boxes.lock(LOCK_TIMEOUT)?;
        // Held from the choice of a number to its appearance, so that later numbers never appear earlier. A panic elsewhere
        // leaves a number that is still right.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if find(boxes, id)? {
            return Ok(None);
        }
        // Those that were taken out too: one that is given back is older than this one.
        let known = boxes.waiting()?.into_iter().chain(boxes.taken()?).map(|entry| entry.number).max();
        let newest = known.unwrap_or(0).max(*last);
        let now = u64::try_from(self.clock.now().as_nanosecond()).unwrap_or(0);
        let number = now.max(newest.saturating_add(1));
        let entry = Entry { number, id: id.clone(), stage: Stage::Text };
        boxes.inbox.rename_new(temporary, &entry.name())?;
        *last = number;
        Ok(Some(entry))
    }
}

/// Finds out that the inbox is still where it was opened: the agent may have moved it away meanwhile, and what was put
/// into it would never be read. The message is taken back then.
fn confirm(workspace: &Path, boxes: &Boxes, entry: &Entry) -> Result<(), MessengerError> {
    if boxes.are_in(workspace) {
        return Ok(());
    }
    boxes.inbox.discard(&entry.name());
    Err(MessengerError::Planted { path: boxes.inbox.path().to_owned() })
}

/// Removes the temporary files of writers that were cut off. Young ones may be of one at work.
fn sweep(directory: &Directory) -> Result<(), MessengerError> {
    for name in directory.names()? {
        if file::is_staged(&name) && directory.is_older(&name, file::ABANDONED_AFTER) {
            directory.discard(&name);
        }
    }
    Ok(())
}

/// Whether this message was posted and is not forgotten.
fn find(boxes: &Boxes, id: &MessageId) -> Result<bool, MessengerError> {
    // In this order: a hook that takes it out meanwhile moves it the same way.
    if let Some(entry) = boxes.waiting()?.into_iter().find(|entry| entry.id == *id) {
        // Taken out since it was listed: it was there, and that is what counts.
        boxes.inbox.has_file(&entry.name())?;
        return Ok(true);
    }
    Ok(boxes.taken()?.iter().any(|entry| entry.id == *id))
}

/// How far messages have come, as the workspace tells, and those of the ledger that it does not tell of any more.
fn progress(workspace: &Path, ledger: Option<&Ledger>) -> Result<Vec<(MessageId, Progress)>, MessengerError> {
    let told = progress_in(workspace)?;
    let taken = ledger.map(Ledger::all).unwrap_or_default();
    let gone = taken.iter().filter(|(id, _)| !told.iter().any(|(known, _)| known == id));
    let gone: Vec<_> = gone.map(|(id, record)| (id.clone(), record.acknowledged())).collect();
    Ok(gone.into_iter().chain(told).collect())
}

fn progress_in(workspace: &Path) -> Result<Vec<(MessageId, Progress)>, MessengerError> {
    let Some(boxes) = Boxes::open(workspace)? else { return Ok(Vec::new()) };
    let _lock = boxes.lock(LOCK_TIMEOUT)?;
    let mut all: Vec<(u64, MessageId, Progress)> = Vec::new();
    for entry in boxes.waiting()? {
        all.push((entry.number, entry.id, Progress::Waiting));
    }
    for entry in boxes.taken()? {
        let record = boxes.record_of(&entry)?;
        let progress = match (entry.stage, record) {
            // Taken out by a hook that has ended since: the next one puts it back.
            (Stage::Text, _) | (_, None) => Progress::Waiting,
            (Stage::Sent, Some(record)) => Progress::Injected { via: record.handover.via, at: record.handover.at },
            (Stage::Done, Some(record)) => record.acknowledged(),
        };
        all.push((entry.number, entry.id, progress));
    }
    all.sort_by_key(|(number, ..)| *number);
    Ok(all.into_iter().map(|(_, id, progress)| (id, progress)).collect())
}

fn forget(workspace: &Path, ledger: Option<&Ledger>, taken: &[MessageId]) -> Result<(), MessengerError> {
    for (ledger, id) in ledger.into_iter().flat_map(|ledger| taken.iter().map(move |id| (ledger, id))) {
        ledger.remove(id);
    }
    let Some(boxes) = Boxes::open(workspace)? else { return Ok(()) };
    let _lock = boxes.lock(LOCK_TIMEOUT)?;
    for entry in boxes.taken()? {
        if entry.stage == Stage::Done && taken.contains(&entry.id) {
            boxes.discard(&entry);
        }
    }
    Ok(())
}

fn take_back(workspace: &Path) -> Result<(), MessengerError> {
    let Some(boxes) = Boxes::open(workspace)? else { return Ok(()) };
    let _lock = boxes.lock(LOCK_TIMEOUT)?;
    for entry in boxes.taken()? {
        if entry.stage != Stage::Done {
            boxes.give_back(&entry)?;
        }
    }
    boxes.ao.discard(TURN);
    Ok(())
}

#[async_trait]
impl AgentMessenger for InboxMessenger {
    fn check(&self, message: &Message) -> Result<(), MessengerError> {
        let size_bytes = message.body.len();
        if message.body.trim().is_empty() {
            return Err(MessengerError::Empty);
        }
        if size_bytes > MAX_BODY_BYTES {
            return Err(MessengerError::TooLarge { size_bytes, limit_bytes: MAX_BODY_BYTES });
        }
        Ok(())
    }

    fn mailbox(&self, workspace: &Path) -> Box<dyn Mailbox> {
        Box::new(FileMailbox::new(workspace.to_owned()))
    }

    async fn open(&self, workspace: &Path) -> Result<(), MessengerError> {
        in_background(workspace, |workspace| {
            let boxes = Boxes::make(workspace)?;
            // The agent before may have ended in one.
            boxes.ao.discard(TURN);
            sweep(&boxes.inbox)?;
            sweep(&boxes.taken)
        })
        .await
    }

    async fn post(&self, workspace: &Path, message: &Message) -> Result<(), MessengerError> {
        self.check(message)?;
        let (messenger, message) = (self.clone(), message.clone());
        in_background(workspace, move |workspace| messenger.post_now(workspace, &message)).await
    }

    async fn progress(&self, workspace: &Path) -> Result<Vec<(MessageId, Progress)>, MessengerError> {
        let ledger = self.ledger(workspace);
        in_background(workspace, move |workspace| progress(workspace, ledger.as_ref())).await
    }

    async fn forget(&self, workspace: &Path, taken: &[MessageId]) -> Result<(), MessengerError> {
        let (taken, ledger) = (taken.to_vec(), self.ledger(workspace));
        in_background(workspace, move |workspace| forget(workspace, ledger.as_ref(), &taken)).await
    }

    async fn take_back(&self, workspace: &Path) -> Result<(), MessengerError> {
        in_background(workspace, take_back).await
    }
}

/// File work waits for the disk, which must not hold up the daemon's other tasks.
async fn in_background<T: Send + 'static>(
    workspace: &Path,
    work: impl FnOnce(&Path) -> Result<T, MessengerError> + Send + 'static,
) -> Result<T, MessengerError> {
    let path: PathBuf = workspace.to_owned();
    let stopped = |path: PathBuf, stopped: tokio::task::JoinError| MessengerError::File {
        action: "get at the messages of",
        path,
        source: std::io::Error::other(stopped),
    };
    let at = path.clone();
    tokio::task::spawn_blocking(move || work(&path)).await.unwrap_or_else(|error| Err(stopped(at, error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::domain::message::Route;
    use crate::domain::sender::Sender;
    use crate::ports::mailbox::Handover;

    struct SteppingBack(Mutex<i64>);

    impl Clock for SteppingBack {
        fn now(&self) -> Timestamp {
            let mut ms = self.0.lock().unwrap();
            *ms -= 60_000;
            Timestamp::from_millisecond(*ms).unwrap()
        }
    }

    fn message(number: usize) -> Message {
        Message {
            id: MessageId::hash_of(&number.to_string()),
            session: "app-1".parse().unwrap(),
            from: Sender::Person,
            body: format!("text {number}"),
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn bodies(workspace: &Path) -> Vec<String> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(workspace.join(".ao/inbox")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    }

    #[test]
    fn order_is_kept_when_the_clock_steps_back() {
        let workspace = tempfile::tempdir().unwrap();
        let clock = Arc::new(SteppingBack(Mutex::new(1_700_000_000_000)));
        let messenger = InboxMessenger::new(clock.clone());
        for number in 0..5 {
            messenger.post_now(workspace.path(), &message(number)).unwrap();
        }
        // A daemon that was started anew knows only what lies there, or is in a hook's hands.
        let handover = Handover { via: Route::Wake, at: Timestamp::UNIX_EPOCH, trace: serde_json::Value::Null };
        let mailbox = FileMailbox::new(workspace.path().to_owned());
        for number in 0..5 {
            mailbox.open().unwrap().take(&message(number).id, &handover).unwrap().unwrap();
        }
        let messenger = InboxMessenger::new(clock);
        for number in 5..10 {
            messenger.post_now(workspace.path(), &message(number)).unwrap();
        }
        for number in 0..5 {
            mailbox.open().unwrap().give_back(&message(number).id).unwrap();
        }
        assert_eq!(bodies(workspace.path()), (0..10).map(|n| format!("text {n}")).collect::<Vec<_>>());
    }

    #[test]
    fn names_are_as_documented_and_foreign_ones_do_not_confuse() {
        let workspace = tempfile::tempdir().unwrap();
        let inbox = workspace.path().join(".ao/inbox");
        std::fs::create_dir_all(&inbox).unwrap();
        for name in ["99999999999999999999_ffff.md", "notes.md", "18446744073709551615_0123456789abcdef.md"] {
            std::fs::write(inbox.join(name), "foreign").unwrap();
        }
        let clock = Arc::new(SteppingBack(Mutex::new(1_700_000_060_000)));
        InboxMessenger::new(clock).post_now(workspace.path(), &message(1)).unwrap();
        assert!(inbox.join(format!("01700000000000000000_{}.md", message(1).id)).is_file());
    }

    #[tokio::test]
    async fn opening_sweeps_what_a_post_that_was_cut_off_left() {
        let workspace = tempfile::tempdir().unwrap();
        let messenger = InboxMessenger::new(Arc::new(SteppingBack(Mutex::new(1_700_000_060_000))));
        messenger.post_now(workspace.path(), &message(1)).unwrap();
        let inbox = workspace.path().join(".ao/inbox");
        let age = |path: &Path| {
            let file = std::fs::File::options().append(true).create(true).open(path).unwrap();
            file.set_modified(file.metadata().unwrap().modified().unwrap() - 2 * file::ABANDONED_AFTER).unwrap();
        };
        for posted in std::fs::read_dir(&inbox).unwrap() {
            age(&posted.unwrap().path());
        }
        age(&inbox.join(".cut-off.tmp"));
        std::fs::write(inbox.join(".under-way.tmp"), "").unwrap();
        messenger.open(workspace.path()).await.unwrap();
        assert!(!inbox.join(".cut-off.tmp").exists());
        assert!(inbox.join(".under-way.tmp").exists());
        std::fs::remove_file(inbox.join(".under-way.tmp")).unwrap();
        assert_eq!(bodies(workspace.path()), ["text 1"]);
    }

    #[test]
    fn an_inbox_that_was_moved_away_meanwhile_accepts_nothing() {
        let workspace = tempfile::tempdir().unwrap();
        let boxes = Boxes::make(workspace.path()).unwrap();
        let entry = Entry { number: 1, id: MessageId::hash_of("a"), stage: Stage::Text };
        boxes.inbox.write_new(&entry.name(), b"text").unwrap();
        assert!(confirm(workspace.path(), &boxes, &entry).is_ok());
        std::fs::rename(workspace.path().join(".ao/inbox"), workspace.path().join("elsewhere")).unwrap();
        std::fs::create_dir(workspace.path().join(".ao/inbox")).unwrap();
        assert!(matches!(confirm(workspace.path(), &boxes, &entry), Err(MessengerError::Planted { .. })));
        assert_eq!(std::fs::read_dir(workspace.path().join("elsewhere")).unwrap().count(), 0);
    }
}
