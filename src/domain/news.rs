//! What the coordinator of a project should hear of a worker.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::approval::PendingRequest;
use super::id::{MessageId, SessionId};
use super::phase::{EndReason, Phase};
use super::session::{Activity, Session};
use super::status;
use super::text::{one_line, printable};

/// How much of a tool's input is told, in characters.
const MAX_INPUT: usize = 200;

/// Which news of a session its coordinators were told last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Announced {
    /// Each of them, by its session.
    To(BTreeMap<SessionId, Announcement>),
    /// Whoever that was: told before it was kept to whom.
    ToSomebody(String),
}

/// News that a coordinator was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Which ([`News::key`]).
    pub key: String,
    /// By which message.
    pub message: MessageId,
}

impl Announced {
    /// Whether a coordinator was told these.
    #[must_use]
    pub fn has(&self, coordinator: &SessionId, news: &News) -> bool {
        match self {
            Self::To(told) => told.get(coordinator).is_some_and(|told| told.key == news.key()),
            Self::ToSomebody(key) => *key == news.key(),
        }
    }

    /// Keeps that a coordinator was told these.
    pub fn note(&mut self, coordinator: SessionId, announcement: Announcement) {
        let mut told = match std::mem::take(self) {
            Self::To(told) => told,
            Self::ToSomebody(_) => BTreeMap::new(),
        };
        told.insert(coordinator, announcement);
        *self = Self::To(told);
    }

    /// Whether a session of which somebody was told something has come to these news and nobody read them: none who was told them was so by a
    /// message that is not among `unread`.
    #[must_use]
    pub fn is_unread(&self, news: &News, unread: &BTreeSet<MessageId>) -> bool {
        match self {
            Self::To(told) => {
                let key = news.key();
                let has_read = |told: &Announcement| told.key == key && !unread.contains(&told.message);
                !told.is_empty() && !told.values().any(has_read)
            }
            Self::ToSomebody(_) => false,
        }
    }
}

impl Default for Announced {
    fn default() -> Self {
        Self::To(BTreeMap::new())
    }
}

/// Something a worker's coordinator should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum News {
    /// Its turn is over.
    Idle {
        /// Since when.
        since: Timestamp,
    },
    /// It waits for a permission decision.
    Blocked {
        /// Since when.
        since: Timestamp,
    },
    /// It asked for a permission, and nobody waits for the answer any more: only its terminal can tell.
    Unheard {
        /// Since when.
        since: Timestamp,
    },
    /// It asked something.
    Asks {
        /// Since when.
        since: Timestamp,
    },
    /// It runs, and has not reported since it was started: something may ask at its door.
    NoSignal {
        /// Since when that shows.
        since: Timestamp,
    },
    /// It is over.
    Over {
        /// Since when.
        since: Timestamp,
    },
}

impl News {
    /// What there is to hear of a session at a time; `None` while it is built or at work.
    #[must_use]
    pub fn of(session: &Session, now: Timestamp) -> Option<Self> {
        let since = session.facts.activity_at;
        match (&session.phase, session.facts.activity) {
            (Phase::Terminated { .. }, _) => Some(Self::Over { since }),
            (Phase::Live, Activity::Idle) => Some(Self::Idle { since }),
            // Each request is news of its own.
            (Phase::Live, Activity::Blocked) => Some(match session.facts.requests.first() {
                Some(PendingRequest { unheard_since: Some(since), .. }) => Self::Unheard { since: *since },
                Some(request) => Self::Blocked { since: request.since },
                None => Self::Blocked { since },
            }),
            (Phase::Live, Activity::WaitingInput) => Some(Self::Asks { since }),
            _ => status::silent_since(session, now).map(|since| Self::NoSignal { since }),
        }
    }

    /// Whether it comes with time alone, and so with no change of the record.
    #[must_use]
    pub fn comes_with_time(&self) -> bool {
        matches!(self, Self::NoSignal { .. })
    }

    /// Since when it is so.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        match self {
            Self::Idle { since }
            | Self::Blocked { since }
            | Self::Unheard { since }
            | Self::Asks { since }
            | Self::NoSignal { since }
            | Self::Over { since } => *since,
        }
    }

    /// Tells it from any other news of the session.
    #[must_use]
    pub fn key(&self) -> String {
        let what = match self {
            Self::Idle { .. } => "idle",
            Self::Blocked { .. } => "blocked",
            Self::Unheard { .. } => "unheard",
            Self::Asks { .. } => "asks",
            Self::NoSignal { .. } => "no_signal",
            Self::Over { .. } => "over",
        };
        format!("{what} {}", self.since().as_millisecond())
    }

    /// The news in a line. `commits` is how many it made, where that is known.
    #[must_use]
    pub fn line(&self, session: &Session, commits: Option<usize>) -> String {
        let id = &session.id;
        let name = session.spec.name.as_deref().map(|name| format!(" ({})", printable(name))).unwrap_or_default();
        match self {
            Self::Idle { .. } => {
                let branch = &session.spec.branch;
                let committed = match commits {
                    Some(0) => ", and has committed nothing".to_owned(),
                    Some(1) => format!(", with 1 commit on {branch}"),
                    Some(count) => format!(", with {count} commits on {branch}"),
                    None => String::new(),
                };
                let failed = session
                    .facts
                    .turn_failure
                    .as_deref()
                    .map(|cause| format!("; its turn failed: {}", printable(&one_line(cause))));
                format!("{id}{name} is idle{committed}{}", failed.unwrap_or_default())
            }
            Self::Blocked { .. } => match session.facts.requests.first() {
                // The answer is to what is told here, whatever is asked by then.
                Some(pending) => format!(
                    "{id}{name} waits for a permission (request {0}; ao approve {id} --request {0}, or ao deny): {1}",
                    pending.id,
                    asked(pending)
                ),
                None => format!("{id}{name} waits for a permission"),
            },
            Self::Unheard { .. } => {
                let asked = session.facts.requests.first().map(|pending| format!(": {}", asked(pending)));
                format!(
                    "{id}{name} asked for a permission, and nobody waits for the answer any more, so it cannot be given by ao: a person has to look at its \
                     terminal (ao output {id} shows it){}",
                    asked.unwrap_or_default()
                )
            }
            Self::Asks { .. } => format!("{id}{name} asks something, and waits for the answer"),
            Self::NoSignal { .. } => format!(
                "{id}{name} runs, and has not reported since it was started: its terminal may ask something, such as whether to trust, to log in or to update. \
                 See its screen with: ao show {id}. A person has to answer there; or end it: ao kill {id}"
            ),
            Self::Over { .. } => match &session.phase {
                Phase::Terminated { reason: EndReason::Killed } => format!("{id}{name} was killed"),
                Phase::Terminated { reason } if reason.is_failure() => format!("{id}{name} failed: {reason}"),
                Phase::Terminated { reason } => format!("{id}{name} is over: {reason}"),
                _ => format!("{id}{name} is over"),
            },
        }
    }
}

/// What it asks for, in a bounded line.
fn asked(pending: &PendingRequest) -> String {
    let about = pending.about().unwrap_or("(too long to be told)".into());
    let (about, more) = match about.char_indices().nth(MAX_INPUT) {
        Some((end, _)) => (&about[..end], "…"),
        None => (about.as_ref(), ""),
    };
    format!("{}{more}", printable(&format!("{}: {}", pending.tool_use.tool, one_line(about))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::approval::Subject;
    use crate::domain::exit::Exit;
    use crate::domain::observation::Signal;
    use crate::domain::phase::Step;
    use crate::domain::session::ToolUse;
    use crate::domain::session::tests::{at, session};
    use crate::domain::status::NO_SIGNAL_AFTER_S;

    #[test]
    fn a_worker_at_work_is_no_news_and_each_turns_end_is_new() {
        let mut session = session();
        session.observe(&Signal::Prompted, at(1), at(1));
        assert_eq!(News::of(&session, at(9)), None);
        session.observe(&Signal::Idle, at(2), at(2));
        let first = News::of(&session, at(9)).unwrap();
        assert_eq!(first.line(&session, Some(2)), "app-1 is idle, with 2 commits on ao/app-1");
        session.observe(&Signal::Failed { cause: "rate_limit:\nlater".to_owned() }, at(2), at(2));
        let failed = "app-1 is idle, and has committed nothing; its turn failed: rate_limit: later";
        assert_eq!(first.line(&session, Some(0)), failed);
        assert_eq!(News::of(&session, at(9)).unwrap().key(), first.key());
        session.observe(&Signal::Prompted, at(3), at(3));
        session.observe(&Signal::Idle, at(4), at(4));
        assert_ne!(News::of(&session, at(9)).unwrap().key(), first.key());
    }

    #[test]
    fn what_it_waits_for_is_told_in_one_bounded_line() {
        let mut session = session();
        let input = serde_json::json!({ "command": format!("echo '\u{1b}[2J\n{}'", "x".repeat(1000)) });
        let tool_use = ToolUse { tool: "Bash".into(), input, subagent: None, is_cut: false };
        session.observe(&Signal::Blocked { tool_use, subject: Subject::default() }, at(1), at(1));
        let line = News::of(&session, at(9)).unwrap().line(&session, None);
        let request = session.facts.requests.open[0].id.clone();
        let answers = format!("(request {request}; ao approve app-1 --request {request}, or ao deny): Bash: {{");
        assert!(line.starts_with(&format!("app-1 waits for a permission {answers}")), "{line}");
        assert!(line.ends_with("x…") && line.chars().count() < 340 && !line.contains(['\n', '\u{1b}']), "{line}");
    }

    #[test]
    fn that_nobody_waits_for_the_answer_is_news_and_advises_no_answer() {
        let mut session = session();
        let input = serde_json::json!({ "command": "make" });
        let tool_use = ToolUse { tool: "Bash".into(), input, subagent: None, is_cut: false };
        session.observe(&Signal::Blocked { tool_use, subject: Subject::default() }, at(1), at(1));
        let asked = News::of(&session, at(9)).unwrap();
        let request = session.facts.requests.open[0].id.clone();
        assert!(session.hook_left(&request, at(7)).is_some());
        assert!(session.hook_left(&request, at(8)).is_none());
        let left = News::of(&session, at(9)).unwrap();
        assert!(left.key() != asked.key() && left == News::Unheard { since: at(7) }, "{left:?}");
        let line = left.line(&session, None);
        assert!(line.contains("ao output app-1") && line.contains("make") && !line.contains("ao approve"), "{line}");
        assert!(session.hook_is_back(&request).is_some());
        assert_eq!(News::of(&session, at(9)).unwrap(), asked);
    }

    #[test]
    fn one_that_never_reports_is_news_once_for_each_start() {
        let mut session = session();
        let silent = at(NO_SIGNAL_AFTER_S);
        assert_eq!(News::of(&session, at(NO_SIGNAL_AFTER_S - 1)), None);
        let first = News::of(&session, silent).unwrap();
        assert_eq!(first, News::NoSignal { since: silent });
        assert!(first.line(&session, None).starts_with("app-1 runs, and has not reported since it was started"));
        assert_eq!(News::of(&session, at(1000)).unwrap().key(), first.key());
        session.facts.launched_at = Some(at(500));
        assert_ne!(News::of(&session, at(1000)).unwrap().key(), first.key());
        session.observe(&Signal::Prompted, at(1001), at(1001));
        assert_eq!(News::of(&session, at(2000)), None, "it has reported");
    }

    #[test]
    fn an_end_is_told_with_its_reason() {
        let cases = [
            (EndReason::Killed, "app-1 was killed"),
            (EndReason::Exited(Exit::Code(0)), "app-1 is over: exited"),
            (EndReason::SpawnFailed { step: Step::Launched, cause: "no such program".into() }, "app-1 failed: "),
        ];
        for (reason, told) in cases {
            let mut session = session();
            session.spec.name = None;
            session.phase = Phase::Terminated { reason };
            let line = News::of(&session, at(9)).unwrap().line(&session, None);
            assert!(line.starts_with(told), "{line}");
        }
    }
}
