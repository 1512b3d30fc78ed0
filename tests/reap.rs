//! What a look at all agents asks of a runtime, and what it makes of the answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test panics when it fails")]

#[path = "support/application.rs"]
mod application;
#[path = "support/made_up_runtime.rs"]
mod made_up_runtime;

use ao::domain::exit::Exit;
use ao::domain::phase::{EndReason, Phase};
use ao::ports::runtime::Liveness;
use ao::ports::store::SessionStore;

use application::{application, session};
use made_up_runtime::Answers;

#[tokio::test]
async fn each_look_asks_each_runtime_once_about_all_its_agents_and_believes_only_what_was_seen() {
    let scratch = tempfile::tempdir().unwrap();
    let unknown = || Liveness::Unknown("the disk hangs".to_owned());
    let (one, two) = (Answers::new("one", unknown()), Answers::new("two", unknown()));
    let sessions = [(1, "one"), (2, "one"), (3, "one"), (4, "two")]
        .map(|(number, runtime)| session(number, "command", runtime, format!("/nowhere/app-{number}").into()));
    let (application, store) = application(&scratch, Vec::new(), vec![one.clone(), two.clone()], sessions.into()).await;
    let phases = async || {
        let mut phases = Vec::new();
        for number in 1..=4 {
            phases.push(store.session(&format!("app-{number}").parse().unwrap()).await.unwrap().unwrap().phase);
        }
        phases
    };
    for _ in 0..2 {
        application.reap().await.unwrap();
        assert_eq!((one.asked(), two.asked()), (vec![3], vec![1]));
        assert_eq!(phases().await, [Phase::Live, Phase::Live, Phase::Live, Phase::Live]);
    }
    one.answers(Liveness::Dead(Exit::Code(3)));
    two.answers(Liveness::Dead(Exit::Unknown));
    application.reap().await.unwrap();
    assert_eq!((one.asked(), two.asked()), (vec![3], vec![1]));
    let ended = |reason: EndReason| Phase::Terminated { reason };
    let exited = || ended(EndReason::Exited(Exit::Code(3)));
    assert_eq!(phases().await, [exited(), exited(), exited(), ended(EndReason::Lost)]);
    application.reap().await.unwrap();
    assert_eq!((one.asked(), two.asked()), (vec![], vec![]), "nobody is asked about what is over");
    application.shut_down().await;
}
