//! The contract of [`AgentMessenger`], for adapters that keep messages below the workspace's `.ao`.
//!
//! What becomes of messages on the agent's side has a suite of its own, [`mailbox`](super::mailbox), with the same fixture.
//!
//! Give [`check_all`] a function that makes a [`Fixture`], or call the checks one by one; each wants a fixture of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a contract suite fails by panicking, as every check says in its name"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::domain::Timestamp;
use crate::domain::id::MessageId;
use crate::domain::message::Message;
use crate::domain::sender::Sender;
use crate::ports::messenger::{AgentMessenger, MessengerError};

/// Gives the texts that wait in a workspace, in the order in which its agent would take them.
pub type Waiting = fn(workspace: &Path) -> Vec<String>;

/// A messenger, an empty workspace, and a directory beside it in which nothing may ever appear.
pub struct Fixture {
    pub(super) messenger: Arc<dyn AgentMessenger>,
    waiting: Waiting,
    pub(super) workspace: PathBuf,
    pub(super) outside: PathBuf,
    _root: TempDir,
}

impl Fixture {
    /// A fresh workspace for this messenger.
    pub fn new(messenger: Arc<dyn AgentMessenger>, waiting: Waiting) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (workspace, outside) = (root.path().join("workspace"), root.path().join("outside"));
        for directory in [&workspace, &outside, &outside.join("inbox")] {
            fs::create_dir(directory).unwrap();
        }
        Self { messenger, waiting, workspace, outside, _root: root }
    }

    pub(super) async fn post(&self, id: &str, body: &str) -> Result<(), MessengerError> {
        self.messenger.post(&self.workspace, &message(id, body)).await
    }

    fn waiting(&self) -> Vec<String> {
        (self.waiting)(&self.workspace)
    }

    fn assert_nothing_outside(&self) {
        let found: Vec<PathBuf> = files_below(&self.outside);
        assert!(found.is_empty(), "written outside the workspace: {found:?}");
    }
}

fn message(id: &str, body: &str) -> Message {
    Message {
        id: MessageId::hash_of(id),
        session: "app-1".parse().unwrap(),
        from: Sender::Person,
        body: body.to_owned(),
        created_at: Timestamp::UNIX_EPOCH,
    }
}

/// Every directory below this one, the nearest first, links not followed.
pub(super) fn directories_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
            found.extend(directories_below(&entry.path()));
        }
    }
    found
}

pub(super) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut directories = directories_below(directory);
    directories.push(directory.to_owned());
    let entries = directories.iter().flat_map(|inner| fs::read_dir(inner).into_iter().flatten().flatten());
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir())).map(|entry| entry.path()).collect()
}

/// Runs every check, each on a fixture of its own.
pub async fn check_all(fixture: impl Fn() -> Fixture) {
    opening_twice_is_opening_once(&fixture()).await;
    messages_wait_in_the_order_they_were_posted(&fixture()).await;
    text_arrives_byte_for_byte(&fixture()).await;
    posting_twice_is_posting_once(&fixture()).await;
    what_was_taken_can_be_posted_again(&fixture()).await;
    messages_posted_at_once_all_arrive(&fixture()).await;
    empty_and_oversized_text_is_refused(&fixture()).await;
    a_missing_workspace_is_refused_and_not_made(&fixture()).await;
    directories_and_files_are_private(&fixture()).await;
    planted_links_are_refused(&fixture()).await;
    planted_files_are_refused(&fixture()).await;
    links_planted_during_the_work_are_not_followed(&fixture()).await;
}

/// `open` is idempotent, and `post` does not depend on it.
pub async fn opening_twice_is_opening_once(fixture: &Fixture) {
    fixture.messenger.open(&fixture.workspace).await.unwrap();
    fixture.post("a", "one").await.unwrap();
    fixture.messenger.open(&fixture.workspace).await.unwrap();
    assert_eq!(fixture.waiting(), ["one"]);
}

/// Taken in the order they were posted.
pub async fn messages_wait_in_the_order_they_were_posted(fixture: &Fixture) {
    let bodies: Vec<String> = (0..25).map(|number| format!("text {number}")).collect();
    for body in &bodies {
        fixture.post(&body.replace(' ', "-"), body).await.unwrap();
    }
    assert_eq!(fixture.waiting(), bodies);
}

/// Any text, unchanged.
pub async fn text_arrives_byte_for_byte(fixture: &Fixture) {
    let bodies = [
        "no newline",
        "\nlines\r\n\n",
        "---\nfrom: x\n---\n",
        "🦀 ü $(id) `id` \"'\\ \0 \u{1b}[31m",
        &"x".repeat(1 << 20),
    ];
    for (number, body) in bodies.iter().enumerate() {
        fixture.post(&number.to_string(), body).await.unwrap();
    }
    assert!(fixture.waiting() == bodies, "a text was changed");
}

/// The same id again changes nothing while the message waits.
pub async fn posting_twice_is_posting_once(fixture: &Fixture) {
    for id in ["a", "b", "a", "b"] {
        fixture.post(id, &format!("text {id}")).await.unwrap();
    }
    assert_eq!(fixture.waiting(), ["text a", "text b"]);
    let before = files_below(&fixture.workspace);
    fixture.post("a", "text a").await.unwrap();
    assert_eq!(files_below(&fixture.workspace), before);
}

/// Once it was taken, it is a message like any other, and waits behind what was posted before.
pub async fn what_was_taken_can_be_posted_again(fixture: &Fixture) {
    fixture.post("a", "text a").await.unwrap();
    for taken in files_below(&fixture.workspace) {
        fs::remove_file(taken).unwrap();
    }
    fixture.post("b", "text b").await.unwrap();
    fixture.post("a", "text a").await.unwrap();
    assert_eq!(fixture.waiting(), ["text b", "text a"]);
}

/// Any number at once: none is lost, none is doubled, each is whole. Half of them are posted twice.
pub async fn messages_posted_at_once_all_arrive(fixture: &Fixture) {
    let posts: Vec<_> = (0..48)
        .map(|number| {
            let (messenger, workspace) = (Arc::clone(&fixture.messenger), fixture.workspace.clone());
            let number = number % 32;
            let message = message(&format!("m{number}"), &format!("text {number} ").repeat(1000));
            tokio::spawn(async move { messenger.post(&workspace, &message).await })
        })
        .collect();
    for post in posts {
        post.await.unwrap().unwrap();
    }
    let mut waiting = fixture.waiting();
    waiting.sort();
    let mut expected: Vec<String> = (0..32).map(|number| format!("text {number} ").repeat(1000)).collect();
    expected.sort();
    assert!(waiting == expected, "{} of 32 messages wait", waiting.len());
    let left: Vec<PathBuf> = files_below(&fixture.workspace);
    let temporary = left.iter().filter(|path| path.extension().is_some_and(|extension| extension == "tmp")).count();
    assert_eq!(temporary, 0, "a temporary file was left: {left:?}");
}

/// Refused with the reason, and nothing is made.
pub async fn empty_and_oversized_text_is_refused(fixture: &Fixture) {
    for empty in ["", " \n\t"] {
        assert!(matches!(fixture.post("a", empty).await, Err(MessengerError::Empty)), "{empty:?}");
    }
    let size = (1 << 20) + 1;
    let refused = fixture.post("a", &"x".repeat(size)).await;
    assert!(matches!(refused, Err(MessengerError::TooLarge { size_bytes, .. }) if size_bytes == size), "{refused:?}");
    assert!(files_below(&fixture.workspace).is_empty());
}

/// A workspace that is gone does not come back because of a message.
pub async fn a_missing_workspace_is_refused_and_not_made(fixture: &Fixture) {
    fs::remove_dir(&fixture.workspace).unwrap();
    assert!(matches!(fixture.messenger.open(&fixture.workspace).await, Err(MessengerError::File { .. })));
    assert!(matches!(fixture.post("a", "text").await, Err(MessengerError::File { .. })));
    assert!(!fixture.workspace.exists());
}

/// Directories 0750 and files 0600, whatever the process's umask; also directories that were there with another mode.
pub async fn directories_and_files_are_private(fixture: &Fixture) {
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    fs::create_dir(fixture.workspace.join(".ao")).unwrap();
    fs::set_permissions(fixture.workspace.join(".ao"), fs::Permissions::from_mode(0o777)).unwrap();
    fixture.post("a", "text").await.unwrap();
    for directory in directories_below(&fixture.workspace) {
        assert_eq!(format!("{:o}", mode(&directory)), "750", "{}", directory.display());
    }
    for file in files_below(&fixture.workspace) {
        assert_eq!(format!("{:o}", mode(&file)), "600", "{}", file.display());
    }
}

/// A link in the place of `.ao`, or of any directory below it, is refused as such, and nothing is written where it leads.
pub async fn planted_links_are_refused(fixture: &Fixture) {
    fixture.post("first", "text").await.unwrap();
    let places = directories_below(&fixture.workspace);
    assert!(!places.is_empty(), "the messenger keeps nothing in the workspace");
    for place in &places {
        let aside = fixture.workspace.join("aside");
        fs::rename(place, &aside).unwrap();
        let dangling = fixture.outside.join("not-there");
        for target in [fixture.outside.as_path(), aside.as_path(), dangling.as_path()] {
            symlink(target, place).unwrap();
            let opened = fixture.messenger.open(&fixture.workspace).await;
            assert!(matches!(opened, Err(MessengerError::Planted { .. })), "{}: {opened:?}", place.display());
            let posted = fixture.post("second", "text").await;
            assert!(matches!(posted, Err(MessengerError::Planted { .. })), "{}: {posted:?}", place.display());
            fs::remove_file(place).unwrap();
        }
        fs::rename(&aside, place).unwrap();
    }
    assert!(!fixture.outside.join("not-there").exists());
    fixture.assert_nothing_outside();
    assert_eq!(fixture.waiting(), ["text"]);
}

/// So is a file in the place of a directory.
pub async fn planted_files_are_refused(fixture: &Fixture) {
    fs::write(fixture.workspace.join(".ao"), "mine").unwrap();
    let posted = fixture.post("a", "text").await;
    assert!(matches!(posted, Err(MessengerError::Planted { .. })), "{posted:?}");
    assert_eq!(fs::read_to_string(fixture.workspace.join(".ao")).unwrap(), "mine");
}

/// An agent that swaps directories for links all the time gets nothing written outside.
pub async fn links_planted_during_the_work_are_not_followed(fixture: &Fixture) {
    fixture.messenger.open(&fixture.workspace).await.unwrap();
    // It rests between rounds, so that some are accepted on however many cores.
    let swapper = Swapper::start(&fixture.workspace, &fixture.outside, Duration::from_micros(500));
    let (mut accepted, mut refused) = (0, 0);
    for number in 0..5000 {
        match fixture.post(&format!("m{number}"), "text").await {
            Ok(()) => accepted += 1,
            Err(MessengerError::Planted { .. } | MessengerError::File { .. }) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
        if accepted >= 20 && refused >= 20 {
            break;
        }
    }
    let swaps = swapper.stop();
    fixture.assert_nothing_outside();
    let raced = swaps > 0 && refused > 0 && accepted > 0;
    assert!(raced, "the race never happened: {swaps} swaps, {refused} refused, {accepted} accepted");
}

/// One who swaps what a messenger keeps in a workspace for links that lead outside, and back, all the time.
pub struct Swapper {
    stop: Arc<AtomicBool>,
    swapping: Option<std::thread::JoinHandle<u64>>,
}

impl Swapper {
    /// Swaps the directories that are there now; after each round it rests for `pause`.
    #[must_use]
    pub fn start(workspace: &Path, outside: &Path, pause: Duration) -> Self {
        let places = directories_below(workspace);
        Self::swap_all(workspace, move || places.clone(), outside, [Duration::ZERO, pause])
    }

    /// As [`start`](Self::start), but swaps each file that is there at the beginning of a round, for a link to `target` that stays for
    /// `stay`.
    #[must_use]
    pub fn start_with_files(workspace: &Path, target: &Path, stay: Duration) -> Self {
        let ao = workspace.join(".ao");
        Self::swap_all(workspace, move || files_below(&ao), target, [stay, 10 * stay])
    }

    fn swap_all(
        workspace: &Path,
        places: impl Fn() -> Vec<PathBuf> + Send + 'static,
        target: &Path,
        [stay, pause]: [Duration; 2],
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (aside, target) = (workspace.join("aside"), target.to_owned());
        let swapping = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut swaps = 0;
                while !stop.load(Ordering::Relaxed) {
                    swaps += places().iter().filter(|place| swap(place, &target, &aside, stay)).count() as u64;
                    std::thread::sleep(pause);
                }
                swaps
            }
        });
        Self { stop, swapping: Some(swapping) }
    }

    /// Stops, with everything in its place, and gives the number of swaps.
    #[must_use]
    pub fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.swapping.take().map_or(0, |swapping| swapping.join().unwrap())
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn swap(place: &Path, target: &Path, aside: &Path, stay: Duration) -> bool {
    // The messenger may make a directory anew between the two renames; then both lie there until the next turn.
    let is_taken = fs::rename(place, aside).is_ok();
    if is_taken {
        let linked = symlink(target, place).is_ok();
        if stay.is_zero() {
            std::thread::yield_now();
        } else {
            std::thread::sleep(stay);
        }
        // The messenger may have moved a link in the place of a file on.
        if linked && fs::symlink_metadata(place).is_ok_and(|found| found.is_symlink()) {
            let _ = fs::remove_file(place);
        }
        if fs::rename(aside, place).is_err() {
            fs::remove_dir_all(aside).unwrap();
        }
    }
    is_taken
}
