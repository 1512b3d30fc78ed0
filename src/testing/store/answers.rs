//! The records of answers.

use super::{StoreFixture, at, id, reopen};
use crate::ports::answer_store::{Answer, AnswerKey, AnswerRecord, AnswerStore};

fn key(asker: Option<&str>, route: &str, key: &str) -> AnswerKey {
    AnswerKey { asker: asker.map(id), route: route.to_owned(), key: key.to_owned() }
}

fn persons(name: &str) -> AnswerKey {
    key(None, "POST /api/v1/sessions", name)
}

fn begun(second: i64) -> AnswerRecord {
    AnswerRecord { digest: "c0ffee".to_owned(), since: 7, begun_at: at(second), answer: None }
}

fn answered(second: i64, body: &str) -> AnswerRecord {
    let answer = Answer { status: 202, location: Some("/api/v1/sessions/größe-1".to_owned()), body: body.to_owned() };
    AnswerRecord { answer: Some(answer), ..begun(second) }
}

/// Any text, also after a reopen; what was recorded last is in the place of what was there.
pub async fn an_answer_keeps_every_field_under_its_key(fixture: &impl StoreFixture) {
    let store = fixture.open().await;
    let full = answered(1, "{\"a\": \"Grüße, 世界 🦀 'q' \\ \r\n\u{1b}[31m\"}");
    let bare = Answer { status: 200, location: None, body: String::new() };
    let bare = AnswerRecord { digest: String::new(), since: 0, answer: Some(bare), ..begun(2) };
    assert_eq!(store.answer(&persons("a")).await.expect("read"), None);
    store.put_answer(&persons("a"), &begun(1)).await.expect("recorded");
    assert_eq!(store.answer(&persons("a")).await.expect("read"), Some(begun(1)));
    store.put_answer(&persons("a"), &full).await.expect("recorded");
    store.put_answer(&persons("b"), &bare).await.expect("recorded");
    let store = reopen(fixture, store).await;
    assert_eq!(store.answer(&persons("a")).await.expect("read"), Some(full));
    assert_eq!(store.answer(&persons("b")).await.expect("read"), Some(bare));
    for _ in 0..2 {
        store.forget_answer(&persons("a")).await.expect("forgotten, also when it is not there");
        assert_eq!(store.answer(&persons("a")).await.expect("read"), None);
    }
    assert!(store.answer(&persons("b")).await.expect("read").is_some());
}

/// A key is that of who asks, and for one thing; no text of one part passes for another.
pub async fn keys_of_others_and_for_other_things_are_others(fixture: &impl StoreFixture) {
    let store = fixture.open().await;
    let keys = [
        key(None, "POST /a", "k"),
        key(Some("app-1"), "POST /a", "k"),
        key(Some("app-11"), "POST /a", "k"),
        key(None, "DELETE /a", "k"),
        key(None, "POST /a/b", "k"),
        key(None, "POST /a", "K"),
        key(None, "POST /a", "app-1"),
        key(None, "app-1 POST /a", "k"),
        key(None, "POST /a k", "k"),
    ];
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(store.answer(key).await.expect("read"), None, "{key:?}");
        store.put_answer(key, &answered(1, &number.to_string())).await.expect("recorded");
    }
    store.forget_answer(&keys[0]).await.expect("forgotten");
    assert_eq!(store.answer(&keys[0]).await.expect("read"), None);
    for (number, key) in keys.iter().enumerate().skip(1) {
        assert_eq!(store.answer(key).await.expect("read"), Some(answered(1, &number.to_string())), "{key:?}");
    }
}

/// What is too old goes, whoever asked; and of who asks what is more than is kept for one: those that were begun first, whenever they were answered.
pub async fn answers_are_bounded_by_age_and_by_number_of_each_who_asks(fixture: &impl StoreFixture) {
    let store = fixture.open().await;
    let app = Some("app-1");
    let [of_app, old_of_app] = ["0", "old"].map(|name| key(app, "POST /a", name));
    store.put_answer(&old_of_app, &answered(1, "old")).await.expect("recorded");
    store.put_answer(&of_app, &answered(9, "its")).await.expect("recorded");
    // Two of the same time: one of them goes.
    for (name, second) in [("2", 12), ("0", 10), ("1", 11), ("3", 13), ("same", 13)] {
        store.put_answer(&persons(name), &begun(second)).await.expect("recorded");
    }
    store.put_answer(&persons("1"), &answered(11, "late")).await.expect("recorded");
    let there = async |names: &[&str]| {
        let mut there = Vec::new();
        for name in names {
            if store.answer(&persons(name)).await.expect("read").is_some() {
                there.push((*name).to_owned());
            }
        }
        there
    };
    let all = ["0", "1", "2", "3", "same"];
    store.bound_answers(None, at(9), 5).await.expect("bounded");
    assert_eq!(there(&all).await, all, "as many as may be");
    assert_eq!(store.answer(&old_of_app).await.expect("read"), None, "begun before that time");
    assert!(store.answer(&of_app).await.expect("read").is_some(), "begun at that time");
    store.bound_answers(None, at(9), 3).await.expect("bounded");
    assert_eq!(there(&all).await, ["2", "3", "same"]);
    store.bound_answers(None, at(9), 1).await.expect("bounded");
    assert_eq!(there(&all).await.len(), 1);
    assert!(store.answer(&of_app).await.expect("read").is_some(), "what others ask counts for them alone");
    store.bound_answers(Some(&id("app-1")), at(9), 0).await.expect("bounded");
    assert_eq!(store.answer(&of_app).await.expect("read"), None);
    assert_eq!(there(&all).await.len(), 1);
}
