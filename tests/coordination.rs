//! An orchestrator and a worker whose agents do what a test says: what each is told, and how often they may answer each other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test panics when it fails")]

#[path = "support/application.rs"]
mod application;
#[path = "support/made_up_runtime.rs"]
mod made_up_runtime;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ao::adapters::clock::SystemClock;
use ao::adapters::messenger::InboxMessenger;
use ao::adapters::store::SqliteStore;
use ao::app::caller::Caller;
use ao::app::{AppError, Application};
use ao::domain::change::{ChangeKind, NewChange};
use ao::domain::exit::Exit;
use ao::domain::id::{AgentKind, AgentSessionId, MessageId, SessionId};
use ao::domain::message::{MessageRecord, Route};
use ao::domain::observation::Signal;
use ao::domain::phase::{EndReason, Phase};
use ao::domain::report::HookReport;
use ao::domain::sender::Sender;
use ao::domain::session::{ProcessIdentity, Session, SessionKind};
use ao::ports::agent::{Agent, AgentError, AgentInstallation, LaunchPlan, LaunchRequest};
use ao::ports::clock::Clock;
use ao::ports::mailbox::Handover;
use ao::ports::messenger::AgentMessenger;
use ao::ports::runtime::Liveness;
use ao::ports::store::SessionStore;
use ao::ports::text_hooks::{HookAnswer, Seen, TextHooks};
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::Instant;

use application::{application, session};
use made_up_runtime::Answers;

/// How long a test waits for what must come.
const BOUND: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(5);

/// An agent that takes text through hooks; the test is its hooks.
struct Hooked(AgentKind);

#[async_trait]
impl Agent for Hooked {
    fn kind(&self) -> &AgentKind {
        &self.0
    }

    fn reports(&self) -> bool {
        true
    }

    async fn preflight(&self, _: &[String]) -> Result<AgentInstallation, AgentError> {
        unreachable!("nothing is spawned")
    }

    async fn prepare(&self, _: &LaunchRequest) -> Result<LaunchPlan, AgentError> {
        unreachable!("nothing is spawned")
    }

    async fn prepare_resume(&self, _: &LaunchRequest, _: &AgentSessionId) -> Result<LaunchPlan, AgentError> {
        unreachable!("nothing is restored")
    }

    fn text_hooks(&self) -> Option<&dyn TextHooks> {
        Some(self)
    }

    fn interpret(&self, event: &str, _: &Value) -> Vec<Signal> {
        vec![if event == "begins" { Signal::Prompted } else { Signal::Idle }]
    }
}

impl TextHooks for Hooked {
    fn route(&self, _: &str, _: &Value) -> Option<Route> {
        unreachable!("no hook runs")
    }

    fn hand_over(&self, _: &str, _: Route, _: &str) -> HookAnswer {
        unreachable!("no hook runs")
    }

    fn most_bytes(&self, _: Route) -> usize {
        unreachable!("no hook runs")
    }

    fn trace(&self, _: &Value) -> Value {
        unreachable!("no hook runs")
    }

    fn seen(&self, _: &str, _: &Value, _: &MessageId, _: &Handover) -> Seen {
        unreachable!("no hook runs")
    }
}

/// A project with an orchestrator, `app-1`, and workers from `app-2` on.
struct Lab {
    application: Application,
    store: Arc<SqliteStore>,
    scratch: tempfile::TempDir,
}

fn process(number: u32) -> ProcessIdentity {
    ProcessIdentity { pid: 1000 + number, start_ticks: 1 }
}

fn id(number: u32) -> SessionId {
    format!("app-{number}").parse().unwrap()
}

impl Lab {
    async fn new(workers: u32) -> Self {
        Self::with(workers, |_| {}).await
    }

    /// With workers that are such.
    async fn with(workers: u32, is: impl Fn(&mut Session)) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let make = |number: u32| {
            let workspace = scratch.path().join(number.to_string());
            std::fs::create_dir(&workspace).unwrap();
            let mut session = session(number, "hooked", "made-up", workspace);
            session.facts.process = Some(process(number));
            if number == 1 {
                session.spec.kind = SessionKind::Orchestrator;
            } else {
                is(&mut session);
            }
            session
        };
        let sessions = (1..=1 + workers).map(make).collect();
        // Nothing ends: whether they run is not known.
        let runtime = Answers::new("made-up", Liveness::Unknown("made up".to_owned()));
        let agent = Arc::new(Hooked("hooked".parse().unwrap()));
        let (application, store) = application(&scratch, vec![agent], vec![runtime], sessions).await;
        let reconciling = application.clone();
        tokio::spawn(async move { reconciling.keep_reconciling(TICK).await });
        Self { application, store, scratch }
    }

    /// Sends a message from a session's agent, or from a person.
    async fn send(&self, from: Option<u32>, to: u32, text: &str) -> Result<MessageRecord, AppError> {
        let caller = Caller { ancestry: vec![process(from.unwrap_or(99))], ..Caller::default() };
        self.application.send(&id(to), None, text.to_owned(), &caller).await
    }

    /// Hands a session's agent what waits for it.
    async fn hand(&self, number: u32) {
        // What is on record just now may not be posted yet.
        self.application.follow_messages(&id(number)).await.unwrap();
        hand_all(&self.scratch.path().join(number.to_string()));
        self.application.follow_messages(&id(number)).await.unwrap();
    }

    async fn turn(&self, number: u32) {
        self.report(number, "begins").await;
        self.report(number, "ends").await;
    }

    async fn report(&self, number: u32, event: &str) {
        // Each at a time of its own.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let agent = "hooked".parse().unwrap();
        let report = HookReport {
            session: id(number),
            agent,
            event: event.to_owned(),
            at: SystemClock.now(),
            payload: json!({}),
        };
        self.application.observe(&report).await.unwrap();
    }

    /// Changes a session behind the application's back, which is told that something happened.
    async fn change(&self, number: u32, change: impl FnOnce(&mut Session)) {
        let mut session = self.store.session(&id(number)).await.unwrap().unwrap();
        change(&mut session);
        (session.updated_at, session.facts.activity_at) = (SystemClock.now(), SystemClock.now());
        let changed = NewChange { kind: ChangeKind::SessionActivity, data: json!({ "activity": "exited" }) };
        self.store.update_session(&mut session, &[changed]).await.unwrap();
    }

    async fn end(&self, number: u32) {
        let reason = EndReason::Exited(Exit::Code(1));
        self.change(number, |session| session.phase = Phase::Terminated { reason }).await;
    }

    /// What ao told the orchestrator.
    async fn news(&self) -> Vec<String> {
        self.news_of(1).await
    }

    async fn news_of(&self, number: u32) -> Vec<String> {
        let mut all = self.application.messages(&id(number)).await.unwrap();
        all.retain(|record| record.message.from == Sender::Ao);
        all.into_iter().map(|record| record.message.body).collect()
    }

    /// Waits until it was told so often.
    async fn until_told(&self, times: usize) -> Vec<String> {
        self.until_is_told(1, times).await
    }

    async fn until_is_told(&self, number: u32, times: usize) -> Vec<String> {
        let started = Instant::now();
        loop {
            let news = self.news_of(number).await;
            if news.len() >= times {
                return news;
            }
            assert!(started.elapsed() < BOUND, "it was told {} times, not {times}", news.len());
            tokio::time::sleep(TICK).await;
        }
    }
}

/// What a message of news tells of each, without when.
fn lines(news: &str) -> Vec<&str> {
    news.lines().filter(|line| line.starts_with("- ")).collect()
}

fn hand_all(workspace: &Path) {
    let mailbox = InboxMessenger::new(Arc::new(SystemClock)).mailbox(workspace);
    let mut open = mailbox.open().unwrap();
    for message in open.waiting().unwrap() {
        let handover = Handover { via: Route::Wake, at: SystemClock.now(), trace: Value::Null };
        open.take(&message, &handover).unwrap().unwrap();
        open.handed_over(&message).unwrap();
        open.confirm(&message, SystemClock.now()).unwrap();
    }
}

/// The orchestrator answers all that it is told, and so does the worker: how many messages the orchestrator could send.
async fn answers_until_refused(lab: &Lab) -> u32 {
    for sent in 0..100 {
        if let Err(refused) = lab.send(Some(1), 2, "again").await {
            assert_eq!(refused.code, "messages_loop", "{refused}");
            return sent;
        }
        lab.hand(2).await;
        lab.report(2, "begins").await;
        lab.send(Some(2), 1, "done").await.unwrap();
        lab.hand(1).await;
        lab.report(2, "ends").await;
        lab.until_told(sent as usize + 1).await;
        lab.hand(1).await;
    }
    panic!("they go on for ever");
}

#[tokio::test]
async fn an_orchestrator_that_is_told_of_each_turn_of_a_workers_is_bounded_all_the_same() {
    let lab = Lab::new(2).await;
    assert_eq!(answers_until_refused(&lab).await, 25);
    // It has as much to say to the others.
    lab.send(Some(1), 3, "begin").await.unwrap();
    lab.turn(3).await;
    lab.until_told(26).await;
    lab.hand(1).await;
    assert_eq!(lab.send(Some(1), 2, "again").await.unwrap_err().code, "messages_loop");
    assert_eq!(lab.send(Some(2), 1, "again").await.unwrap_err().code, "messages_loop");
    lab.send(None, 2, "go on").await.unwrap();
    lab.send(Some(1), 2, "again").await.unwrap();
    lab.application.shut_down().await;
}

#[tokio::test]
async fn what_two_send_each_other_at_once_is_counted_in_both_directions() {
    let lab = Lab::new(1).await;
    for sent in 0..49 {
        let (from, to) = if sent % 2 == 0 { (1, 2) } else { (2, 1) };
        lab.send(Some(from), to, "again").await.unwrap();
    }
    let (there, back) = tokio::join!(lab.send(Some(1), 2, "at once"), lab.send(Some(2), 1, "at once"));
    assert!(there.is_ok() != back.is_ok(), "{there:?} {back:?}");
    lab.application.shut_down().await;
}

#[tokio::test]
async fn that_a_worker_never_reported_is_told_when_it_is_time_though_nothing_happens() {
    let was_started = SystemClock.now() - Duration::from_secs(88);
    let lab = Lab::with(1, |worker| {
        worker.spec.agent_reports = true;
        worker.facts.launched_at = Some(was_started);
    })
    .await;
    let told = lab.until_told(1).await;
    assert!(SystemClock.now().as_millisecond() >= was_started.as_millisecond() + 90_000, "it was told too early");
    assert!(told[0].contains("app-2 runs, and has not reported") && told[0].contains("ao show app-2"), "{told:?}");
    lab.hand(1).await;
    tokio::time::sleep(20 * TICK).await;
    assert_eq!(lab.news().await, told, "it is told once");
    lab.application.shut_down().await;
}

#[tokio::test]
async fn one_message_of_news_is_on_its_way_whatever_else_is() {
    let lab = Lab::new(2).await;
    lab.turn(2).await;
    let told = lab.until_told(1).await;
    assert!(
        told[0].starts_with("News of your workers, as of ") && told[0].contains("UTC:\n- app-2 is idle"),
        "{told:?}"
    );
    lab.send(Some(2), 1, "I am done").await.unwrap();
    lab.send(None, 1, "[from ao] News of your workers: none").await.unwrap();
    lab.turn(2).await;
    lab.turn(3).await;
    // So many looks that it would have been told.
    tokio::time::sleep(20 * TICK).await;
    assert_eq!(lab.news().await, told);
    lab.hand(1).await;
    let told = lab.until_told(2).await;
    assert!(told[1].contains("- app-2 is idle") && told[1].contains("- app-3 is idle"), "{told:?}");
    lab.application.shut_down().await;
}

#[tokio::test]
async fn all_orchestrators_of_a_project_are_told() {
    let lab = Lab::with(2, |session| {
        if session.id == id(3) {
            session.spec.kind = SessionKind::Orchestrator;
        }
    })
    .await;
    lab.turn(2).await;
    for orchestrator in [1, 3] {
        let told = lab.until_is_told(orchestrator, 1).await;
        assert_eq!(lines(&told[0]), ["- app-2 is idle"]);
        lab.hand(orchestrator).await;
    }
    tokio::time::sleep(20 * TICK).await;
    assert_eq!((lab.news_of(1).await.len(), lab.news_of(3).await.len()), (1, 1), "each is told once");
    lab.application.shut_down().await;
}

/// Another orchestrator comes.
async fn comes(lab: &Lab, number: u32) {
    let workspace = lab.scratch.path().join(number.to_string());
    std::fs::create_dir(&workspace).unwrap();
    let mut new = session(number, "hooked", "made-up", workspace);
    new.spec.kind = SessionKind::Orchestrator;
    new.facts.process = Some(process(number));
    lab.store.insert_session(&mut new, &[]).await.unwrap();
    lab.change(number, |_| {}).await;
}

#[tokio::test]
async fn who_comes_is_told_how_workers_stand_and_what_the_one_before_did_not_live_to_read() {
    let lab = Lab::new(4).await;
    lab.turn(2).await;
    lab.until_told(1).await;
    lab.hand(1).await;
    lab.end(3).await;
    lab.until_told(2).await;
    lab.hand(1).await;
    lab.turn(5).await;
    lab.until_told(3).await;
    lab.hand(1).await;
    lab.end(4).await;
    let told = lab.until_told(4).await;
    assert_eq!(lines(&told[3]), ["- app-4 failed: exited with code 1"]);
    lab.end(1).await;
    // While there is no orchestrator.
    lab.end(5).await;
    comes(&lab, 6).await;
    let told = lab.until_is_told(6, 1).await;
    let expected = ["- app-2 is idle", "- app-4 failed: exited with code 1", "- app-5 failed: exited with code 1"];
    assert_eq!(lines(&told[0]), expected);
    lab.hand(6).await;
    lab.turn(2).await;
    let told = lab.until_is_told(6, 2).await;
    assert_eq!(lines(&told[1]), ["- app-2 is idle"], "each once");
    lab.hand(6).await;

    // The next one comes while this one, which reads nothing more, is there still.
    lab.end(2).await;
    let told = lab.until_is_told(6, 3).await;
    assert_eq!(lines(&told[2]), ["- app-2 failed: exited with code 1"]);
    comes(&lab, 7).await;
    tokio::time::sleep(20 * TICK).await;
    assert_eq!(lab.news_of(7).await, [""; 0], "that is still for the one before");
    lab.end(6).await;
    let told = lab.until_is_told(7, 1).await;
    assert_eq!(lines(&told[0]), ["- app-2 failed: exited with code 1"]);
    lab.application.shut_down().await;
}
