//! Messages as files: `<workspace>/.ao/inbox/<nanoseconds>_<hash>.md`.
//!
//! A file holds exactly the message's text. Its name begins with a number of 20 digits, so that names in alphabetical order are
//! messages in posting order, and goes on with the hash of the message's id. Whoever takes messages looks at
//! `*.md` only; other names are files being written.
//!
//! One messenger is shared by everything that posts: the order of numbers is kept within it and against what lies in the inbox.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::directory::Directory;
use crate::domain::id::MessageId;
use crate::domain::message::Message;
use crate::platform::file;
use crate::ports::clock::Clock;
use crate::ports::messenger::{AgentMessenger, MessengerError};

/// The longest text that is taken, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Numbers above this (the year 2262) were not given by this messenger, and are not counted on from.
const HIGHEST_NUMBER: u64 = i64::MAX.unsigned_abs();

const AO: &str = ".ao";
const INBOX: &str = "inbox";

/// Posts messages into the inbox of a workspace.
#[derive(Clone)]
pub struct InboxMessenger {
    clock: Arc<dyn Clock>,
    /// The highest number given so far.
    last: Arc<Mutex<u64>>,
}

impl InboxMessenger {
    /// A messenger that takes the time from `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Arc::default() }
    }

    fn post_now(&self, workspace: &Path, message: &Message) -> Result<(), MessengerError> {
        let inbox = open_inbox(workspace)?;
        let hash = hash_of(&message.id);
        if find(&inbox, &hash)?.is_some() {
            return Ok(());
        }
        let temporary = format!(".{}.tmp", uuid::Uuid::new_v4());
        inbox.write_new(&temporary, message.body.as_bytes())?;
        match self.place(&inbox, &temporary, &hash) {
            Ok(Some(name)) => confirm(workspace, &inbox, &name),
            not_placed => {
                inbox.discard(&temporary);
                not_placed.map(|_| ())
            }
        }
    }

    /// Gives the written file its final name, unless the message is there already; its name.
    fn place(&self, inbox: &Directory, temporary: &str, hash: &str) -> Result<Option<String>, MessengerError> {
        // Held from the choice of a number to its appearance, so that later numbers never appear earlier. A panic elsewhere
        // leaves a number that is still right.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let names = inbox.names()?;
        if find_in(&names, hash).is_some() {
            return Ok(None);
        }
        let newest = names.iter().filter_map(|name| number_of(name)).max().unwrap_or(0).max(*last);
        let now = u64::try_from(self.clock.now().as_nanosecond()).unwrap_or(0);
        let number = now.max(newest.saturating_add(1));
        let name = format!("{number:020}_{hash}.md");
        inbox.rename_new(temporary, &name)?;
        *last = number;
        Ok(Some(name))
    }
}

/// Finds out that the inbox is still where it was opened: the agent may have moved it away meanwhile, and what was put
/// into it would never be read. The message is taken back then.
fn confirm(workspace: &Path, inbox: &Directory, name: &str) -> Result<(), MessengerError> {
    let is_there = Directory::open(workspace).and_then(|directory| directory.enter(AO)?.enter(INBOX)?.is(inbox));
    if !matches!(is_there, Ok(true)) {
        inbox.discard(name);
    }
    if is_there? { Ok(()) } else { Err(MessengerError::Planted { path: inbox.path().to_owned() }) }
}

fn open_inbox(workspace: &Path) -> Result<Directory, MessengerError> {
    Directory::open(workspace)?.make(AO)?.make(INBOX)
}

/// Removes the temporary files of posts that were cut off. Young ones may be of a post under way.
fn sweep(inbox: &Directory) -> Result<(), MessengerError> {
    for name in inbox.names()? {
        if file::is_staged(&name) && inbox.is_older(&name, file::ABANDONED_AFTER) {
            inbox.discard(&name);
        }
    }
    Ok(())
}

/// The name of the file that holds this message, when it lies in the inbox.
fn find(inbox: &Directory, hash: &str) -> Result<Option<String>, MessengerError> {
    let names = inbox.names()?;
    let Some(name) = find_in(&names, hash) else { return Ok(None) };
    // Taken away since it was listed: it was there, and that is what counts.
    inbox.has_file(name)?;
    Ok(Some(name.to_owned()))
}

fn find_in<'names>(names: &'names [String], hash: &str) -> Option<&'names str> {
    names.iter().map(String::as_str).find(|name| number_of(name).is_some() && hash_in(name) == Some(hash))
}

fn hash_of(id: &MessageId) -> String {
    let start: u64 = Sha256::digest(id.as_str()).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
    format!("{start:016x}")
}

fn hash_in(name: &str) -> Option<&str> {
    Some(name.strip_suffix(".md")?.split_once('_')?.1)
}

fn number_of(name: &str) -> Option<u64> {
    let (number, _) = name.strip_suffix(".md")?.split_once('_')?;
    number.parse().ok().filter(|number| *number < HIGHEST_NUMBER)
}

#[async_trait]
impl AgentMessenger for InboxMessenger {
    async fn open(&self, workspace: &Path) -> Result<(), MessengerError> {
        let path = workspace.to_owned();
        in_background(workspace, move || sweep(&open_inbox(&path)?)).await
    }

    async fn post(&self, workspace: &Path, message: &Message) -> Result<(), MessengerError> {
        let size_bytes = message.body.len();
        if message.body.trim().is_empty() {
            return Err(MessengerError::Empty);
        }
        if size_bytes > MAX_BODY_BYTES {
            return Err(MessengerError::TooLarge { size_bytes, limit_bytes: MAX_BODY_BYTES });
        }
        let (messenger, path, message) = (self.clone(), workspace.to_owned(), message.clone());
        in_background(workspace, move || messenger.post_now(&path, &message)).await
    }
}

/// File work waits for the disk, which must not hold up the daemon's other tasks.
async fn in_background(
    workspace: &Path,
    work: impl FnOnce() -> Result<(), MessengerError> + Send + 'static,
) -> Result<(), MessengerError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| {
        let path: PathBuf = workspace.to_owned();
        Err(MessengerError::File { action: "post to", path, source: std::io::Error::other(stopped) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

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
            id: MessageId::new(format!("m{number}")).unwrap(),
            session: "app-1".parse().unwrap(),
            from: None,
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
        // A daemon that was started anew knows only what lies there.
        let messenger = InboxMessenger::new(clock);
        for number in 5..10 {
            messenger.post_now(workspace.path(), &message(number)).unwrap();
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
        assert!(inbox.join(format!("01700000000000000000_{}.md", hash_of(&message(1).id))).is_file());
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
        let inbox = open_inbox(workspace.path()).unwrap();
        inbox.write_new("name.md", b"text").unwrap();
        assert!(confirm(workspace.path(), &inbox, "name.md").is_ok());
        std::fs::rename(workspace.path().join(".ao/inbox"), workspace.path().join("elsewhere")).unwrap();
        std::fs::create_dir(workspace.path().join(".ao/inbox")).unwrap();
        assert!(matches!(confirm(workspace.path(), &inbox, "name.md"), Err(MessengerError::Planted { .. })));
        assert_eq!(std::fs::read_dir(workspace.path().join("elsewhere")).unwrap().count(), 0);
    }
}
