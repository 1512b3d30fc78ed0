//! What names of files say, and what is planted under them. The rest of what the mailbox promises is checked in `tests/contract_messenger.rs`.

use std::os::unix::fs::symlink;
use std::sync::Arc;

use super::*;
use crate::adapters::messenger::InboxMessenger;
use crate::domain::message::{Message, Progress, Route};
use crate::domain::sender::Sender;
use crate::ports::clock::Clock;
use crate::ports::messenger::AgentMessenger;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// A workspace with its messenger, and a directory beside it in which nothing may ever appear.
struct Lab {
    root: tempfile::TempDir,
    messenger: InboxMessenger,
}

impl Lab {
    async fn new() -> Self {
        let lab = Self { root: tempfile::tempdir().unwrap(), messenger: InboxMessenger::new(Arc::new(Fixed)) };
        std::fs::create_dir(lab.workspace()).unwrap();
        std::fs::create_dir(lab.root.path().join("outside")).unwrap();
        lab.messenger.open(&lab.workspace()).await.unwrap();
        lab
    }

    fn workspace(&self) -> PathBuf {
        self.root.path().join("workspace")
    }

    fn mailbox(&self) -> FileMailbox {
        FileMailbox::new(self.workspace())
    }

    async fn post(&self, name: &str) -> MessageId {
        self.try_post(name).await.unwrap()
    }

    async fn try_post(&self, name: &str) -> Result<MessageId, MessengerError> {
        let id = MessageId::hash_of(name);
        let message = Message {
            id: id.clone(),
            session: "app-1".parse().unwrap(),
            from: Sender::Person,
            body: format!("text {name}"),
            created_at: Timestamp::UNIX_EPOCH,
        };
        self.messenger.post(&self.workspace(), &message).await?;
        Ok(id)
    }

    async fn progress(&self) -> Vec<(MessageId, Progress)> {
        self.messenger.progress(&self.workspace()).await.unwrap()
    }
}

fn handover() -> Handover {
    Handover { via: Route::BetweenTools, at: Timestamp::UNIX_EPOCH, trace: serde_json::json!({ "a": 1 }) }
}

#[tokio::test]
async fn what_was_taken_is_known_also_when_the_workspace_was_cleaned() {
    let lab = Lab::new().await;
    let session_dir = lab.root.path().join("sessions/workspace");
    std::fs::create_dir_all(&session_dir).unwrap();
    let lab = Lab { messenger: lab.messenger.keeping_taken(lab.root.path().join("sessions")), root: lab.root };
    let (taken, waiting) = (lab.post("taken").await, lab.post("waiting").await);
    let mailbox = lab.mailbox().keeping_taken(&session_dir);
    let mut open = mailbox.open().unwrap();
    open.take(&taken, &handover()).unwrap().unwrap();
    open.handed_over(&taken).unwrap();
    open.confirm(&taken, Timestamp::UNIX_EPOCH).unwrap();
    drop(open);
    let known = lab.progress().await;
    assert_eq!(known.len(), 2, "{known:?}");
    std::fs::remove_dir_all(lab.workspace().join(".ao")).unwrap();
    assert_eq!(lab.progress().await, known.iter().filter(|(id, _)| *id == taken).cloned().collect::<Vec<_>>());
    // Nobody hands it over once more, and what waited is posted anew.
    assert_eq!((lab.post("taken").await, lab.post("waiting").await), (taken.clone(), waiting.clone()));
    assert_eq!(mailbox.open().unwrap().waiting().unwrap(), [waiting]);
    lab.messenger.forget(&lab.workspace(), std::slice::from_ref(&taken)).await.unwrap();
    assert!(lab.progress().await.iter().all(|(id, _)| *id != taken), "{:?}", lab.progress().await);
    assert_eq!(std::fs::read_dir(session_dir.join("taken")).unwrap().count(), 0);
}

#[tokio::test]
async fn i12_what_is_no_message_of_aos_is_passed_over() {
    let lab = Lab::new().await;
    let inbox = lab.workspace().join(".ao/inbox");
    let secret = lab.root.path().join("outside/secret");
    std::fs::write(&secret, "secret").unwrap();
    let name = |number: u64, id: &str| inbox.join(format!("{number:020}_{}.md", MessageId::hash_of(id)));
    symlink(&secret, name(1, "link")).unwrap();
    std::fs::create_dir(name(2, "directory")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, name(3, "pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::fs::write(name(4, "bytes"), b"\xff\xfe").unwrap();
    std::fs::write(name(5, "huge"), vec![b'x'; MAX_BODY_BYTES + 2048]).unwrap();
    let good = lab.post("good").await;
    let mailbox = lab.mailbox();
    let mut open = mailbox.open().unwrap();
    let taken: Vec<_> = open
        .waiting()
        .unwrap()
        .iter()
        .filter_map(|id| open.take(id, &handover()).unwrap())
        .map(|letter| letter.id)
        .collect();
    assert_eq!(taken, [good]);
}

#[tokio::test]
async fn i12_links_in_the_place_of_directories_and_locks_are_refused() {
    let lab = Lab::new().await;
    lab.post("a").await;
    let (ao, outside) = (lab.workspace().join(".ao"), lab.root.path().join("outside"));
    for place in ["taken", "inbox", "lock"] {
        let (path, aside) = (ao.join(place), lab.root.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        let target = if place == "lock" { outside.join("lock") } else { outside.clone() };
        symlink(&target, &path).unwrap();
        let mailbox = lab.mailbox();
        let opened = mailbox.open();
        assert!(matches!(opened.map(drop), Err(MessengerError::Planted { .. })), "{place}");
        assert!(
            matches!(lab.messenger.progress(&lab.workspace()).await, Err(MessengerError::Planted { .. })),
            "{place}"
        );
        assert!(
            matches!(lab.messenger.take_back(&lab.workspace()).await, Err(MessengerError::Planted { .. })),
            "{place}"
        );
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
    }
    // Links that lead to what is not there, in the place of the marks of a turn.
    symlink(outside.join("turn"), ao.join("turn")).unwrap();
    symlink(outside.join("turn"), ao.join("turn-over")).unwrap();
    symlink(outside.join("turn"), ao.join("settled")).unwrap();
    lab.mailbox().note_turn(true).unwrap();
    lab.mailbox().note_turn(false).unwrap();
    lab.mailbox().note_settled().unwrap();
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "written outside the workspace");
}

/// What a hook does with all that waits, as far as it is let; gives what it took out.
fn hand_all_over(lab: &Lab, number: usize) -> Result<Vec<Letter>, MessengerError> {
    let mailbox = lab.mailbox();
    mailbox.note_turn(number.is_multiple_of(2))?;
    mailbox.turn()?;
    mailbox.note_settled()?;
    mailbox.settled_at()?;
    let mut open = mailbox.open()?;
    for left in open.unconfirmed()? {
        open.text(&left.id)?;
        open.give_back(&left.id)?;
    }
    let mut taken = Vec::new();
    for id in open.waiting()? {
        let Some(letter) = open.take(&id, &handover())? else { continue };
        open.note(&id, &handover())?;
        let text = open.text(&id)?;
        assert!(text.is_none_or(|text| text == letter.text), "another text is there");
        assert_eq!(open.keep(&id)?, lab.workspace().join(format!(".ao/messages/{id}.md")));
        open.handed_over(&id)?;
        if !number.is_multiple_of(3) {
            open.confirm(&id, Timestamp::UNIX_EPOCH)?;
        }
        taken.push(letter);
    }
    Ok(taken)
}

/// A message from its post to where it is forgotten, as far as that is let; gives what a hook took out.
async fn life(lab: &Lab, name: &str, number: usize) -> Result<Vec<Letter>, MessengerError> {
    let id = lab.try_post(name).await?;
    let taken = hand_all_over(lab, number)?;
    lab.messenger.progress(&lab.workspace()).await?;
    lab.messenger.take_back(&lab.workspace()).await?;
    lab.messenger.forget(&lab.workspace(), &[id]).await?;
    Ok(taken)
}

fn insist_on_posted_texts(letters: &[Letter]) {
    assert!(letters.iter().all(|letter| letter.text.starts_with("text ")), "read outside: {letters:?}");
}

/// A file outside that nobody may read, write or move.
fn secret(lab: &Lab) -> PathBuf {
    let secret = lab.root.path().join("outside/secret");
    std::fs::write(&secret, "secret").unwrap();
    std::fs::File::options().append(true).open(&secret).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    secret
}

fn assert_untouched(lab: &Lab, secret: &Path) {
    let outside: Vec<_> = std::fs::read_dir(lab.root.path().join("outside")).unwrap().flatten().collect();
    assert_eq!(outside.iter().map(std::fs::DirEntry::path).collect::<Vec<_>>(), [secret], "what is outside is another");
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "secret", "written outside the workspace");
    let touched = std::fs::metadata(secret).unwrap().modified().unwrap();
    assert_eq!(touched, std::time::UNIX_EPOCH, "touched outside the workspace");
}

#[tokio::test]
async fn i12_links_with_the_names_of_messages_are_neither_read_nor_written_through() {
    for planted in [
        "inbox/N.md",
        "taken/N.md",
        "taken/N.sent",
        "taken/N.done",
        "taken/N.json",
        "messages/ID.md",
        "turn",
        "turn-over",
        "lock",
    ] {
        let lab = Lab::new().await;
        let (secret, ao) = (secret(&lab), lab.workspace().join(".ao"));
        // The first one makes all directories.
        assert_eq!(life(&lab, "first", 1).await.unwrap().len(), 1);
        let id = lab.post("a").await;
        let stem = std::fs::read_dir(ao.join("inbox")).unwrap().flatten().next().unwrap().path();
        let place = planted.replace('N', stem.file_stem().unwrap().to_str().unwrap()).replace("ID", id.as_str());
        let _ = std::fs::remove_file(ao.join(&place));
        symlink(&secret, ao.join(&place)).unwrap();
        for number in 0..3 {
            for taken in [hand_all_over(&lab, number), life(&lab, "a", number).await] {
                match taken {
                    Ok(letters) => insist_on_posted_texts(&letters),
                    Err(MessengerError::Planted { .. } | MessengerError::File { .. }) => {}
                    Err(error) => panic!("{planted}: {error:?}"),
                }
                assert_untouched(&lab, &secret);
            }
        }
        // Once whoever planted it takes it away, the next one goes its way.
        for directory in ["", "inbox", "taken", "messages"] {
            for entry in std::fs::read_dir(ao.join(directory)).unwrap().flatten() {
                if entry.file_type().unwrap().is_symlink() {
                    std::fs::remove_file(entry.path()).unwrap();
                }
            }
        }
        let last = life(&lab, "last", 1).await.unwrap().pop().unwrap();
        assert_eq!(last.text, "text last", "{planted}");
        assert_untouched(&lab, &secret);
    }
}
