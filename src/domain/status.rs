//! What a person is shown. Derived from facts whenever it is read; never stored.

use std::fmt;

use serde::{Deserialize, Serialize};

use jiff::SignedDuration;

use super::Timestamp;
use super::phase::Phase;
use super::session::{Activity, Session};

/// How long an agent with hooks may be silent after launch before that is shown, in seconds.
pub const NO_SIGNAL_AFTER_S: i64 = 90;

/// What a person is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// It waits in line for a place.
    Queued,
    /// It is being built, or the agent has not begun its first turn.
    Starting,
    /// The agent is in a turn.
    Working,
    /// The agent's turn is over.
    Idle,
    /// The agent asked a question.
    NeedsInput,
    /// The agent waits for a permission decision.
    Blocked,
    /// The agent runs, but its hooks never reported.
    NoSignal,
    /// It ended as it should.
    Terminated,
    /// It ended as it should not.
    Failed,
}

impl Status {
    /// The status's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Working => "working",
            Self::Idle => "idle",
            Self::NeedsInput => "needs_input",
            Self::Blocked => "blocked",
            Self::NoSignal => "no_signal",
            Self::Terminated => "terminated",
            Self::Failed => "failed",
        }
    }

    /// The status of a session at a time. First match wins.
    #[must_use]
    pub fn of(session: &Session, now: Timestamp) -> Self {
        match &session.phase {
            Phase::Terminated { reason } if reason.is_failure() => return Self::Failed,
            Phase::Terminated { .. } => return Self::Terminated,
            Phase::Provisioning { .. } if session.facts.queue_ticket.is_some() => return Self::Queued,
            Phase::Provisioning { .. } => return Self::Starting,
            Phase::Live => {}
        }
        match session.facts.activity {
            Activity::Blocked => Self::Blocked,
            Activity::WaitingInput => Self::NeedsInput,
            _ if silent_since(session, now).is_some() => Self::NoSignal,
            // Of one whose agent is gone something still runs: its project's teardown, or the removal of its workspace.
            Activity::Active | Activity::Exited => Self::Working,
            Activity::Starting => Self::Starting,
            Activity::Idle => Self::Idle,
        }
    }
}

/// Since when a live session counts as silent; `None` when it does not.
pub(super) fn silent_since(session: &Session, now: Timestamp) -> Option<Timestamp> {
    let expects_one =
        session.phase == Phase::Live && session.spec.agent_reports && session.facts.first_report_at.is_none();
    let launched_at = session.facts.launched_at.filter(|_| expects_one)?;
    let since = launched_at.checked_add(SignedDuration::from_secs(NO_SIGNAL_AFTER_S)).ok()?;
    (now >= since).then_some(since)
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exit::Exit;
    use crate::domain::observation::Signal;
    use crate::domain::phase::{EndReason, Step};
    use crate::domain::session::tests::{at, session};

    #[test]
    fn the_end_beats_every_activity() {
        let cases = [
            (EndReason::Killed, Status::Terminated),
            (EndReason::Exited(Exit::Code(0)), Status::Terminated),
            (EndReason::Exited(Exit::Code(3)), Status::Failed),
            (EndReason::Lost, Status::Failed),
            (EndReason::SpawnFailed { step: Step::Launched, cause: "x".into() }, Status::Failed),
        ];
        for (reason, status) in cases {
            let mut session = session();
            session.facts.activity = Activity::Blocked;
            session.phase = Phase::Terminated { reason };
            assert_eq!(Status::of(&session, at(1)), status);
        }
    }

    #[test]
    fn silence_shows_after_ninety_seconds_and_only_with_hooks() {
        let mut session = session();
        assert_eq!(Status::of(&session, at(89)), Status::Starting);
        assert_eq!(Status::of(&session, at(90)), Status::NoSignal);
        session.spec.agent_reports = false;
        session.facts.activity = Activity::Active;
        assert_eq!(Status::of(&session, at(90)), Status::Working);
    }

    #[test]
    fn what_waits_in_line_is_queued() {
        let mut session = session();
        session.phase = Phase::recorded();
        assert_eq!(Status::of(&session, at(1)), Status::Starting);
        session.facts.queue_ticket = Some(7);
        assert_eq!(Status::of(&session, at(1)), Status::Queued);
    }

    #[test]
    fn one_report_ends_the_silence() {
        let mut session = session();
        session.observe(&Signal::Prompted, at(100), at(100));
        assert_eq!(Status::of(&session, at(1000)), Status::Working);
    }

    #[test]
    fn i09_the_same_facts_give_the_same_status() {
        let mut session = session();
        for (activity, status) in [
            (Activity::Blocked, Status::Blocked),
            (Activity::WaitingInput, Status::NeedsInput),
            (Activity::Active, Status::Working),
            (Activity::Idle, Status::Idle),
            (Activity::Starting, Status::Starting),
        ] {
            session.facts.activity = activity;
            let copy = session.clone();
            assert_eq!(Status::of(&session, at(5)), status);
            assert_eq!(Status::of(&copy, at(5)), status);
        }
    }
}
