use std::os::unix::fs::symlink;
use std::sync::Arc;

use super::*;
use crate::adapters::messenger::InboxMessenger;
use crate::domain::message::{Message, Progress, Route};
use crate::domain::sender::Sender;
use crate::ports::clock::Clock;
use crate::ports::messenger::AgentMessenger;
use crate::testing::messenger::Swapper;

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
async fn a_message_is_followed_from_the_inbox_to_its_end() {
    let lab = Lab::new().await;
    let mailbox = lab.mailbox();
    assert!(mailbox.is_quiet().unwrap());
    let (a, b) = (lab.post("a").await, lab.post("b").await);
    assert!(!mailbox.is_quiet().unwrap());
    let mut open = mailbox.open().unwrap();
    assert_eq!(open.waiting().unwrap(), [a.clone(), b.clone()]);
    let letter = open.take(&a, &handover()).unwrap().unwrap();
    assert_eq!(letter, Letter { id: a.clone(), text: "text a".into() });
    open.handed_over(&a).unwrap();
    drop(open);
    let injected = Progress::Injected { via: Route::BetweenTools, at: Timestamp::UNIX_EPOCH };
    assert_eq!(lab.progress().await, [(a.clone(), injected), (b.clone(), Progress::Waiting)]);
    lab.messenger.forget(&lab.workspace(), std::slice::from_ref(&a)).await.unwrap();
    assert_eq!(lab.progress().await.len(), 2, "what was not taken is not forgotten");
    // Posting it again changes nothing, however far it has come.
    lab.post("a").await;
    assert_eq!(lab.progress().await.len(), 2);

    let mut open = mailbox.open().unwrap();
    assert_eq!(
        open.unconfirmed().unwrap(),
        [Unconfirmed { id: a.clone(), handover: handover(), was_handed_over: true }]
    );
    let later = Timestamp::from_second(9).unwrap();
    open.confirm(&a, later).unwrap();
    drop(open);
    let (via, injected_at) = (Route::BetweenTools, Timestamp::UNIX_EPOCH);
    assert_eq!(lab.progress().await[0], (a.clone(), Progress::Acknowledged { via, injected_at, at: later }));
    lab.messenger.forget(&lab.workspace(), std::slice::from_ref(&a)).await.unwrap();
    assert_eq!(lab.progress().await, [(b, Progress::Waiting)]);
    assert_eq!(std::fs::read_dir(lab.workspace().join(".ao/taken")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_hook_took_and_did_not_hand_over_is_the_next_ones_in_its_old_place() {
    let lab = Lab::new().await;
    let mailbox = lab.mailbox();
    let (a, b, c) = (lab.post("a").await, lab.post("b").await, lab.post("c").await);
    let mut open = mailbox.open().unwrap();
    for id in [&a, &b] {
        open.take(id, &handover()).unwrap().unwrap();
    }
    // As when its process is killed.
    drop(open);
    assert!(lab.progress().await.iter().all(|(_, progress)| *progress == Progress::Waiting));
    let mut open = mailbox.open().unwrap();
    let left: Vec<_> = open.unconfirmed().unwrap().into_iter().map(|left| (left.id, left.was_handed_over)).collect();
    assert_eq!(left, [(a.clone(), false), (b.clone(), false)]);
    open.give_back(&b).unwrap();
    open.give_back(&a).unwrap();
    open.give_back(&a).unwrap();
    assert_eq!(open.waiting().unwrap(), [a, b, c]);
}

#[tokio::test]
async fn how_far_a_handover_is_can_be_put_on_record_while_it_goes_on() {
    let lab = Lab::new().await;
    let mailbox = lab.messenger.mailbox(&lab.workspace());
    let (a, b) = (lab.post("a").await, lab.post("b").await);
    let mut open = mailbox.open().unwrap();
    open.take(&a, &handover()).unwrap().unwrap();
    let further = Handover { via: Route::Terminal, trace: serde_json::json!("typed"), ..handover() };
    open.note(&a, &further).unwrap();
    // As when its process is killed.
    drop(open);
    let mut open = mailbox.open().unwrap();
    let left = Unconfirmed { id: a.clone(), handover: further, was_handed_over: false };
    assert_eq!(open.unconfirmed().unwrap(), [left]);
    assert_eq!((open.text(&a).unwrap().as_deref(), open.text(&b).unwrap()), (Some("text a"), None));
    open.handed_over(&a).unwrap();
    assert_eq!(open.text(&a).unwrap().as_deref(), Some("text a"));
    assert!(open.note(&a, &handover()).is_err(), "what was handed over was handed over so");
}

#[tokio::test]
async fn what_an_ended_agent_had_not_taken_waits_again_and_the_rest_does_not() {
    let lab = Lab::new().await;
    let mailbox = lab.mailbox();
    let ids = [lab.post("a").await, lab.post("b").await, lab.post("c").await];
    let mut open = mailbox.open().unwrap();
    for id in &ids {
        open.take(id, &handover()).unwrap().unwrap();
    }
    open.handed_over(&ids[0]).unwrap();
    open.handed_over(&ids[1]).unwrap();
    open.confirm(&ids[0], Timestamp::UNIX_EPOCH).unwrap();
    drop(open);
    mailbox.note_turn(true).unwrap();
    assert!(matches!(mailbox.turn().unwrap(), Turn::Running { .. }));
    lab.messenger.take_back(&lab.workspace()).await.unwrap();
    assert_eq!(mailbox.turn().unwrap(), Turn::Over { since: None }, "an agent that ended is in no turn");
    assert_eq!(mailbox.open().unwrap().waiting().unwrap(), ids[1..]);
    assert!(matches!(lab.progress().await[0].1, Progress::Acknowledged { .. }));
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
    let id = lab.post("a").await;
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
    // A link in the place of where long texts go, and of the mark of a turn.
    symlink(&outside, ao.join("messages")).unwrap();
    symlink(outside.join("turn"), ao.join("turn")).unwrap();
    symlink(outside.join("turn"), ao.join("turn-over")).unwrap();
    let mailbox = lab.mailbox();
    let mut open = mailbox.open().unwrap();
    open.take(&id, &handover()).unwrap().unwrap();
    assert!(matches!(open.keep(&id), Err(MessengerError::Planted { .. })));
    mailbox.note_turn(true).unwrap();
    mailbox.note_turn(false).unwrap();
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "written outside the workspace");
}

#[tokio::test]
async fn i12_links_planted_while_messages_are_moved_are_not_followed() {
    let lab = Lab::new().await;
    let outside = lab.root.path().join("outside");
    let mailbox = lab.mailbox();
    let first = lab.post("first").await;
    {
        let mut open = mailbox.open().unwrap();
        open.take(&first, &handover()).unwrap();
        open.keep(&first).unwrap();
    }
    mailbox.note_turn(true).unwrap();
    // With a rest in which a whole life has room.
    let swapper = Swapper::start(&lab.workspace(), &outside, Duration::from_millis(1));
    let (mut done, mut refused) = (0, 0);
    for number in 0..100_000 {
        if done >= 30 && refused >= 300 {
            break;
        }
        let life = async {
            let id = lab.try_post(&format!("m{number}")).await?;
            mailbox.note_turn(number % 2 == 0)?;
            {
                let mut open = mailbox.open()?;
                open.take(&id, &handover())?;
                open.keep(&id)?;
                open.handed_over(&id)?;
                if number % 3 > 0 {
                    open.confirm(&id, Timestamp::UNIX_EPOCH)?;
                }
            }
            lab.messenger.take_back(&lab.workspace()).await?;
            lab.messenger.forget(&lab.workspace(), &[id]).await
        };
        match life.await {
            Ok(()) => done += 1,
            Err(MessengerError::Planted { .. } | MessengerError::File { .. }) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    let swaps = swapper.stop();
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "written outside the workspace");
    assert!(done > 0 && refused > 0, "the race never happened: {swaps} swaps, {done} done, {refused} refused");
}

/// What a hook does with all that waits, as far as it is let; gives what it took out.
fn hand_all_over(lab: &Lab, number: usize) -> Result<Vec<Letter>, MessengerError> {
    let mailbox = lab.mailbox();
    mailbox.note_turn(number.is_multiple_of(2))?;
    mailbox.turn()?;
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
        open.keep(&id)?;
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

#[tokio::test]
async fn i12_files_swapped_for_links_while_messages_are_moved_are_not_followed() {
    let lab = Lab::new().await;
    let secret = secret(&lab);
    life(&lab, "first", 1).await.unwrap();
    let swapper = Swapper::start_with_files(&lab.workspace(), &secret, Duration::from_micros(300));
    let (mut done, mut hindered) = (0, 0);
    for number in 0..10_000 {
        if done >= 20 && hindered >= 20 {
            break;
        }
        // What was hindered before would hinder all that come after it.
        for directory in ["inbox", "taken", "messages"] {
            for left in std::fs::read_dir(lab.workspace().join(".ao").join(directory)).unwrap().flatten() {
                let _ = std::fs::remove_file(left.path());
            }
        }
        match life(&lab, &format!("m{number}"), number).await {
            Ok(letters) if !letters.is_empty() => {
                insist_on_posted_texts(&letters);
                done += 1;
            }
            Ok(_) | Err(MessengerError::Planted { .. } | MessengerError::File { .. }) => hindered += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    let swaps = swapper.stop();
    assert_untouched(&lab, &secret);
    assert!(done > 0 && hindered > 0, "the race never happened: {swaps} swaps, {done} done, {hindered} hindered");
}

#[tokio::test]
async fn a_long_text_is_kept_where_the_agent_can_read_it() {
    let lab = Lab::new().await;
    let id = lab.post("a").await;
    let mailbox = lab.mailbox();
    let mut open = mailbox.open().unwrap();
    open.take(&id, &handover()).unwrap().unwrap();
    let kept = open.keep(&id).unwrap();
    assert_eq!(kept, lab.workspace().join(format!(".ao/messages/{id}.md")));
    // Taken again after its hook was killed, it is there already.
    assert_eq!(open.keep(&id).unwrap(), kept);
    open.handed_over(&id).unwrap();
    open.confirm(&id, Timestamp::UNIX_EPOCH).unwrap();
    drop(open);
    lab.messenger.forget(&lab.workspace(), &[id]).await.unwrap();
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "text a");
}

#[tokio::test]
async fn nothing_waits_in_a_workspace_that_is_gone_or_was_never_opened() {
    let root = tempfile::tempdir().unwrap();
    for path in [root.path().to_owned(), root.path().join("gone")] {
        let mailbox = FileMailbox::new(path.clone());
        assert!(mailbox.is_quiet().unwrap());
        assert!(matches!(mailbox.open().map(drop), Err(MessengerError::File { .. })));
        let messenger = InboxMessenger::new(Arc::new(Fixed));
        assert!(messenger.progress(&path).await.unwrap().is_empty());
        messenger.take_back(&path).await.unwrap();
    }
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0, "looking makes nothing");
}
