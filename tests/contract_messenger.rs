//! The inbox keeps the messenger's contract, and the mailbox it gives keeps its own.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ao::adapters::clock::SystemClock;
use ao::adapters::messenger::InboxMessenger;
use ao::domain::Timestamp;
use ao::ports::clock::Clock;
use ao::testing::messenger::{self as contract, Fixture};

/// The texts as whoever takes messages reads them: `*.md` of the inbox in alphabetical order.
fn waiting(workspace: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(workspace.join(".ao/inbox")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

fn fixture() -> Fixture {
    fixture_at(SystemClock)
}

fn fixture_at(clock: impl Clock + 'static) -> Fixture {
    // Every test of this program runs with a umask that would take the group's rights away.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    Fixture::new(Arc::new(InboxMessenger::new(Arc::new(clock))), waiting)
}

/// A clock that stands: the order of messages is not the clock's.
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

macro_rules! checks {
    ($($test:ident => $check:ident),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            contract::$check(&fixture()).await;
        })*
    };
}

checks! {
    opening_twice_is_opening_once => opening_twice_is_opening_once,
    messages_wait_in_the_order_they_were_posted => messages_wait_in_the_order_they_were_posted,
    text_arrives_byte_for_byte => text_arrives_byte_for_byte,
    posting_twice_is_posting_once => posting_twice_is_posting_once,
    what_was_taken_can_be_posted_again => what_was_taken_can_be_posted_again,
    messages_posted_at_once_all_arrive => messages_posted_at_once_all_arrive,
    empty_and_oversized_text_is_refused => empty_and_oversized_text_is_refused,
    a_missing_workspace_is_refused_and_not_made => a_missing_workspace_is_refused_and_not_made,
    directories_and_files_are_private => directories_and_files_are_private,
    i12_planted_links_are_refused => planted_links_are_refused,
    i12_planted_files_are_refused => planted_files_are_refused,
    i12_links_planted_during_the_work_are_not_followed => links_planted_during_the_work_are_not_followed,
}

mod mailbox {
    use super::{Standing, fixture_at};
    ao::mailbox_contract!(fixture_at(Standing));
}
