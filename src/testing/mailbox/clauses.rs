//! What becomes of messages and turns.

use std::collections::BTreeMap;
use std::fs;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{at, handover, text};
use crate::domain::id::MessageId;
use crate::domain::message::{Progress, Route};
use crate::ports::mailbox::{Handover, Letter, Mailbox, Turn, Unconfirmed};
use crate::ports::messenger::MessengerError;
use crate::testing::messenger::{Fixture, files_below};

/// How much of where the agent's own record stood is kept, in bytes.
const MOST_TRACE_BYTES: usize = 32 * 1024;
/// How long is waited for what must come.
const BOUND: Duration = Duration::from_secs(60);
/// How far the time that a file bears may be behind the clock.
const COARSE: Duration = Duration::from_millis(40);

/// Also for whoever opens it.
pub async fn nothing_waits_before_anything_was_posted(fixture: &Fixture) {
    fixture.posted([]).await;
    assert!(fixture.mailbox().is_quiet().unwrap());
    assert_eq!(fixture.found(), (vec![], vec![]));
    assert_eq!(fixture.mailbox().turn().unwrap(), Turn::Over { since: None });
}

/// Looking makes nothing there, and it cannot be opened.
pub async fn nothing_waits_in_a_workspace_that_is_gone_or_was_never_opened(fixture: &Fixture) {
    let gone = fixture.workspace.join("gone");
    for workspace in [&fixture.workspace, &gone] {
        let mailbox = fixture.messenger.mailbox(workspace);
        assert!(mailbox.is_quiet().unwrap());
        assert_eq!(mailbox.turn().unwrap(), Turn::Over { since: None });
        assert_eq!(mailbox.settled_at().unwrap(), None);
        mailbox.note_turn(true).unwrap();
        mailbox.note_settled().unwrap();
        assert!(matches!(mailbox.open().map(drop), Err(MessengerError::File { .. })));
        assert!(fixture.messenger.progress(workspace).await.unwrap().is_empty());
        fixture.messenger.forget(workspace, &[MessageId::hash_of("a")]).await.unwrap();
        fixture.messenger.take_back(workspace).await.unwrap();
    }
    assert_eq!(fs::read_dir(&fixture.workspace).unwrap().count(), 0, "looking makes nothing");
}

/// Oldest first, and looking takes nothing away.
pub async fn what_waits_is_taken_in_order_and_byte_for_byte(fixture: &Fixture) {
    let texts =
        ["no newline", "\nlines\r\n\n", "---\nfrom: x\n---\n", "🦀 ü $(id) \"'\\ \0 \u{1b}[31m", &"x".repeat(1 << 20)];
    let names = ["e", "d", "c", "b", "a"];
    fixture.posted([]).await;
    for (name, text) in names.iter().zip(texts) {
        fixture.post(name, text).await.unwrap();
    }
    assert!(!fixture.mailbox().is_quiet().unwrap());
    let ids = names.map(MessageId::hash_of).to_vec();
    for _ in 0..2 {
        assert_eq!(fixture.found(), (ids.clone(), vec![]));
    }
    fixture.process(|open| {
        for (id, text) in open.waiting().unwrap().into_iter().zip(texts) {
            let letter = open.take(&id, &handover()).unwrap();
            assert!(letter == Some(Letter { id, text: text.to_owned() }), "a text was changed");
        }
        assert_eq!(open.waiting().unwrap(), []);
    });
}

/// A process that ends with a message in its hands leaves it to the next one: with how it was to be handed over, oldest first, and it does not
/// wait meanwhile.
pub async fn what_was_taken_out_is_on_record_before_it_is_given(fixture: &Fixture) {
    let [a, b, c] = fixture.posted(["a", "b", "c"]).await;
    // As large as it may be.
    let second = Handover { via: Route::EndOfTurn, at: at(8), trace: json!("x".repeat(MOST_TRACE_BYTES - 2)) };
    fixture.process(|open| {
        open.take(&b, &second).unwrap().unwrap();
        open.take(&a, &handover()).unwrap().unwrap();
        for gone in [&a, &b, &MessageId::hash_of("never")] {
            assert_eq!(open.take(gone, &handover()).unwrap(), None, "it does not wait");
        }
    });
    assert!(fixture.progress().await.iter().all(|(_, progress)| *progress == Progress::Waiting));
    let left = |id: &MessageId, handover| Unconfirmed { id: id.clone(), handover, was_handed_over: false };
    fixture.process(|open| {
        assert_eq!(open.unconfirmed().unwrap(), [left(&a, handover()), left(&b, second)]);
        assert_eq!(open.waiting().unwrap(), [c]);
        assert_eq!(open.text(&a).unwrap().as_deref(), Some("text a"));
        assert_eq!(open.text(&b).unwrap().as_deref(), Some("text b"));
    });
    assert!(!fixture.mailbox().is_quiet().unwrap());
}

/// In whatever order they are given back, and whether they were handed over or not; giving back is idempotent.
pub async fn what_was_taken_out_and_given_back_is_in_its_old_place(fixture: &Fixture) {
    let [a, b, c] = fixture.posted(["a", "b", "c"]).await;
    fixture.process(|open| {
        for id in [&a, &b, &c] {
            open.take(id, &handover()).unwrap().unwrap();
        }
        open.handed_over(&b).unwrap();
        for id in [&b, &a, &a, &MessageId::hash_of("never")] {
            open.give_back(id).unwrap();
        }
    });
    assert_eq!(fixture.found(), (vec![a.clone(), b.clone()], vec![(c.clone(), false)]));
    // What is posted now is newer than what was given back.
    let [d] = fixture.posted(["d"]).await;
    fixture.process(|open| open.give_back(&c).unwrap());
    assert_eq!(fixture.found(), (vec![a.clone(), b.clone(), c.clone(), d.clone()], vec![]));
    let all = fixture.progress().await;
    assert_eq!(all, [a.clone(), b, c, d].map(|id| (id, Progress::Waiting)));
    let letter = fixture.process(|open| open.take(&a, &handover()).unwrap());
    assert_eq!(letter, Some(Letter { id: a, text: text("a") }));
}

/// Until it was handed over, and not after.
pub async fn how_a_message_is_being_handed_over_can_be_put_on_record_anew(fixture: &Fixture) {
    let [a] = fixture.posted(["a"]).await;
    let further = Handover { via: Route::Terminal, at: at(9), trace: json!("typed") };
    fixture.process(|open| {
        open.take(&a, &handover()).unwrap().unwrap();
        open.note(&a, &further).unwrap();
    });
    let left = Unconfirmed { id: a.clone(), handover: further.clone(), was_handed_over: false };
    fixture.process(|open| {
        assert_eq!(open.unconfirmed().unwrap(), std::slice::from_ref(&left));
        open.handed_over(&a).unwrap();
        assert!(open.note(&a, &handover()).is_err(), "what was handed over was handed over so");
    });
    let left = Unconfirmed { was_handed_over: true, ..left };
    fixture.process(|open| assert_eq!(open.unconfirmed().unwrap(), [left]));
    assert_eq!(fixture.progress().await, [(a, Progress::Injected { via: further.via, at: further.at })]);
}

/// With how it was; it does not wait, is not forgotten, and posting it again changes nothing.
pub async fn what_was_handed_over_is_known_to_whoever_comes_next(fixture: &Fixture) {
    let [a, b] = fixture.posted(["a", "b"]).await;
    fixture.process(|open| {
        open.take(&a, &handover()).unwrap().unwrap();
        open.handed_over(&a).unwrap();
    });
    fixture.messenger.forget(&fixture.workspace, std::slice::from_ref(&a)).await.unwrap();
    fixture.post("a", "text a").await.unwrap();
    let injected = Progress::Injected { via: Route::BetweenTools, at: at(7) };
    assert_eq!(fixture.progress().await, [(a.clone(), injected), (b.clone(), Progress::Waiting)]);
    for _ in 0..2 {
        fixture.process(|open| {
            let left = Unconfirmed { id: a.clone(), handover: handover(), was_handed_over: true };
            assert_eq!(open.unconfirmed().unwrap(), [left]);
            assert_eq!(open.waiting().unwrap(), std::slice::from_ref(&b));
            assert_eq!(open.text(&a).unwrap().as_deref(), Some("text a"), "who types looks for it on the screen");
        });
    }
    fixture.process(|open| open.give_back(&b).unwrap());
    assert!(!fixture.mailbox().is_quiet().unwrap());
}

/// It is neither unconfirmed nor taken again, and the messenger tells when and how, until it is told to forget it.
pub async fn what_was_confirmed_is_over_until_it_is_forgotten(fixture: &Fixture) {
    let [a] = fixture.posted(["a"]).await;
    fixture.process(|open| {
        open.take(&a, &handover()).unwrap().unwrap();
        open.handed_over(&a).unwrap();
    });
    fixture.process(|open| open.confirm(&a, at(9)).unwrap());
    assert!(fixture.mailbox().is_quiet().unwrap());
    fixture.post("a", "text a").await.unwrap();
    fixture.process(|open| {
        open.give_back(&a).unwrap();
        assert_eq!(open.take(&a, &handover()).unwrap(), None);
    });
    assert_eq!(fixture.found(), (vec![], vec![]));
    let taken = Progress::Acknowledged { via: Route::BetweenTools, injected_at: at(7), at: at(9) };
    assert_eq!(fixture.progress().await, [(a.clone(), taken)]);
    let [b] = fixture.posted(["b"]).await;
    fixture.messenger.forget(&fixture.workspace, &[a, b.clone(), MessageId::hash_of("never")]).await.unwrap();
    assert_eq!(fixture.progress().await, [(b, Progress::Waiting)]);
    // It is a message like any other then.
    let [a] = fixture.posted(["a"]).await;
    assert_eq!(fixture.process(|open| open.take(&a, &handover()).unwrap()).unwrap().text, "text a");
}

/// The workspace does not fill with what was: one message after the other leaves what the first one left.
pub async fn nothing_is_left_of_what_was_forgotten(fixture: &Fixture) {
    let mut left = Vec::new();
    for name in ["a", "b", "c"] {
        let [id] = fixture.posted([name]).await;
        fixture.process(|open| {
            open.take(&id, &handover()).unwrap().unwrap();
            open.note(&id, &handover()).unwrap();
            open.handed_over(&id).unwrap();
            open.confirm(&id, at(9)).unwrap();
        });
        fixture.messenger.forget(&fixture.workspace, &[id]).await.unwrap();
        let mut files = files_below(&fixture.workspace);
        files.sort();
        left.push(files);
    }
    assert!(left.windows(2).all(|pair| pair[0] == pair[1]), "{left:#?}");
}

/// In the workspace, at one path, whatever becomes of the message.
pub async fn a_text_that_is_kept_stays_where_the_agent_reads_it(fixture: &Fixture) {
    let [a, b] = fixture.posted(["a", "b"]).await;
    let kept = fixture.process(|open| {
        open.take(&a, &handover()).unwrap().unwrap();
        let kept = open.keep(&a).unwrap();
        // Taken again after its hook was killed, it is there already.
        assert_eq!(open.keep(&a).unwrap(), kept);
        open.take(&b, &handover()).unwrap().unwrap();
        assert_ne!(open.keep(&b).unwrap(), kept);
        kept
    });
    assert!(kept.is_absolute() && kept.starts_with(&fixture.workspace), "{}", kept.display());
    fixture.process(|open| {
        open.give_back(&a).unwrap();
        open.take(&a, &handover()).unwrap().unwrap();
        assert_eq!(open.keep(&a).unwrap(), kept);
        open.handed_over(&a).unwrap();
        open.confirm(&a, at(9)).unwrap();
    });
    fixture.messenger.forget(&fixture.workspace, &[a]).await.unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "text a");
}

/// In its old place; and an agent that ended is in no turn.
pub async fn what_an_ended_agent_had_not_taken_waits_again_and_the_rest_does_not(fixture: &Fixture) {
    let [a, b, c, d] = fixture.posted(["a", "b", "c", "d"]).await;
    fixture.process(|open| {
        for id in [&a, &b, &c] {
            open.take(id, &handover()).unwrap().unwrap();
        }
        open.handed_over(&a).unwrap();
        open.handed_over(&b).unwrap();
        open.confirm(&a, at(9)).unwrap();
    });
    fixture.mailbox().note_turn(true).unwrap();
    fixture.messenger.take_back(&fixture.workspace).await.unwrap();
    assert_eq!(fixture.mailbox().turn().unwrap(), Turn::Over { since: None });
    assert_eq!(fixture.found(), (vec![b, c, d], vec![]));
    assert!(matches!(fixture.progress().await[0], (ref first, Progress::Acknowledged { .. }) if *first == a));
}

/// A step out of turn is an error, after which everything is as it was.
pub async fn what_cannot_be_done_is_refused_and_changes_nothing(fixture: &Fixture) {
    let [waits, out] = fixture.posted(["waits", "out"]).await;
    let never = MessageId::hash_of("never");
    fixture.process(|open| {
        open.take(&out, &handover()).unwrap().unwrap();
        for id in [&waits, &never] {
            assert!(open.note(id, &handover()).is_err(), "it was not taken out");
            assert!(open.keep(id).is_err(), "it was not taken out");
            assert!(open.handed_over(id).is_err(), "it was not taken out");
            assert!(open.confirm(id, at(9)).is_err(), "it was not handed over");
            assert_eq!(open.text(id).unwrap(), None);
        }
        assert!(open.confirm(&out, at(9)).is_err(), "it was not handed over");
    });
    assert_eq!(fixture.found(), (vec![waits], vec![(out, false)]));
}

/// Whoever comes meanwhile opens it when it is free, and finds what was done.
pub async fn one_at_a_time_has_it_open_and_the_next_waits(fixture: &Fixture) {
    let [a] = fixture.posted(["a"]).await;
    let mailbox = fixture.mailbox();
    let mut open = mailbox.open().unwrap();
    let (begins, has_begun) = mpsc::channel();
    let (finds, found) = mpsc::channel();
    let next = fixture.mailbox();
    let waits = std::thread::spawn(move || {
        begins.send(()).unwrap();
        // It may be told that this takes too long, and comes again.
        let begun = Instant::now();
        let waiting = loop {
            match next.open() {
                Ok(open) => break open.waiting(),
                Err(MessengerError::File { .. }) if begun.elapsed() < BOUND => {}
                Err(error) => break Err(error),
            }
        };
        finds.send(waiting.map_err(|error| error.to_string())).unwrap();
    });
    has_begun.recv_timeout(BOUND).unwrap();
    let early = found.recv_timeout(Duration::from_millis(300));
    assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout), "two have it open");
    open.take(&a, &handover()).unwrap().unwrap();
    drop(open);
    assert_eq!(found.recv_timeout(BOUND).unwrap(), Ok(vec![]));
    waits.join().unwrap();
}

/// An agent is not held up for ever; and what a hook looks at and notes at each call needs it not to be open.
pub async fn who_cannot_open_it_is_told_so_and_may_still_look(fixture: &Fixture) {
    fixture.posted(["a"]).await;
    let mailbox = fixture.mailbox();
    let open = mailbox.open().unwrap();
    let other = fixture.mailbox();
    let begun = Instant::now();
    for _ in 0..100 {
        assert!(!other.is_quiet().unwrap());
        other.note_turn(true).unwrap();
        assert!(matches!(other.turn().unwrap(), Turn::Running { .. }));
        other.note_turn(false).unwrap();
        other.note_settled().unwrap();
        assert!(other.settled_at().unwrap().is_some());
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "looking waits for who has it open");
    let (tells, told) = mpsc::channel();
    let waits = std::thread::spawn(move || tells.send(other.open().map(drop)).unwrap());
    let told = told.recv_timeout(BOUND);
    // Whoever would wait for ever is let go.
    drop(open);
    waits.join().unwrap();
    assert!(matches!(told, Ok(Err(MessengerError::File { .. }))), "{told:?}");
}

/// However many take at once.
pub async fn each_message_is_taken_by_one(fixture: &Fixture) {
    const COUNT: usize = 60;
    fixture.posted([]).await;
    for number in 0..COUNT {
        fixture.post(&number.to_string(), &text(&number.to_string())).await.unwrap();
    }
    let takers: Vec<_> = (0..4)
        .map(|_| {
            let mailbox = fixture.mailbox();
            std::thread::spawn(move || take_one_by_one(&*mailbox))
        })
        .collect();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for taker in takers {
        for text in taker.join().unwrap() {
            *taken.entry(text).or_default() += 1;
        }
    }
    assert!(taken.len() == COUNT && taken.values().all(|times| *times == 1), "{taken:?}");
}

fn take_one_by_one(mailbox: &dyn Mailbox) -> Vec<String> {
    let (begun, mut taken) = (Instant::now(), Vec::new());
    loop {
        let mut open = match mailbox.open() {
            Err(MessengerError::File { .. }) if begun.elapsed() < BOUND => continue,
            open => open.unwrap(),
        };
        let Some(first) = open.waiting().unwrap().into_iter().next() else { return taken };
        taken.push(open.take(&first, &handover()).unwrap().unwrap().text);
    }
}

/// Everybody finds what was noted last, and how long ago that was.
pub async fn turns_are_as_they_were_noted(fixture: &Fixture) {
    fixture.posted([]).await;
    for _ in 0..2 {
        let begun = Instant::now();
        fixture.mailbox().note_turn(true).unwrap();
        std::thread::sleep(2 * COARSE);
        let Turn::Running { silent } = fixture.mailbox().turn().unwrap() else { panic!("it is in a turn") };
        assert!(silent >= COARSE && silent <= begun.elapsed() + COARSE, "{silent:?} of {:?}", begun.elapsed());
        // At each tool call.
        let again = Instant::now();
        fixture.mailbox().note_turn(true).unwrap();
        let Turn::Running { silent } = fixture.mailbox().turn().unwrap() else { panic!("it is in a turn") };
        assert!(silent <= again.elapsed() + COARSE, "{silent:?} of {:?}", again.elapsed());
        let over = Instant::now();
        fixture.mailbox().note_turn(false).unwrap();
        std::thread::sleep(2 * COARSE);
        let Turn::Over { since: Some(since) } = fixture.mailbox().turn().unwrap() else { panic!("its turn is over") };
        assert!(since >= COARSE && since <= over.elapsed() + COARSE, "{since:?} of {:?}", over.elapsed());
    }
    // The agent that was in a turn has ended when the next one is started.
    fixture.mailbox().note_turn(true).unwrap();
    fixture.messenger.open(&fixture.workspace).await.unwrap();
    assert!(matches!(fixture.mailbox().turn().unwrap(), Turn::Over { since: Some(_) }));
}
