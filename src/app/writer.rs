//! The one place that changes a session's record.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Notify;

use super::admission::Admitted;
use super::error::{AppError, ErrorKind};
use crate::domain::Timestamp;
use crate::domain::change::{ChangeKind, NewChange};
use crate::domain::exit::Exit;
use crate::domain::id::SessionId;
use crate::domain::phase::{EndReason, IllegalTransition, Step};
use crate::domain::session::{Activity, Facts, ProcessIdentity, Restoring, Session};
use crate::ports::clock::Clock;
use crate::ports::store::{SessionStore, StoreError};

/// How often a change is applied again when somebody else wrote first.
const ATTEMPTS: usize = 20;

/// Applies changes to sessions' records: reads, applies, writes if nobody wrote between, else again.
pub(crate) struct LifecycleWriter {
    sessions: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    ended: Notify,
}

/// What is known of an agent's end.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    /// Why the session ends.
    pub(super) reason: EndReason,
    /// How the process ended, when known.
    pub(super) exit: Option<Exit>,
    /// The end of what it printed, when it was kept.
    pub(super) output_tail: Option<String>,
}

impl From<IllegalTransition> for AppError {
    fn from(error: IllegalTransition) -> Self {
        Self::new(ErrorKind::Refused, "illegal_transition", error.to_string())
    }
}

impl LifecycleWriter {
    pub(super) fn new(sessions: Arc<dyn SessionStore>, clock: Arc<dyn Clock>) -> Self {
        Self { sessions, clock, ended: Notify::new() }
    }

    /// Applies `change` to a session. Nothing is written when the record stays as it was and there is nothing to log.
    ///
    /// # Errors
    /// `not_found`, what `change` refuses, or the store's failure.
    pub(super) async fn change<F>(&self, id: &SessionId, mut change: F) -> Result<Session, AppError>
    where
        F: FnMut(&mut Session, Timestamp) -> Result<Vec<NewChange>, AppError> + Send,
    {
        for _ in 0..ATTEMPTS {
            let mut session = self.sessions.session(id).await?.ok_or_else(|| unknown_session(id))?;
            let before = session.clone();
            let now = self.clock.now();
            let changes = change(&mut session, now)?;
            if session == before && changes.is_empty() {
                return Ok(session);
            }
            session.updated_at = now;
            match self.sessions.update_session(&mut session, &changes).await {
                Ok(()) => {
                    if session.phase.is_terminated() && !before.phase.is_terminated() {
                        self.ended.notify_one();
                    }
                    return Ok(session);
                }
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict(id.clone()).into())
    }

    /// Waits until a session has ended since this was waited for last.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Records that a provisioning step is about to be taken. With the first one a session that waited leaves the line.
    pub(super) async fn advance(&self, id: &SessionId, step: Step) -> Result<Session, AppError> {
        self.change(id, |session, now| {
            session.phase = session.phase.clone().advance(step)?;
            session.facts.queue_ticket = None;
            if step == Step::Launched {
                session.facts.launched_at = Some(now);
            }
            Ok(vec![NewChange::new(ChangeKind::SessionStep, json!({ "step": step }))])
        })
        .await
    }

    /// Records the agent's process.
    pub(super) async fn saw_process(&self, id: &SessionId, process: ProcessIdentity) -> Result<Session, AppError> {
        self.change(id, |session, _| {
            session.facts.process = Some(process);
            Ok(Vec::new())
        })
        .await
    }

    /// Records that the agent was seen running.
    pub(super) async fn go_live(&self, id: &SessionId) -> Result<Session, AppError> {
        self.change(id, |session, now| {
            session.phase = session.phase.clone().go_live()?;
            session.facts.restoring = None;
            // Without reports, running is all that can be known, and a running command is at work.
            if !session.spec.agent_reports {
                session.facts.activity = Activity::Active;
                session.facts.activity_at = now;
            }
            let pid = session.facts.process.map(|process| process.pid);
            Ok(vec![NewChange::new(ChangeKind::SessionLive, json!({ "pid": pid }))])
        })
        .await
    }

    /// Records why a spawn failed, before it is undone: an undo that is cut off, or has to be tried again, must not lose
    /// the reason. The first reason stays.
    pub(super) async fn spawn_failed(&self, id: &SessionId, cause: &str, ended: &Ended) -> Result<Session, AppError> {
        self.change(id, |session, _| {
            if session.facts.spawn_failure.is_none() {
                session.facts.spawn_failure = Some(cause.to_owned());
            }
            ended.keep(session);
            Ok(Vec::new())
        })
        .await
    }

    /// Records that a failed spawn was undone. One that somebody wanted to end is a killed session.
    pub(super) async fn undone(&self, id: &SessionId, ended: &Ended) -> Result<Session, AppError> {
        self.change(id, |session, now| {
            session.phase = if session.facts.kill_requested_at.is_some() {
                session.phase.clone().end(EndReason::Killed)?
            } else {
                let cause = session.facts.spawn_failure.take().unwrap_or_else(cut_off);
                session.phase.clone().fail(cause)?
            };
            let settled = ended.apply(session, now);
            Ok(settled.into_iter().chain([terminated(session)]).collect())
        })
        .await
    }

    /// Records that an ended session is to be built again, with what it was before. What of its workspace has to be made is on
    /// record once that begins.
    pub(super) async fn begin_restore(&self, id: &SessionId, admitted: Admitted) -> Result<Session, AppError> {
        self.change(id, |session, now| {
            let (phase, reason) = session.phase.clone().restore()?;
            let before = Restoring { reason, facts: session.facts.clone(), had_workspace: true, made_branch: None };
            session.phase = phase;
            session.facts = before.facts.begin_again(before.clone(), now);
            session.facts.queue_ticket = admitted.ticket();
            let restoring = NewChange::new(ChangeKind::SessionRestoring, json!({}));
            Ok([Some(restoring), admitted.change()].into_iter().flatten().collect())
        })
        .await
    }

    /// Records that a failed restore was undone: the session is what it was before, with a note of what is left all the same.
    pub(super) async fn restore_undone(&self, id: &SessionId, left: Option<&str>) -> Result<Session, AppError> {
        self.change(id, |session, _| {
            let Some(before) = session.facts.restoring.take() else { return Ok(Vec::new()) };
            let cause = session.facts.spawn_failure.take().unwrap_or_else(cut_off);
            session.phase = session.phase.clone().give_up_restore(before.reason)?;
            // Work that was put back and saved once more is where it is now.
            let preserved = session.facts.preserved.take();
            let kill_requested_at = session.facts.kill_requested_at.or(before.facts.kill_requested_at);
            session.facts = Facts { kill_requested_at, preserved, ..before.facts };
            let notes = &mut session.facts.notes;
            notes.extend(left.filter(|left| !notes.iter().any(|note| note == left)).map(str::to_owned));
            Ok(vec![NewChange::new(ChangeKind::SessionRestoreFailed, json!({ "cause": cause }))])
        })
        .await
    }

    /// Records that somebody wants the session to end, before anything is done about it; with `preserve`, its workspace is to
    /// go also when it holds work, which is saved first.
    pub(super) async fn request_kill(&self, id: &SessionId, preserve: bool) -> Result<Session, AppError> {
        self.change(id, |session, now| {
            // Also of one that is over: whoever gave it up does not want it back with all that were cut short.
            session.facts.kill_requested_at.get_or_insert(now);
            if !session.phase.is_terminated() {
                session.facts.kill_preserves |= preserve;
            }
            Ok(Vec::new())
        })
        .await
    }

    /// Records the end. A session that is over already stays as it is.
    pub(super) async fn end(&self, id: &SessionId, ending: &Ending) -> Result<Session, AppError> {
        self.change(id, |session, now| {
            if session.phase.is_terminated() {
                return Ok(Vec::new());
            }
            // However it ended in the end: what was asked for is what happened.
            let wanted = session.facts.kill_requested_at.map(|_| EndReason::Killed);
            session.phase = session.phase.clone().end(wanted.unwrap_or_else(|| ending.reason.clone()))?;
            let settled = Ended { exit: ending.exit, output_tail: ending.output_tail.clone() }.apply(session, now);
            Ok(settled.into_iter().chain([terminated(session)]).collect())
        })
        .await
    }

    /// Records that the agent of a session which is being ended is gone: what is still to be done, a teardown among it, may take long.
    pub(super) async fn agent_ended(&self, id: &SessionId, ended: &Ended) -> Result<Session, AppError> {
        self.change(id, |session, now| {
            ended.keep(session);
            let (settled, gone) = session.facts.agent_gone(now);
            Ok(settled.into_iter().chain(gone).collect())
        })
        .await
    }

    /// Logs what goes on with a session, which changes nothing about it.
    pub(super) async fn tell(&self, id: &SessionId, change: &NewChange) -> Result<Session, AppError> {
        self.change(id, |_, _| Ok(vec![change.clone()])).await
    }

    /// Adds what a person should know.
    pub(super) async fn note(&self, id: &SessionId, note: &str) -> Result<Session, AppError> {
        self.change(id, |session, _| {
            if session.facts.notes.iter().any(|known| known == note) {
                return Ok(Vec::new());
            }
            session.facts.notes.push(note.to_owned());
            Ok(vec![NewChange::new(ChangeKind::SessionNote, json!({ "note": note }))])
        })
        .await
    }
}

/// How much of what was printed goes on record, in bytes.
const MAX_TAIL_BYTES: usize = 16 * 1024;

/// What is left of an agent that ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Ended {
    pub(super) exit: Option<Exit>,
    pub(super) output_tail: Option<String>,
}

impl Ended {
    fn keep(&self, session: &mut Session) {
        let facts = &mut session.facts;
        facts.exit = facts.exit.or(self.exit);
        let tail = self.output_tail.as_deref().map(bounded);
        facts.output_tail = facts.output_tail.take().or(tail);
    }

    /// Gives what comes to an end with the session.
    fn apply(&self, session: &mut Session, now: Timestamp) -> Vec<NewChange> {
        self.keep(session);
        let facts = &mut session.facts;
        facts.restoring = None;
        facts.queue_ticket = None;
        // That its agent is gone is told by the end of its session.
        facts.agent_gone(now).0
    }
}

/// The end of what was printed as it goes on record. Lines alone bound nothing: one may be as long as the whole output.
fn bounded(tail: &str) -> String {
    let start = tail.len().saturating_sub(MAX_TAIL_BYTES);
    // Of a character that is cut the rest is left out.
    let start = (start..=tail.len()).find(|at| tail.is_char_boundary(*at)).unwrap_or(tail.len());
    tail[start..].to_owned()
}

fn cut_off() -> String {
    "it was cut off".to_owned()
}

fn terminated(session: &Session) -> NewChange {
    NewChange::new(ChangeKind::SessionTerminated, json!({ "phase": session.phase }))
}

/// The error for a session that is not on record.
#[must_use]
pub(super) fn unknown_session(id: &SessionId) -> AppError {
    AppError::new(ErrorKind::NotFound, "unknown_session", format!("there is no session {id}"))
        .hint("list the sessions there are with: ao ls -a")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_output_on_record_is_bounded_also_in_one_line() {
        assert_eq!(bounded("short"), "short");
        let long = format!("{}end", "ö".repeat(MAX_TAIL_BYTES));
        let tail = bounded(&long);
        assert!(tail.len() <= MAX_TAIL_BYTES && tail.len() > MAX_TAIL_BYTES - 4 && tail.ends_with("öend"));
    }
}
