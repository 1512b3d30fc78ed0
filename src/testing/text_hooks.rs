//! The contract of [`TextHooks`].
//!
//! Implement [`TextHooksFixture`] for your agent, then let [`text_hooks_contract!`](crate::text_hooks_contract) make one test of each function
//! here:
//!
//! ```no_run
//! # use std::path::{Path, PathBuf};
//! # use ao::ports::agent::Agent;
//! use ao::domain::message::Route;
//! use ao::ports::text_hooks::HookAnswer;
//! use ao::testing::agent::HookCall;
//! use ao::testing::text_hooks::TextHooksFixture;
//! use serde_json::json;
//!
//! # fn my_agent() -> Box<dyn Agent> { unimplemented!() }
//! struct Mine {
//!     agent: Box<dyn Agent>,
//!     root: tempfile::TempDir,
//! }
//!
//! impl Mine {
//!     fn call(&self, event: &str) -> HookCall {
//!         HookCall::new(event, json!({ "log": self.root.path().join("log") }))
//!     }
//! }
//!
//! impl TextHooksFixture for Mine {
//!     fn agent(&self) -> &dyn Agent {
//!         &*self.agent
//!     }
//!
//!     fn calls(&self) -> Vec<(Route, HookCall)> {
//!         vec![(Route::EndOfTurn, self.call("done")), (Route::Wake, self.call("done"))]
//!     }
//!
//!     // What it finds on standard output it is told.
//!     fn reads(&self, _: Route, _: &HookCall, answer: &HookAnswer) -> Option<String> {
//!         (!answer.stdout.is_empty()).then(|| answer.stdout.clone())
//!     }
//!
//!     // Its next tool call finds all it was told in its log.
//!     fn takes(&self, _: Route, text: &str) -> HookCall {
//!         let log = self.root.path().join("log");
//!         let before = std::fs::read_to_string(&log).unwrap_or_default();
//!         std::fs::write(log, before + text).unwrap();
//!         self.call("tool")
//!     }
//!
//!     fn record(&self) -> Option<PathBuf> {
//!         Some(self.root.path().join("log"))
//!     }
//!
//!     fn root(&self) -> &Path {
//!         self.root.path()
//!     }
//! }
//!
//! # fn fixture() -> Mine { unimplemented!() }
//! ao::text_hooks_contract!(fixture());
//! ```

#![allow(clippy::unwrap_used, reason = "a contract suite fails by panicking, as every check says in its name")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use super::agent::{HookCall, KNOWN_EVENTS, UNKNOWN_EVENTS, files, garbage};
use crate::domain::Timestamp;
use crate::domain::id::MessageId;
use crate::domain::message::Route;
use crate::domain::observation::Signal;
use crate::ports::agent::Agent;
use crate::ports::mailbox::Handover;
use crate::ports::text_hooks::{HookAnswer, Seen, TextHooks};

/// What must find room in an answer, in bytes.
const LEAST_BYTES: usize = 1024;
/// What may be kept of where the agent's record stood, in bytes.
const MOST_TRACE_BYTES: usize = 32 * 1024;
/// How long a question may take that waits for nobody.
const BOUND: Duration = Duration::from_secs(10);

/// What the suite needs of an agent. One fixture is made for each test: a conversation of the agent's, which has just begun.
pub trait TextHooksFixture {
    /// The agent, which has such hooks.
    fn agent(&self) -> &dyn Agent;

    /// Calls of its hooks in this conversation by which it can be handed text, each with its route: at least one. With [`Route::Wake`] those in
    /// which somebody begins to wait beside the idle agent, if it can be woken.
    fn calls(&self) -> Vec<(Route, HookCall)>;

    /// What the agent reads in an answer; `None` where it finds no text.
    fn reads(&self, route: Route, call: &HookCall, answer: &HookAnswer) -> Option<String>;

    /// The agent takes this text, which came by this route: does to its own record what it does then, and gives the next call of its hooks.
    fn takes(&self, route: Route, text: &str) -> HookCall;

    /// The file that is the agent's own record of this conversation; `None` when it is something else, or there is none.
    fn record(&self) -> Option<PathBuf>;

    /// The directory in which all lies that this agent's hooks might change.
    fn root(&self) -> &Path;
}

/// Makes one `#[test]` of each function of the suite that takes a fixture. Takes an expression that makes one.
#[macro_export]
macro_rules! text_hooks_contract {
    ($fixture:expr) => {
        $crate::text_hooks_contract!(@tests $fixture;
            each_call_has_its_route_and_its_report_fits
            the_agent_reads_what_it_is_handed_byte_for_byte
            a_trace_is_small_and_stays_what_it_is
            what_the_agent_does_not_show_is_not_taken
            what_the_agent_has_taken_is_not_missed
            whatever_a_call_holds_nothing_fails
            a_record_that_cannot_be_read_tells_nothing
            what_a_handovers_record_says_is_not_believed
            asking_changes_nothing
        );
    };
    (@tests $fixture:expr; $($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                $crate::testing::text_hooks::$name(&$fixture);
            }
        )+
    };
}

fn hooks(fixture: &dyn TextHooksFixture) -> &dyn TextHooks {
    fixture.agent().text_hooks().expect("an agent with text hooks")
}

fn calls(fixture: &dyn TextHooksFixture) -> Vec<(Route, HookCall)> {
    let calls = fixture.calls();
    assert!(!calls.is_empty(), "the agent takes no text");
    calls
}

fn handover(via: Route, trace: Value) -> Handover {
    Handover { via, at: Timestamp::UNIX_EPOCH, trace }
}

fn id(name: &str) -> MessageId {
    MessageId::hash_of(name)
}

/// Text with this id, as ao hands it over.
fn text(id: &MessageId) -> String {
    format!("Message {id}, sent to you through ao by a person:\ndo \"it\" \\ now\nend")
}

/// Texts as messages have them, and worse.
fn texts(most_bytes: usize) -> Vec<String> {
    let mut texts = [
        "x",
        "\nlines\r\n\n\tend\n",
        "{\"hookSpecificOutput\":{}} \"q\" 'q' \\ \\u0041 $(id) `id` %s",
        "größe 🦀 \u{feff}",
        "\u{1b}[2J\u{7f}\u{9b}31m\0",
        " ",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("x".repeat(most_bytes));
    texts.push("\"\n".repeat(most_bytes / 2));
    texts.push(format!("{}{}", "ü".repeat(most_bytes / 2), "x".repeat(most_bytes % 2)));
    texts
}

/// A route for each hook that takes text, and the turn that its report tells of is the one that the route is about. Waiting is no hook's route.
pub fn each_call_has_its_route_and_its_report_fits(fixture: &dyn TextHooksFixture) {
    for (route, call) in calls(fixture) {
        let found = hooks(fixture).route(&call.event, &call.payload);
        assert!(!matches!(found, Some(Route::Wake | Route::Terminal)), "{call:?} is a hook, and has {found:?}");
        if route != Route::Wake {
            assert_eq!(found, Some(route), "{call:?}");
        }
        let signals = fixture.agent().interpret(&call.event, &call.payload);
        let says = |is: fn(&Signal) -> bool| signals.iter().any(is);
        let is_over = says(|signal| matches!(signal, Signal::Idle | Signal::Failed { .. }));
        let fits = match found {
            Some(Route::EndOfTurn) => is_over,
            Some(Route::NextPrompt) => says(|signal| matches!(signal, Signal::Prompted | Signal::Woken)) && !is_over,
            Some(_) => !is_over,
            None => true,
        };
        assert!(fits, "{call:?} takes text by {found:?} and means {signals:?}");
    }
}

/// Any text that is not too long, by each route; twice the same answer, and never that of a hook that has none.
pub fn the_agent_reads_what_it_is_handed_byte_for_byte(fixture: &dyn TextHooksFixture) {
    what_tells_where_to_read_finds_room(hooks(fixture));
    for (route, call) in calls(fixture) {
        for text in texts(hooks(fixture).most_bytes(route)) {
            let answer = hooks(fixture).hand_over(&call.event, route, &text);
            assert_ne!(answer, HookAnswer::default(), "{text:?} is not handed over by {route}");
            let read = fixture.reads(route, &call, &answer);
            assert!(read.as_ref() == Some(&text), "by {route} it was to read {text:?} and reads {read:?}");
            assert_eq!(answer, hooks(fixture).hand_over(&call.event, route, &text), "{text:?} has two answers");
        }
    }
}

/// At least 1024 bytes, always the same number.
pub fn what_tells_where_to_read_finds_room(hooks: &dyn TextHooks) {
    for route in [Route::BetweenTools, Route::EndOfTurn, Route::NextPrompt, Route::Wake] {
        let most = hooks.most_bytes(route);
        assert!(most >= LEAST_BYTES, "by {route} it takes {most} bytes at once");
        assert_eq!(most, hooks.most_bytes(route), "{route}");
    }
}

/// It fits beside a message, is the same after it was written there and read again, and the same question has the same answer.
pub fn a_trace_is_small_and_stays_what_it_is(fixture: &dyn TextHooksFixture) {
    for (route, call) in calls(fixture) {
        let trace = hooks(fixture).trace(&call.payload);
        assert_eq!(trace, hooks(fixture).trace(&call.payload), "{call:?} has two traces");
        let record = serde_json::to_vec(&handover(route, trace.clone())).unwrap();
        let read: Handover = serde_json::from_slice(&record).unwrap();
        assert_eq!(read.trace, trace);
        insist_that_it_fits(&trace, &call);
    }
}

fn insist_that_it_fits(trace: &Value, call: &HookCall) {
    let bytes = trace.to_string().len();
    assert!(bytes <= MOST_TRACE_BYTES, "the trace of a call of {:?} has {bytes} bytes", call.event);
}

/// Neither before it has taken anything, nor when it has taken something else, nor when it took the same before it was handed over anew.
pub fn what_the_agent_does_not_show_is_not_taken(fixture: &dyn TextHooksFixture) {
    let hooks = hooks(fixture);
    for (route, call) in calls(fixture) {
        let (wanted, other) = (id(&format!("{route} {}", call.event)), id("other"));
        let handed_over = handover(route, hooks.trace(&call.payload));
        let seen = |call: &HookCall, handover: &Handover| hooks.seen(&call.event, &call.payload, &wanted, handover);
        assert_ne!(seen(&call, &handed_over), Seen::Taken, "{route}: nothing was taken");
        let next = fixture.takes(route, &text(&other));
        assert_ne!(seen(&next, &handed_over), Seen::Taken, "{route}: another text was taken");
        fixture.takes(route, &text(&wanted));
        // Any later call, of which the text is no part.
        let later = fixture.takes(route, &text(&other));
        let anew = handover(route, hooks.trace(&later.payload));
        assert_ne!(seen(&later, &anew), Seen::Taken, "{route}: what was taken before it was handed over is not it");
    }
}

/// Not by the next call, nor by any later one: else it is handed over again.
pub fn what_the_agent_has_taken_is_not_missed(fixture: &dyn TextHooksFixture) {
    let hooks = hooks(fixture);
    for (route, call) in calls(fixture) {
        let wanted = id(&format!("{route} {}", call.event));
        let handed_over = handover(route, hooks.trace(&call.payload));
        for name in [wanted.clone(), id("other"), id("another")] {
            let call = fixture.takes(route, &text(&name));
            for _ in 0..2 {
                let seen = hooks.seen(&call.event, &call.payload, &wanted, &handed_over);
                assert!(matches!(seen, Seen::Taken | Seen::Unknown), "{route}: it is {seen:?} at {call:?}");
            }
        }
    }
}

/// An event that nobody knows takes no text, whatever comes with it; nothing fails, and what is not there is not taken.
pub fn what_is_not_known_takes_no_text(hooks: &dyn TextHooks) {
    for payload in garbage() {
        for event in UNKNOWN_EVENTS {
            assert_eq!(hooks.route(event, &payload), None, "{event:?} takes text");
            insist_on_nothing(hooks, &HookCall::new(event, payload.clone()));
        }
        for event in KNOWN_EVENTS {
            insist_on_nothing(hooks, &HookCall::new(event, payload.clone()));
        }
    }
}

/// Everything that a hook asks, of a call that shows no text.
fn insist_on_nothing(hooks: &dyn TextHooks, call: &HookCall) {
    let route = hooks.route(&call.event, &call.payload);
    assert_eq!(route, hooks.route(&call.event, &call.payload), "{:?} has two routes", call.event);
    let trace = hooks.trace(&call.payload);
    insist_that_it_fits(&trace, call);
    hooks.hand_over(&call.event, Route::Wake, "text");
    if let Some(route) = route {
        hooks.hand_over(&call.event, route, "text");
    }
    for trace in [trace, Value::Null, json!([]), json!("text"), json!({}), json!(-1)] {
        for via in [Route::BetweenTools, Route::EndOfTurn, Route::NextPrompt, Route::Wake] {
            let seen = hooks.seen(&call.event, &call.payload, &id("never"), &handover(via, trace.clone()));
            assert_ne!(seen, Seen::Taken, "a call of {:?} shows what was never handed over", call.event);
        }
    }
}

/// The payload with each field left out, and with other values in its place, also some that are too long to be kept.
fn mutations(payload: &Value) -> Vec<Value> {
    let Some(fields) = payload.as_object() else { return Vec::new() };
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let long = Value::String("x/".repeat(500_000));
    let values = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(0.5),
        json!(""),
        json!("\0"),
        json!("größe"),
        json!([]),
        json!({}),
        deep,
        long,
    ];
    let mut mutations = Vec::new();
    for name in fields.keys() {
        let with = |value: Option<&Value>| {
            let mut fields = fields.clone();
            match value {
                Some(value) => fields.insert(name.clone(), value.clone()),
                None => fields.shift_remove(name),
            };
            Value::Object(fields)
        };
        mutations.push(with(None));
        mutations.extend(values.iter().map(|value| with(Some(value))));
    }
    mutations
}

/// Calls like the agent's own, with fields missing, of other types, and huge.
pub fn whatever_a_call_holds_nothing_fails(fixture: &dyn TextHooksFixture) {
    what_is_not_known_takes_no_text(hooks(fixture));
    for (_, call) in calls(fixture) {
        for payload in mutations(&call.payload) {
            insist_on_nothing(hooks(fixture), &HookCall::new(&call.event, payload));
        }
    }
}

/// One that is not there, is no file, or is a pipe into which nobody writes is [`Seen::Unknown`] at once; of one that is garbage, or shorter than it
/// was, nothing is taken.
pub fn a_record_that_cannot_be_read_tells_nothing(fixture: &dyn TextHooksFixture) {
    let Some(record) = fixture.record() else { return };
    for (route, call) in calls(fixture) {
        fixture.takes(route, &text(&id("before")));
        let handed_over = handover(route, hooks(fixture).trace(&call.payload));
        let seen = || hooks(fixture).seen(&call.event, &call.payload, &id("a"), &handed_over);
        let kept = fs::read(&record).unwrap();
        for garbage in [&b"\xff\xfe\0{{{\n\n[\"\n"[..], b""] {
            fs::write(&record, garbage).unwrap();
            assert!(matches!(seen(), Seen::Unknown | Seen::Missing), "{route}: garbage tells {:?}", seen());
        }
        fs::remove_file(&record).unwrap();
        assert_eq!(seen(), Seen::Unknown, "{route}: it is not there");
        hooks(fixture).trace(&call.payload);
        fs::create_dir(&record).unwrap();
        assert_eq!(seen(), Seen::Unknown, "{route}: it is a directory");
        fs::remove_dir(&record).unwrap();
        mknodat(CWD, &record, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let at_once = without_waiting(&record, || {
            hooks(fixture).trace(&call.payload);
            seen()
        });
        assert_eq!(at_once, Some(Seen::Unknown), "{route}: it is a pipe");
        fs::remove_file(&record).unwrap();
        fs::write(&record, kept).unwrap();
    }
}

/// What this gives, if it does not wait for somebody who writes into that pipe.
fn without_waiting<T>(pipe: &Path, work: impl FnOnce() -> T) -> Option<T> {
    std::thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        let rescue = scope.spawn(move || {
            let waits = is_done.recv_timeout(BOUND) == Err(mpsc::RecvTimeoutError::Timeout);
            if waits {
                // Whoever waits is let go, whether for who reads or for who writes.
                drop(fs::File::options().read(true).write(true).open(pipe));
            }
            waits
        });
        let result = work();
        drop(done);
        (!rescue.join().unwrap()).then_some(result)
    })
}

/// Whatever is put in the place of where the agent's record stood: a text that is nowhere is not taken, also when that names its id.
pub fn what_a_handovers_record_says_is_not_believed(fixture: &dyn TextHooksFixture) {
    let hooks = hooks(fixture);
    let wanted = id("a");
    // Where the text stands, and nobody but the record of a handover says that this is the agent's.
    let planted = fixture.root().join("planted");
    fs::write(&planted, format!("{}\n", json!({ "type": "user", "message": text(&wanted) }))).unwrap();
    for (route, call) in calls(fixture) {
        fixture.takes(route, &text(&id("other")));
        let trace = hooks.trace(&call.payload);
        let mut traces = mutations(&trace);
        traces.extend([Value::Null, json!([]), json!("Taken"), json!(text(&wanted)), json!(0)]);
        for name in trace.as_object().into_iter().flat_map(serde_json::Map::keys) {
            for value in [json!(planted), json!(0), json!(text(&wanted))] {
                let mut trace = trace.clone();
                trace[name] = value;
                traces.push(trace.clone());
                // From its beginning on.
                for field in trace.as_object_mut().unwrap().values_mut().filter(|field| field.is_number()) {
                    *field = json!(0);
                }
                traces.push(trace);
            }
        }
        for trace in traces {
            let seen = hooks.seen(&call.event, &call.payload, &wanted, &handover(route, trace.clone()));
            assert_ne!(seen, Seen::Taken, "{trace} was believed");
        }
    }
}

/// All files are as they were, after whatever is asked.
pub fn asking_changes_nothing(fixture: &dyn TextHooksFixture) {
    for (route, call) in calls(fixture) {
        let next = fixture.takes(route, &text(&id("a")));
        let before = files(fixture.root());
        for call in [call, next] {
            hooks(fixture).route(&call.event, &call.payload);
            let handed_over = handover(route, hooks(fixture).trace(&call.payload));
            hooks(fixture).hand_over(&call.event, route, "text");
            hooks(fixture).most_bytes(route);
            hooks(fixture).seen(&call.event, &call.payload, &id("a"), &handed_over);
            assert!(files(fixture.root()) == before, "a call of {:?} changed files", call.event);
        }
    }
}
