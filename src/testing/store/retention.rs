//! What may go from the stores, and what is told of it.

use std::sync::Arc;
use std::time::Duration;

use super::{
    StoreFixture, add_a_note, all_changes, assert_gapless, at, id, note, over, project, reopen, session, soon, with_app,
};
use crate::domain::change::{ChangeKind, NewChange};
use crate::domain::phase::Phase;
use crate::domain::session::Session;
use crate::ports::store::{ChangeFilter, ChangeLog, ProjectStore, SessionFilter, SessionStore, StoreError};

/// A store with `count` changes, which a project and a session tell of.
async fn with_changes<F: StoreFixture>(fixture: &F, count: u64) -> Arc<F::Store> {
    let store = with_app(fixture).await;
    let notes: Vec<NewChange> = (1..count).map(|_| note("x")).collect();
    store.insert_session(&mut session("app-1"), &notes).await.expect("recorded");
    store
}

async fn seqs_since(log: &impl ChangeLog, since: u64) -> Result<Vec<u64>, StoreError> {
    let filter = ChangeFilter { since, limit: 100_000, ..ChangeFilter::default() };
    Ok(log.changes(&filter).await?.iter().map(|change| change.seq).collect())
}

fn is_gone<T: std::fmt::Debug>(answer: &Result<T, StoreError>, asked: u64, kept: u64) -> bool {
    matches!(answer, Err(StoreError::ChangesGone { since, oldest }) if (*since, *oldest) == (asked, kept))
}

/// Only the oldest go, in parts when asked so; what stays has its numbers, also after a reopen, and new ones follow them.
pub async fn i16_trimming_takes_the_oldest_changes_and_leaves_no_gap(fixture: &impl StoreFixture) {
    let store = with_changes(fixture, 50).await;
    assert_eq!(store.trim_changes(50, 100).await.expect("trimmed"), 0);
    assert_eq!(store.trim_changes(u64::MAX, 100).await.expect("trimmed"), 0);
    assert_eq!(seqs_since(&*store, 0).await.expect("the log"), (1..=50).collect::<Vec<_>>());
    for (went, oldest) in [(15, 16), (15, 31), (10, 41), (0, 41)] {
        assert_eq!(store.trim_changes(10, 15).await.expect("trimmed"), went);
        assert_eq!(seqs_since(&*store, oldest - 1).await.expect("the log"), (oldest..=50).collect::<Vec<_>>());
    }
    let store = reopen(fixture, store).await;
    let mut one = store.session(&id("app-1")).await.expect("read").expect("there");
    store.update_session(&mut one, &[note("y"), note("z")]).await.expect("updated");
    assert_eq!(seqs_since(&*store, 40).await.expect("the log"), (41..=52).collect::<Vec<_>>());
}

/// A subscriber that comes back with the last number it saw never gets what came later in place of what it missed.
pub async fn i16_who_asks_for_trimmed_changes_is_told_so(fixture: &impl StoreFixture) {
    let store = with_changes(fixture, 20).await;
    store.trim_changes(5, 100).await.expect("trimmed");
    for since in [0, 1, 14] {
        let answer = seqs_since(&*store, since).await;
        assert!(is_gone(&answer, since, 16), "{answer:?}");
        // It cannot be told any more whether one of these was among them.
        let of_another = ChangeFilter { since, session: Some(id("app-7")), limit: 1 };
        let answer = store.changes(&of_another).await;
        assert!(is_gone(&answer, since, 16), "{answer:?}");
    }
    assert_eq!(seqs_since(&*store, 15).await.expect("the log"), [16, 17, 18, 19, 20]);
    assert_eq!(seqs_since(&*store, 20).await.expect("the log"), Vec::<u64>::new());
}

/// The last number is that of the newest change there ever was.
pub async fn numbers_of_changes_go_on_when_all_were_trimmed(fixture: &impl StoreFixture) {
    let store = with_changes(fixture, 7).await;
    assert_eq!(store.trim_changes(0, 100).await.expect("trimmed"), 7);
    assert_eq!(store.trim_changes(0, 100).await.expect("trimmed again"), 0);
    for _ in 0..2 {
        assert_eq!(store.last_seq().await.expect("the last number"), 7);
    }
    let store = reopen(fixture, store).await;
    assert_eq!(store.last_seq().await.expect("the last number"), 7);
    let answer = seqs_since(&*store, 6).await;
    assert!(is_gone(&answer, 6, 8), "{answer:?}");
    assert_eq!(seqs_since(&*store, 7).await.expect("the log"), Vec::<u64>::new());
    soon(store.wait_beyond(6)).await;
    let beyond = tokio::time::timeout(Duration::from_millis(50), store.wait_beyond(7)).await;
    assert!(beyond.is_err(), "there is no change beyond 7");
    store.add_project(&project("web")).await.expect("registered");
    assert_eq!(seqs_since(&*store, 7).await.expect("the log"), [8]);
    soon(store.wait_beyond(7)).await;
}

/// A reader that follows the log while others write and trim sees every number, or is told from where to go on.
pub async fn trimming_and_writing_at_once_lose_nothing(fixture: &impl StoreFixture) {
    const WRITES: u64 = 100;
    let store = with_changes(fixture, 1).await;
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for _ in 0..WRITES {
                add_a_note(&*store, &id("app-1")).await;
                store.trim_changes(3, 2).await.expect("trimmed");
            }
        }
    });
    let (mut seen, mut told) = (0, 0);
    while seen < 1 + WRITES {
        match seqs_since(&*store, seen).await {
            Ok(new) => {
                assert_eq!(new, (seen + 1..=seen + new.len() as u64).collect::<Vec<_>>());
                seen += new.len() as u64;
                told += new.len();
            }
            Err(StoreError::ChangesGone { since, oldest }) => {
                assert!(since == seen && oldest > seen + 1, "{oldest} after {seen}");
                seen = oldest - 1;
            }
            Err(other) => panic!("{other}"),
        }
        if seen < 1 + WRITES {
            soon(store.wait_beyond(seen)).await;
        }
    }
    soon(writer).await.expect("no panic");
    assert!(told > 0 && seen == 1 + WRITES, "{told} told, {seen} seen");
    assert_eq!(seqs_since(&*store, WRITES - 2).await.expect("the log").len(), 3);
}

/// Those that changed longest ago first, of removed projects too; never one that is not over, or that changed since.
pub async fn sessions_that_are_over_are_listed_by_their_last_change(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    store.add_project(&project("web")).await.expect("registered");
    for (name, second) in [("app-1", 30), ("web-2", 10), ("app-3", 20), ("app-4", 40)] {
        let mut ended = Session { updated_at: at(second), ..over(session(name)) };
        store.insert_session(&mut ended, &[]).await.expect("recorded");
    }
    store.insert_session(&mut session("app-5"), &[]).await.expect("recorded");
    store.remove_project(&id("web"), at(11)).await.expect("removed");
    let listed = async |second| {
        let ids = store.over_since(at(second)).await.expect("listed");
        ids.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(listed(10).await, Vec::<String>::new());
    assert_eq!(listed(40).await, ["web-2", "app-3", "app-1"]);
    assert_eq!(listed(41).await, ["web-2", "app-3", "app-1", "app-4"]);
}

/// The record goes, the log keeps what it told and tells of that, and the number is not given out again: also for a
/// project that was removed.
pub async fn the_record_of_a_session_that_is_over_can_be_removed(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    store.add_project(&project("web")).await.expect("registered");
    for name in ["app-3", "web-1"] {
        store.insert_session(&mut over(session(name)), &[note("x")]).await.expect("recorded");
    }
    store.remove_project(&id("web"), at(5)).await.expect("removed");
    for name in ["app-3", "web-1"] {
        store.remove_session(&id(name), 1, at(50)).await.expect("removed");
        let answer = store.remove_session(&id(name), 1, at(50)).await;
        assert!(matches!(&answer, Err(StoreError::Missing { what: "session", .. })), "{answer:?}");
    }
    let store = reopen(fixture, store).await;
    let all = SessionFilter { project: None, include_terminated: true, ..SessionFilter::default() };
    assert_eq!(store.sessions(&all).await.expect("listed"), []);
    let log = all_changes(&*store).await;
    let of_it: Vec<_> = log.iter().filter(|change| change.session == Some(id("app-3"))).collect();
    assert_eq!(of_it.len(), 2);
    assert_eq!((of_it[1].kind, of_it[1].at), (ChangeKind::SessionRemoved, at(50)));
    assert_gapless(&*store, 7).await;
    assert_eq!(store.reserve_session_number(&id("app")).await.expect("reserved"), 4);
}

/// What is not over, or was changed by somebody else, stays, and the log says nothing.
pub async fn a_record_that_is_needed_is_not_removed(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    let mut one = session("app-1");
    store.insert_session(&mut one, &[]).await.expect("recorded");
    for phase in [Phase::recorded(), Phase::Live] {
        one.phase = phase;
        store.update_session(&mut one, &[]).await.expect("updated");
        let answer = store.remove_session(&one.id, one.version, at(9)).await;
        assert!(matches!(&answer, Err(StoreError::NotOver(id)) if *id == one.id), "{answer:?}");
    }
    let mut ended = over(one);
    store.update_session(&mut ended, &[]).await.expect("updated");
    let answer = store.remove_session(&ended.id, ended.version - 1, at(9)).await;
    assert!(matches!(&answer, Err(StoreError::Conflict(id)) if *id == ended.id), "{answer:?}");
    assert_eq!(store.session(&ended.id).await.expect("read"), Some(ended));
    assert_gapless(&*store, 1).await;
}
