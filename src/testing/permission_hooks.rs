//! The contract of [`PermissionHooks`].
//!
//! Implement [`PermissionHooksFixture`] for your agent, then let [`permission_hooks_contract!`](crate::permission_hooks_contract) make one test of
//! each function here:
//!
//! ```no_run
//! # use ao::ports::agent::Agent;
//! use ao::domain::approval::Verdict;
//! use ao::ports::text_hooks::HookAnswer;
//! use ao::testing::agent::HookCall;
//! use ao::testing::permission_hooks::{Answered, PermissionHooksFixture};
//!
//! # fn my_agent() -> Box<dyn Agent> { unimplemented!() }
//! struct Mine(Box<dyn Agent>);
//!
//! impl PermissionHooksFixture for Mine {
//!     fn agent(&self) -> &dyn Agent {
//!         &*self.0
//!     }
//!
//!     fn asks(&self) -> Vec<HookCall> {
//!         vec![HookCall::new("asks", serde_json::json!({ "tool": "shell", "command": "make" }))]
//!     }
//!
//!     // An agent that takes `yes`, or `no` and why.
//!     fn reads(&self, _: &HookCall, answer: &HookAnswer) -> Option<Answered> {
//!         match answer.stdout.split_once(' ') {
//!             None if answer.stdout == "yes" => Some(Answered { verdict: Verdict::Allow, words: None }),
//!             Some(("no", why)) => Some(Answered { verdict: Verdict::Deny, words: Some(why.to_owned()) }),
//!             _ => None,
//!         }
//!     }
//! }
//!
//! ao::permission_hooks_contract!(Mine(my_agent()));
//! ```

use super::agent::{HookCall, KNOWN_EVENTS, UNKNOWN_EVENTS};
use crate::domain::approval::{Decider, Decision, Verdict};
use crate::domain::observation::Signal;
use crate::ports::agent::Agent;
use crate::ports::permission_hooks::PermissionHooks;
use crate::ports::text_hooks::HookAnswer;

/// What an agent reads in the answer of its hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What was decided.
    pub verdict: Verdict,
    /// Why, if it was denied; `None` where its hooks take no words.
    pub words: Option<String>,
}

/// What the suite needs of an agent. One fixture is made for each test.
pub trait PermissionHooksFixture {
    /// The agent, which has such hooks.
    fn agent(&self) -> &dyn Agent;

    /// Calls in which it asks: at least one.
    fn asks(&self) -> Vec<HookCall>;

    /// What the agent reads in the answer to such a call; `None` where it finds no decision.
    fn reads(&self, call: &HookCall, answer: &HookAnswer) -> Option<Answered>;
}

/// Makes one `#[test]` of each function of the suite. Takes an expression that makes a fixture.
#[macro_export]
macro_rules! permission_hooks_contract {
    ($fixture:expr) => {
        $crate::permission_hooks_contract!(@tests $fixture;
            it_is_blocked_when_it_asks
            the_agent_reads_what_was_decided
            one_that_may_not_is_told_why
            each_decision_is_an_answer_and_always_the_same
        );
    };
    (@tests $fixture:expr; $($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                $crate::testing::permission_hooks::$name(&$fixture);
            }
        )+
    };
}

fn hooks(fixture: &dyn PermissionHooksFixture) -> &dyn PermissionHooks {
    fixture.agent().permission_hooks().expect("an agent with permission hooks")
}

fn asks(fixture: &dyn PermissionHooksFixture) -> Vec<HookCall> {
    let asks = fixture.asks();
    assert!(!asks.is_empty(), "the agent asks for nothing");
    asks
}

/// Reasons as people write them, and as they never should.
fn reasons() -> Vec<Option<String>> {
    let told =
        ["not that", "a \"quoted\" {word} \\ %s 'q' $(id)", "one\ntwo\tthree", "größe 🦀", "\u{1b}[2J\u{7}\rleave"];
    let long = "x".repeat(4096);
    let reasons = told.into_iter().chain([long.as_str()]);
    reasons.map(|reason| Some(reason.to_owned())).chain([None]).collect()
}

fn denials() -> Vec<Decision> {
    reasons().into_iter().map(|reason| Decision { verdict: Verdict::Deny, reason, by: Decider::Person }).collect()
}

fn allows() -> Vec<Decision> {
    let reasons = [None, Some("no, never: deny".to_owned())];
    reasons.into_iter().map(|reason| Decision { verdict: Verdict::Allow, reason, by: Decider::Person }).collect()
}

/// The report of a hook in which it asks means [`Signal::Blocked`]: else nobody would be asked.
pub fn it_is_blocked_when_it_asks(fixture: &dyn PermissionHooksFixture) {
    for call in asks(fixture) {
        let signals = fixture.agent().interpret(&call.event, &call.payload);
        assert!(signals.iter().any(|signal| matches!(signal, Signal::Blocked { .. })), "{call:?} means {signals:?}");
    }
}

/// Yes is yes and no is no, whatever was said with it.
pub fn the_agent_reads_what_was_decided(fixture: &dyn PermissionHooksFixture) {
    for call in asks(fixture) {
        for decision in allows().into_iter().chain(denials()) {
            let answer = hooks(fixture).answer(&call.event, &decision);
            let read = fixture.reads(&call, &answer).map(|read| read.verdict);
            assert_eq!(read, Some(decision.verdict), "{decision:?} is answered by {answer:?}");
        }
    }
}

/// The whole reason, without what a terminal obeys; where none was given, who decided. An agent whose hooks take no words is never told any.
pub fn one_that_may_not_is_told_why(fixture: &dyn PermissionHooksFixture) {
    for call in asks(fixture) {
        let told: Vec<(String, Option<String>)> = denials()
            .iter()
            .filter_map(|decision| {
                let answer = hooks(fixture).answer(&call.event, decision);
                Some((decision.refusal(), fixture.reads(&call, &answer)?.words))
            })
            .collect();
        let takes_words = told.iter().any(|(_, words)| words.is_some());
        for (refusal, words) in told {
            let is_obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
            assert!(!words.as_ref().is_some_and(|words| words.contains(is_obeyed)), "a terminal obeys {words:?}");
            assert!(
                !takes_words || words.as_ref() == Some(&refusal),
                "it was to be told {refusal:?} and reads {words:?}"
            );
        }
    }
}

/// Never the answer of a hook that has none, which would leave the agent at its dialog.
pub fn each_decision_is_an_answer_and_always_the_same(fixture: &dyn PermissionHooksFixture) {
    for call in asks(fixture) {
        for decision in allows().into_iter().chain(denials()) {
            let answer = hooks(fixture).answer(&call.event, &decision);
            assert_ne!(answer, HookAnswer::default(), "{decision:?} is no answer");
        }
    }
    the_same_decision_has_the_same_answer(hooks(fixture));
}

/// Whatever the hook is called; nothing fails for one that nobody knows.
pub fn the_same_decision_has_the_same_answer(hooks: &dyn PermissionHooks) {
    for event in KNOWN_EVENTS.into_iter().chain(UNKNOWN_EVENTS) {
        for decision in allows().into_iter().chain(denials()) {
            let answer = hooks.answer(event, &decision);
            assert_eq!(answer, hooks.answer(event, &decision), "{event:?}: {decision:?} has two answers");
        }
    }
}
