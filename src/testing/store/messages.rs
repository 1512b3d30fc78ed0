//! The records of messages.

use super::{StoreFixture, all_changes, assert_gapless, at, id, over, reopen, session, with_app};
use crate::domain::change::{ChangeKind, NewChange};
use crate::domain::id::MessageId;
use crate::domain::message::{Message, MessageRecord, MessageState, Route};
use crate::domain::sender::Sender;
use crate::ports::message_store::MessageStore;
use crate::ports::store::{SessionStore, StoreError};

fn message(name: &str, to: &str) -> MessageRecord {
    MessageRecord::queued(Message {
        id: MessageId::hash_of(name),
        session: id(to),
        from: Sender::Person,
        body: format!("text {name}"),
        created_at: at(1),
    })
}

fn queued(record: &MessageRecord) -> [NewChange; 1] {
    [record.change(ChangeKind::MessageQueued)]
}

/// Any text, and the order in which they were recorded, also after a reopen.
pub async fn a_message_keeps_every_field_and_its_place(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    store.insert_session(&mut session("app-1"), &[]).await.expect("recorded");
    let mut full = message("z", "app-1");
    full.message.from = Sender::Session(id("other-7"));
    full.message.body = "Grüße, 世界 🦀 'q' \"d\" \\ \r\n\ttab\u{0}nul\u{1b}[31m".into();
    (full.state, full.via) = (MessageState::Returned, Some(Route::NextPrompt));
    (full.injected_at, full.acknowledged_at, full.error) = (Some(at(2)), Some(at(3)), Some("why".into()));
    full.depth = 29;
    let mut second = message("a", "app-1");
    second.message.from = Sender::Ao;
    for record in [&full, &second] {
        store.insert_message(record, &queued(record)).await.expect("recorded");
    }
    let store = reopen(fixture, store).await;
    assert_eq!(store.message(&full.message.id).await.expect("read"), Some(full.clone()));
    assert_eq!(store.messages(&id("app-1"), false).await.expect("read"), [full.clone(), second]);
    assert_eq!(store.message(&MessageId::hash_of("none")).await.expect("read"), None);
    assert_eq!(store.messages(&id("app-9"), false).await.expect("read"), []);
}

/// However many others came since.
pub async fn what_was_sent_last_is_found(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    for name in ["app-1", "app-2"] {
        store.insert_session(&mut session(name), &[]).await.expect("recorded");
    }
    for number in 0..300 {
        let mut record = message(&format!("m{number}"), if number == 2 { "app-2" } else { "app-1" });
        if number < 5 {
            record.message.from = Sender::Session(id(if number == 3 { "app-3" } else { "app-2" }));
        }
        record.message.created_at = at(number);
        store.insert_message(&record, &[]).await.expect("recorded");
    }
    let between = async |limit| store.newest_between(&id("app-2"), &id("app-1"), limit).await.expect("read");
    assert_eq!(between(9).await, [at(4), at(1), at(0)]);
    assert_eq!(between(2).await, [at(4), at(1)]);
}

/// By what was handed over last; what waits tells nothing yet, and ao's own messages only add.
pub async fn the_depth_of_what_was_handed_over_is_found(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    for name in ["app-1", "app-2"] {
        store.insert_session(&mut session(name), &[]).await.expect("recorded");
    }
    let other = || Sender::Session(id("app-2"));
    let steps = [
        (Sender::Ao, 2, true, 2),
        (other(), 7, false, 2),
        (other(), 5, true, 5),
        (Sender::Ao, 0, true, 5),
        (Sender::Ao, 6, true, 6),
        (Sender::Ao, 3, true, 6),
        (other(), 4, true, 4),
        (Sender::Person, 0, false, 4),
        (Sender::Person, 0, true, 0),
        (Sender::Ao, 1, true, 1),
    ];
    assert_eq!(store.depth_handed(&id("app-1")).await.expect("read"), 0);
    for (number, (from, depth, is_handed, expected)) in steps.into_iter().enumerate() {
        let mut record = MessageRecord { depth, ..message(&format!("m{number}"), "app-1") };
        record.message.from = from;
        record.injected_at = is_handed.then(|| at(9));
        store.insert_message(&record, &[]).await.expect("recorded");
        assert_eq!(store.depth_handed(&id("app-1")).await.expect("read"), expected, "after message {number}");
    }
    assert_eq!(store.depth_handed(&id("app-2")).await.expect("read"), 0);
}

/// Whatever came since, and whatever a person's begins with.
pub async fn whether_one_of_aos_own_is_unsettled_is_found(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    for name in ["app-1", "app-2"] {
        store.insert_session(&mut session(name), &[]).await.expect("recorded");
    }
    let is_open = async || store.has_unsettled_of_ao(&id("app-1")).await.expect("read");
    let mut persons = message("a", "app-1");
    persons.message.body = "[from ao] News of your workers:".into();
    store.insert_message(&persons, &[]).await.expect("recorded");
    assert!(!is_open().await);
    let mut news = message("b", "app-1");
    news.message.from = Sender::Ao;
    store.insert_message(&news, &[]).await.expect("recorded");
    store.insert_message(&message("c", "app-1"), &[]).await.expect("recorded");
    for (state, expected) in [
        (MessageState::Queued, true),
        (MessageState::Injected, true),
        (MessageState::Returned, true),
        (MessageState::Acknowledged, false),
        (MessageState::Failed, false),
    ] {
        news.state = state;
        store.update_message(&news, &[], at(5)).await.expect("updated");
        assert_eq!(is_open().await, expected, "{state}");
    }
    assert!(!store.has_unsettled_of_ao(&id("app-2")).await.expect("read"));
}

/// A second one of that id is refused whatever it says, and nothing is logged of it.
pub async fn a_message_is_recorded_once_and_for_a_session_there_is(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    store.insert_session(&mut session("app-1"), &[]).await.expect("recorded");
    let record = message("a", "app-1");
    store.insert_message(&record, &queued(&record)).await.expect("recorded");
    let before = all_changes(&*store).await.len();
    let mut other = message("a", "app-1");
    other.message.body = "another".into();
    let answer = store.insert_message(&other, &queued(&other)).await;
    assert!(matches!(answer, Err(StoreError::Exists { what: "message", .. })), "{answer:?}");
    let nobodys = message("b", "app-2");
    let answer = store.insert_message(&nobodys, &queued(&nobodys)).await;
    assert!(matches!(answer, Err(StoreError::Missing { what: "session", .. })), "{answer:?}");
    let answer = store.update_message(&nobodys, &queued(&nobodys), at(2)).await;
    assert!(matches!(answer, Err(StoreError::Missing { what: "message", .. })), "{answer:?}");
    assert_eq!(all_changes(&*store).await.len(), before);
    assert_eq!(store.messages(&id("app-1"), false).await.expect("read"), [record]);
}

/// With its log entries; what is settled is not among what is open.
pub async fn what_becomes_of_a_message_is_recorded_and_logged(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    for name in ["app-1", "app-2", "app-3"] {
        store.insert_session(&mut session(name), &[]).await.expect("recorded");
    }
    let states = [
        ("a", "app-1", MessageState::Queued),
        ("b", "app-1", MessageState::Injected),
        ("c", "app-1", MessageState::Acknowledged),
        ("d", "app-2", MessageState::Failed),
        ("e", "app-3", MessageState::Returned),
    ];
    for (name, to, state) in states {
        let mut record = message(name, to);
        store.insert_message(&record, &queued(&record)).await.expect("recorded");
        record.state = state;
        let change = record.change(ChangeKind::MessageInjected);
        store.update_message(&record, &[change], at(5)).await.expect("updated");
        assert_eq!(store.message(&record.message.id).await.expect("read"), Some(record));
    }
    let open = store.messages(&id("app-1"), true).await.expect("read");
    assert_eq!(
        open.iter().map(|record| record.state).collect::<Vec<_>>(),
        [MessageState::Queued, MessageState::Injected]
    );
    let mut with_open = store.sessions_with_unsettled().await.expect("read");
    with_open.sort();
    assert_eq!(with_open, [id("app-1"), id("app-3")]);
    let log = all_changes(&*store).await;
    // The project, and two for each message.
    assert_gapless(&*store, 11).await;
    let last = log.last().expect("a change");
    assert_eq!((last.kind, last.session.clone(), last.at), (ChangeKind::MessageInjected, Some(id("app-3")), at(5)));
    assert_eq!(last.data["message"], MessageId::hash_of("e").as_str());
}

/// What the log tells of them stays.
pub async fn the_messages_of_a_session_go_with_its_record(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    let mut ended = over(session("app-1"));
    store.insert_session(&mut ended, &[]).await.expect("recorded");
    let record = message("a", "app-1");
    store.insert_message(&record, &queued(&record)).await.expect("recorded");
    store.remove_session(&ended.id, ended.version, at(9)).await.expect("removed");
    assert_eq!(store.message(&record.message.id).await.expect("read"), None);
    assert_eq!(store.sessions_with_unsettled().await.expect("read"), []);
    let kinds: Vec<_> = all_changes(&*store).await.iter().map(|change| change.kind).collect();
    assert!(kinds.contains(&ChangeKind::MessageQueued), "{kinds:?}");
}
