//! Typing to an agent whose screen does what a test says: what is typed, when, and what is said of a message that waits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test panics when it fails")]

#[path = "support/application.rs"]
mod application;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ao::adapters::agent::terminal::Prompt;
use ao::adapters::clock::SystemClock;
use ao::app::Application;
use ao::app::caller::Caller;
use ao::domain::approval::Subject;
use ao::domain::exit::Exit;
use ao::domain::id::{AgentKind, AgentSessionId, RuntimeKind, SessionId};
use ao::domain::message::{MessageRecord, MessageState};
use ao::domain::observation::Signal;
use ao::domain::report::HookReport;
use ao::domain::session::{ProcessIdentity, ToolUse};
use ao::ports::agent::{Agent, AgentError, AgentInstallation, LaunchPlan, LaunchRequest};
use ao::ports::clock::Clock;
use ao::ports::runtime::{Liveness, Marks, Runtime, RuntimeError, TerminalKey, TerminalSpec};
use ao::ports::terminal_input::{PromptSettings, TerminalInput};
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::Instant;

use application::{application, session};

/// How long a test waits for what must come.
const BOUND: Duration = Duration::from_secs(60);
/// As long as a typist needs to look some times, when nothing may come of it.
const SOME_LOOKS: Duration = Duration::from_millis(1500);

const AGENT: ProcessIdentity = ProcessIdentity { pid: 7, start_ticks: 7 };

/// A terminal with a prompt in its last line.
struct Terminal {
    kind: RuntimeKind,
    screen: Mutex<Screen>,
}

struct Screen {
    /// What stands above the prompt.
    above: String,
    /// What was typed at the prompt and not submitted.
    line: String,
    /// Whether the program draws what is typed.
    draws: bool,
    /// Whether it takes Enter for the end of its input.
    submits: bool,
    /// What is shown once each before the screen as it is.
    glimpses: VecDeque<String>,
    /// What was submitted.
    submitted: Vec<String>,
    /// How often Enter was pressed.
    enters: usize,
    is_in_paste: bool,
    liveness: Liveness,
}

impl Terminal {
    fn new() -> Arc<Self> {
        let screen = Screen {
            above: "Hello.".to_owned(),
            line: String::new(),
            draws: true,
            submits: true,
            glimpses: VecDeque::new(),
            submitted: Vec::new(),
            enters: 0,
            is_in_paste: false,
            liveness: Liveness::Alive(AGENT),
        };
        Arc::new(Self { kind: RuntimeKind::new("made-up").unwrap(), screen: Mutex::new(screen) })
    }

    fn with<T>(&self, of: impl FnOnce(&mut Screen) -> T) -> T {
        of(&mut self.screen.lock().unwrap())
    }

    /// What stands at the prompt, and how often Enter was pressed.
    fn typed(&self) -> (String, usize) {
        self.with(|screen| (screen.line.clone(), screen.enters))
    }

    fn submitted(&self) -> Vec<String> {
        self.with(|screen| screen.submitted.clone())
    }
}

impl Screen {
    fn shown(&mut self) -> String {
        let line = if self.draws { self.line.as_str() } else { "" };
        self.glimpses.pop_front().unwrap_or_else(|| format!("{}\n> {line}", self.above))
    }

    fn take(&mut self, keys: &str) {
        match keys {
            "\u{1b}[200~" => self.is_in_paste = true,
            "\u{1b}[201~" => self.is_in_paste = false,
            "\r" if !self.is_in_paste => {
                self.enters += 1;
                if self.submits {
                    let line = std::mem::take(&mut self.line);
                    self.above = format!("{}\n> {line}", self.above);
                    self.submitted.push(line);
                }
            }
            text => self.line.push_str(&text.replace('\r', "\n")),
        }
    }
}

#[async_trait]
impl Runtime for Terminal {
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
        let liveness = self.with(|screen| screen.liveness.clone());
        keys.iter().map(|key| (key.session.clone(), liveness.clone())).collect()
    }

    async fn screen(&self, _: &TerminalKey) -> Result<String, RuntimeError> {
        Ok(self.with(Screen::shown))
    }

    async fn output(&self, _: &TerminalKey, _: usize) -> Result<String, RuntimeError> {
        Ok(String::new())
    }

    async fn input(&self, _: &TerminalKey, keys: &[u8]) -> Result<(), RuntimeError> {
        self.with(|screen| screen.take(std::str::from_utf8(keys).unwrap()));
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

/// An agent that is typed to, and reports all the same when it asks something.
struct Typed {
    kind: AgentKind,
    prompt: Prompt,
}

#[async_trait]
impl Agent for Typed {
    fn kind(&self) -> &AgentKind {
        &self.kind
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

    fn terminal_input(&self) -> Option<&dyn TerminalInput> {
        Some(&self.prompt)
    }

    fn interpret(&self, event: &str, _: &Value) -> Vec<Signal> {
        let tool_use = ToolUse { tool: "Bash".to_owned(), input: json!({}), subagent: None, is_cut: false };
        vec![match event {
            "asks" => Signal::Blocked { tool_use, subject: Subject::default() },
            "waits" => Signal::WaitingInput,
            "is idle" => Signal::Idle,
            other => panic!("{other}"),
        }]
    }
}

/// A session with such an agent.
struct Lab {
    application: Application,
    terminal: Arc<Terminal>,
    id: SessionId,
    _scratch: tempfile::TempDir,
}

impl Lab {
    async fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let workspace = scratch.path().join("workspace");
        std::fs::create_dir(&workspace).unwrap();
        let settings = PromptSettings {
            prompt: ">".to_owned(),
            prompt_lines: 1,
            busy: Some("esc to interrupt".to_owned()),
            echo: None,
            bracketed_paste: true,
            echoes: true,
        };
        let agent = Typed { kind: AgentKind::new("typed").unwrap(), prompt: Prompt::new(settings).unwrap() };
        let terminal = Terminal::new();
        let mut session = session(1, "typed", "made-up", workspace);
        session.facts.process = Some(AGENT);
        let (application, _) =
            application(&scratch, vec![Arc::new(agent)], vec![terminal.clone()], vec![session]).await;
        Self { application, terminal, id: "app-1".parse().unwrap(), _scratch: scratch }
    }

    async fn send(&self, text: &str) {
        let person = Caller { ancestry: vec![ProcessIdentity { pid: 9, start_ticks: 9 }], ..Caller::default() };
        self.application.send(&self.id, None, text.to_owned(), &person).await.unwrap();
    }

    async fn reports(&self, event: &str) {
        let (session, agent) = (self.id.clone(), AgentKind::new("typed").unwrap());
        let report = HookReport { session, agent, event: event.to_owned(), at: SystemClock.now(), payload: json!({}) };
        self.application.observe(&report).await.unwrap();
    }

    async fn message(&self) -> MessageRecord {
        self.application.messages(&self.id).await.unwrap().pop().unwrap()
    }

    /// Waits until something holds of the last message; gives it.
    async fn until(&self, what: &str, is_so: impl Fn(&MessageRecord) -> bool) -> MessageRecord {
        let begun = Instant::now();
        loop {
            let message = self.message().await;
            if is_so(&message) {
                return message;
            }
            let (typed, submitted) = (self.terminal.typed(), self.terminal.submitted());
            assert!(begun.elapsed() < BOUND, "never {what}: {message:#?}\n{typed:?} {submitted:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn until_taken(&self) {
        self.until("taken", |message| message.state == MessageState::Acknowledged).await;
    }

    /// Waits until a text stands at the prompt.
    async fn until_typed(&self, text: &str) {
        let begun = Instant::now();
        while self.terminal.typed().0 != text {
            assert!(begun.elapsed() < BOUND, "{text:?} is not typed: {:#?}", self.message().await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn says(message: &MessageRecord, words: &str) -> bool {
    message.error.as_deref().is_some_and(|error| error.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn i08_nothing_is_typed_while_the_agent_waits_for_an_answer() {
    for event in ["asks", "waits"] {
        let lab = Lab::new().await;
        lab.reports(event).await;
        lab.send("hello").await;
        let waiting = lab.until("told why it waits", |message| says(message, "waits for an answer")).await;
        assert_eq!(waiting.state, MessageState::Queued, "{event}");
        tokio::time::sleep(SOME_LOOKS).await;
        assert_eq!(lab.terminal.typed(), (String::new(), 0), "{event}");
        lab.reports("is idle").await;
        lab.until_taken().await;
        assert_eq!(lab.terminal.submitted(), ["hello"], "{event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i08_what_was_typed_is_not_submitted_once_the_agent_asks_something() {
    let lab = Lab::new().await;
    lab.terminal.with(|screen| screen.draws = false);
    lab.send("hello").await;
    lab.until_typed("hello").await;
    lab.reports("asks").await;
    lab.terminal.with(|screen| screen.draws = true);
    tokio::time::sleep(SOME_LOOKS).await;
    assert_eq!(lab.terminal.typed(), ("hello".to_owned(), 0), "the question was answered by Enter");
    lab.reports("is idle").await;
    lab.until_taken().await;
    assert_eq!(lab.terminal.submitted(), ["hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn i08_nothing_is_typed_for_an_agent_that_is_not_known_to_run() {
    let other = ProcessIdentity { start_ticks: 8, ..AGENT };
    for liveness in [Liveness::Unknown("the disk hangs".to_owned()), Liveness::Alive(other)] {
        let lab = Lab::new().await;
        lab.terminal.with(|screen| screen.liveness = liveness.clone());
        lab.send("hello").await;
        let waiting = lab.until("told why it waits", |message| says(message, "not known to run")).await;
        assert_eq!(waiting.state, MessageState::Queued, "{liveness:?}");
        tokio::time::sleep(SOME_LOOKS).await;
        assert_eq!(lab.terminal.typed(), (String::new(), 0), "{liveness:?}");
        lab.terminal.with(|screen| screen.liveness = Liveness::Alive(AGENT));
        lab.until_taken().await;
        assert_eq!(lab.terminal.submitted(), ["hello"], "{liveness:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i08_nothing_is_typed_nor_submitted_while_the_screen_says_that_it_is_busy() {
    let lab = Lab::new().await;
    let is_busy = |is_busy: bool| {
        let above = if is_busy { "Thinking (esc to interrupt)" } else { "Hello." };
        lab.terminal.with(|screen| screen.above = above.to_owned());
    };
    is_busy(true);
    lab.send("hello").await;
    lab.until("told why it waits", |message| says(message, "it is busy: \"esc to interrupt\"")).await;
    tokio::time::sleep(SOME_LOOKS).await;
    assert_eq!(lab.terminal.typed(), (String::new(), 0));
    // It begins something by itself in the moment in which it is typed to.
    lab.terminal.with(|screen| screen.draws = false);
    is_busy(false);
    lab.until_typed("hello").await;
    is_busy(true);
    lab.terminal.with(|screen| screen.draws = true);
    tokio::time::sleep(SOME_LOOKS).await;
    assert_eq!(lab.terminal.typed(), ("hello".to_owned(), 0));
    is_busy(false);
    lab.until_taken().await;
    assert_eq!(lab.terminal.submitted(), ["hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_show_is_neither_submitted_nor_typed_again_until_it_does() {
    let lab = Lab::new().await;
    lab.terminal.with(|screen| screen.draws = false);
    lab.send("hello").await;
    let waiting = lab.until("told that nothing shows", |message| says(message, "nothing of it is to be seen")).await;
    assert_eq!((waiting.state, lab.terminal.typed()), (MessageState::Queued, ("hello".to_owned(), 0)));
    tokio::time::sleep(SOME_LOOKS).await;
    assert_eq!(lab.terminal.typed(), ("hello".to_owned(), 0), "it was typed again, or submitted");
    lab.terminal.with(|screen| screen.draws = true);
    lab.until_taken().await;
    assert_eq!(lab.terminal.submitted(), ["hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_was_cleared_before_it_showed_is_typed_again() {
    let lab = Lab::new().await;
    lab.terminal.with(|screen| screen.draws = false);
    lab.send("hello").await;
    lab.until_typed("hello").await;
    // A person's Ctrl-U meets the paste.
    lab.terminal.with(|screen| {
        screen.line.clear();
        screen.draws = true;
    });
    lab.send("next").await;
    // It may come yet, for half a minute.
    let begun = Instant::now();
    while lab.terminal.submitted().is_empty() {
        assert!(begun.elapsed() < BOUND * 3, "not typed again: {:#?}", lab.application.messages(&lab.id).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    lab.until_taken().await;
    assert_eq!(lab.terminal.submitted(), ["hello", "next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn i08_what_shows_late_beside_what_a_person_typed_is_not_submitted() {
    let lab = Lab::new().await;
    lab.terminal.with(|screen| (screen.draws, screen.line) = (false, "mine ".to_owned()));
    lab.send("hello").await;
    lab.until("told that nothing shows", |message| says(message, "nothing of it is to be seen")).await;
    lab.terminal.with(|screen| screen.draws = true);
    let left = lab.until("told what stands there", |message| says(message, "there stands \"> mine hello\"")).await;
    assert_eq!((left.state, lab.terminal.typed()), (MessageState::Queued, ("mine hello".to_owned(), 0)));
    // The person clears it.
    lab.terminal.with(|screen| screen.line.clear());
    lab.until_taken().await;
    assert_eq!(lab.terminal.submitted(), ["hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_at_the_prompt_still_is_not_taken_whatever_else_changes() {
    let lab = Lab::new().await;
    lab.terminal.with(|screen| screen.submits = false);
    lab.send("hello").await;
    lab.until("submitted", |message| message.state == MessageState::Injected).await;
    lab.send("next").await;
    // Something goes on above the prompt, and a frame is caught that is not drawn to its end.
    lab.terminal.with(|screen| {
        screen.above = "Hello. It is five o'clock.".to_owned();
        screen.glimpses.push_back(String::new());
    });
    let first = async || lab.application.messages(&lab.id).await.unwrap().remove(0);
    let begun = Instant::now();
    while !says(&first().await, "its terminal has not changed since") {
        assert!(begun.elapsed() < BOUND, "{:#?}", first().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(first().await.state, MessageState::Injected);
    assert_eq!(lab.terminal.typed(), ("hello".to_owned(), 1), "Enter was pressed again, or the next one typed");
    lab.terminal.with(|screen| (screen.submits, screen.line) = (true, String::new()));
    lab.until_taken().await;
    let taken = first().await;
    assert_eq!((taken.state, taken.error), (MessageState::Acknowledged, None));
    assert_eq!(lab.terminal.submitted(), ["next"]);
}
