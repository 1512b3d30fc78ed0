//! Wait: until a session reaches a state, without polling it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Application;
use super::error::{AppError, ErrorKind};
use super::writer::unknown_session;
use crate::domain::id::SessionId;
use crate::domain::phase::{EndReason, Phase};
use crate::domain::session::{Activity, Session};

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WaitFor {
    /// Its agent takes work: it said so, or, without hooks, it was seen running.
    Ready,
    /// Its agent's turn is over.
    Idle,
    /// Its agent waits for a permission decision.
    Blocked,
    /// It is over.
    Exit,
}

impl WaitFor {
    /// The state's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Idle => "idle",
            Self::Blocked => "blocked",
            Self::Exit => "exit",
        }
    }

    /// Whether an agent like this session's could ever be seen in that state.
    fn is_observable(self, session: &Session) -> bool {
        session.spec.agent_reports || matches!(self, Self::Ready | Self::Exit)
    }

    fn is_reached(self, session: &Session) -> bool {
        let live = session.phase == Phase::Live;
        match self {
            Self::Ready => live && (!session.spec.agent_reports || session.facts.ready_at.is_some()),
            Self::Idle => live && session.facts.activity == Activity::Idle,
            Self::Blocked => live && session.facts.activity == Activity::Blocked,
            Self::Exit => session.phase.is_terminated(),
        }
    }
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitOutcome {
    /// The state was reached.
    Reached,
    /// The session ended without reaching it.
    Ended,
    /// Time was up first.
    TimedOut,
}

impl Application {
    /// Waits until a session reaches a state, ends, or `timeout` is over. A daemon that stops ends the wait early.
    ///
    /// # Errors
    /// `unknown_session`; `no_reports` when the state is one that this agent can never be seen in; or the store's failure.
    pub async fn wait(
        &self,
        id: &SessionId,
        state: WaitFor,
        timeout: Duration,
    ) -> Result<(WaitOutcome, Session), AppError> {
        // Only waiting is bounded: a state that is reached is told also to those who do not wait.
        let time_is_up = tokio::time::sleep(timeout);
        tokio::pin!(time_is_up);
        loop {
            let seq = self.shared.changes.last_seq().await?;
            let session = self.shared.sessions.session(id).await?.ok_or_else(|| unknown_session(id))?;
            if !state.is_observable(&session) {
                return Err(no_reports(&session, state));
            }
            if state.is_reached(&session) || (state == WaitFor::Ready && was_ready(&session)) {
                return Ok((WaitOutcome::Reached, session));
            }
            if session.phase.is_terminated() {
                return Ok((WaitOutcome::Ended, session));
            }
            tokio::select! {
                () = self.shared.changes.wait_beyond(seq) => {}
                () = &mut time_is_up => return Ok((WaitOutcome::TimedOut, session)),
                () = self.shared.stop.cancelled() => return Ok((WaitOutcome::TimedOut, session)),
            }
        }
    }
}

fn no_reports(session: &Session, state: WaitFor) -> AppError {
    let message = format!(
        "{} cannot be waited for to be {}: agent {} does not report what it does",
        session.id,
        state.as_str(),
        session.spec.agent
    );
    AppError::new(ErrorKind::Invalid, "no_reports", message)
        .hint(format!("wait for its end instead: ao wait {} --for exit", session.id))
}

/// Whether a session that is over was ready before: a short command comes and goes before anybody looks.
fn was_ready(session: &Session) -> bool {
    match &session.phase {
        Phase::Terminated { reason: EndReason::SpawnFailed { .. } } => false,
        Phase::Terminated { .. } => !session.spec.agent_reports || session.facts.ready_at.is_some(),
        _ => false,
    }
}
