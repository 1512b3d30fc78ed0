//! What a look at all agents asks of a runtime, and what it makes of the answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test panics when it fails")]

#[path = "support/application.rs"]
mod application;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ao::domain::exit::Exit;
use ao::domain::id::{RuntimeKind, SessionId};
use ao::domain::phase::{EndReason, Phase};
use ao::domain::session::ProcessIdentity;
use ao::ports::runtime::{Liveness, Marks, Runtime, RuntimeError, TerminalKey, TerminalSpec};
use ao::ports::store::SessionStore;
use async_trait::async_trait;

use application::{application, session};

/// A runtime that answers what it is told to, and counts who asks.
struct Answers {
    kind: RuntimeKind,
    asked: Mutex<Vec<usize>>,
    answer: Mutex<Liveness>,
}

impl Answers {
    fn new(kind: &str, answer: Liveness) -> Arc<Self> {
        let kind = RuntimeKind::new(kind).unwrap();
        Arc::new(Self { kind, asked: Mutex::default(), answer: Mutex::new(answer) })
    }

    fn answers(&self, answer: Liveness) {
        *self.answer.lock().unwrap() = answer;
    }

    /// For how many terminals each look asked, since this was asked last.
    fn asked(&self) -> Vec<usize> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Runtime for Answers {
    fn kind(&self) -> &RuntimeKind {
        &self.kind
    }

    async fn preflight(&self) -> Result<Option<String>, RuntimeError> {
        Ok(None)
    }

    async fn create(&self, _: &TerminalSpec) -> Result<ProcessIdentity, RuntimeError> {
        unreachable!("nothing is spawned")
    }

    async fn probe(&self, keys: &[TerminalKey]) -> HashMap<SessionId, Liveness> {
        self.asked.lock().unwrap().push(keys.len());
        let answer = self.answer.lock().unwrap().clone();
        keys.iter().map(|key| (key.session.clone(), answer.clone())).collect()
    }

    async fn screen(&self, _: &TerminalKey) -> Result<String, RuntimeError> {
        Ok(String::new())
    }

    async fn output(&self, _: &TerminalKey, _: usize) -> Result<String, RuntimeError> {
        Ok(String::new())
    }

    async fn input(&self, _: &TerminalKey, _: &[u8]) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn remarks(&self, _: &TerminalKey) -> Vec<String> {
        Vec::new()
    }

    async fn has_launched(&self, _: &TerminalKey, _: &Marks) -> bool {
        false
    }

    async fn set_aside(&self, _: &TerminalKey) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn put_back(&self, _: &TerminalKey) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn forget_aside(&self, _: &TerminalKey) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn stop(&self, _: &TerminalKey, _: Duration) -> Result<Option<Exit>, RuntimeError> {
        Ok(None)
    }
}

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
