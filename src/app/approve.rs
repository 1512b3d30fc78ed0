//! Approve: decide what an agent asks permission for, and tell the hook that waits for it.
//!
//! A decision is on record before anybody hears of it, and is made only while the agent's hook waits: otherwise it would be taken for an answer,
//! and nobody would hand it over. The agent's own dialog stays; who answers first, there or here, wins.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use super::Application;
use super::error::{AppError, ErrorKind};
use super::messages::Caller;
use crate::domain::Timestamp;
use crate::domain::approval::{AnsweredRequest, Decider, Decision, PendingRequest, RequestState, Verdict};
use crate::domain::id::{RequestId, SessionId};
use crate::domain::session::{Session, SessionKind};

/// How long a hook may take to ask again, after a daemon came back or an answer came without one.
const HOOK_BOUND: Duration = Duration::from_secs(5);

/// Which requests hooks wait for just now.
pub(super) struct Waiting(watch::Sender<BTreeMap<RequestId, usize>>);

impl Default for Waiting {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }
}

impl Waiting {
    /// Notes that a hook waits, until what is given is dropped.
    fn begin(&self, request: &RequestId) -> Waiter<'_> {
        self.0.send_modify(|waiting| *waiting.entry(request.clone()).or_default() += 1);
        Waiter { waiting: self, request: request.clone() }
    }

    /// Waits until a hook waits, for as long as one may be away; whether one does.
    async fn has(&self, request: &RequestId) -> bool {
        let mut waiting = self.0.subscribe();
        let one = waiting.wait_for(|waiting| waiting.contains_key(request));
        tokio::time::timeout(HOOK_BOUND, one).await.is_ok()
    }
}

struct Waiter<'a> {
    waiting: &'a Waiting,
    request: RequestId,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiting.0.send_modify(|waiting| {
            if let Some(count) = waiting.get_mut(&self.request) {
                *count -= 1;
                if *count == 0 {
                    waiting.remove(&self.request);
                }
            }
        });
    }
}

impl Application {
    /// Decides about what a session's agent asks: about `request`, else about what it asked first. The decision is on record when this answers. Who
    /// decides is told by the caller's processes.
    ///
    /// # Errors
    /// `unknown_session`; `nothing_asked` and `request_not_open` when there is nothing to decide; `nobody_waits` when the agent's hook has ended;
    /// `not_yours_to_decide` for an agent that is no orchestrator of the project; `invalid_reason`.
    pub async fn decide(
        &self,
        session: &SessionId,
        request: Option<&RequestId>,
        verdict: Verdict,
        reason: Option<String>,
        caller: &Caller,
    ) -> Result<(AnsweredRequest, Session), AppError> {
        if let Some(reason) = &reason {
            Decision::check_reason(reason).map_err(|why| AppError::new(ErrorKind::Invalid, "invalid_reason", why))?;
        }
        let by = self.decider(session, caller).await?;
        let decision = Decision { verdict, reason, by };
        let id = open_request(&self.session(session).await?, request)?.id.clone();
        if !self.shared.waiting.has(&id).await {
            // It may have been answered meanwhile.
            open_request(&self.session(session).await?, Some(&id))?;
            let message =
                format!("the hook by which {session} asked does not wait any more, so the agent cannot be told");
            return Err(AppError::new(ErrorKind::Refused, "nobody_waits", message)
                .hint(format!("answer in its terminal, or end it: ao kill {session}")));
        }
        let (application, session) = (self.clone(), session.clone());
        self.to_its_end("a decision", async move { application.record_decision(&session, &id, &decision).await }).await
    }

    async fn record_decision(
        &self,
        session: &SessionId,
        request: &RequestId,
        decision: &Decision,
    ) -> Result<(AnsweredRequest, Session), AppError> {
        let decided = self
            .shared
            .writer
            .change(session, |session, now| {
                open_request(session, Some(request))?;
                Ok(session.decide(request, decision.clone(), now))
            })
            .await?;
        tracing::info!(%session, %request, by = %decision.by, verdict = ?decision.verdict, "decided");
        let answered = decided.facts.requests.answered.iter().rfind(|answered| answered.request.id == *request);
        match answered.cloned() {
            Some(answered) => Ok((answered, decided)),
            None => Err(not_open(&decided, request)),
        }
    }

    /// What is known of a request that was asked then, once that is more than that it is open, or after `timeout`. Asked by the hook that waits for it.
    ///
    /// # Errors
    /// `unknown_session`, or the store's failure.
    pub async fn wait_for_decision(
        &self,
        session: &SessionId,
        request: &RequestId,
        asked_at: Timestamp,
        timeout: Duration,
    ) -> Result<RequestState, AppError> {
        let _waiter = self.shared.waiting.begin(request);
        let time_is_up = tokio::time::sleep(timeout);
        tokio::pin!(time_is_up);
        loop {
            let seq = self.shared.changes.last_seq().await?;
            let now = self.session(session).await?;
            let state = match now.facts.requests.state(request, asked_at) {
                RequestState::Open if now.phase.is_terminated() => RequestState::Settled,
                state => state,
            };
            if state != RequestState::Open {
                return Ok(state);
            }
            tokio::select! {
                () = self.shared.changes.wait_beyond(seq) => {}
                () = &mut time_is_up => return Ok(state),
                () = self.shared.stop.cancelled() => return Ok(state),
            }
        }
    }

    /// Who decides: a person, or the orchestrator of the session's project. Whoever runs as the user can do what the user can; this stops those that
    /// mean well.
    async fn decider(&self, session: &SessionId, caller: &Caller) -> Result<Decider, AppError> {
        let Some(from) = self.session_of(caller).await? else { return Ok(Decider::Person) };
        let is_orchestrator = self.session(&from).await?.spec.kind == SessionKind::Orchestrator;
        if from == *session || !is_orchestrator || from.project() != session.project() {
            let message = format!(
                "what {session} asks is not for {from} to decide, but for a person or the project's orchestrator"
            );
            return Err(AppError::new(ErrorKind::Refused, "not_yours_to_decide", message));
        }
        Ok(Decider::Session { session: from })
    }
}

/// The open request that is meant.
fn open_request<'a>(session: &'a Session, request: Option<&RequestId>) -> Result<&'a PendingRequest, AppError> {
    let requests = &session.facts.requests;
    match request {
        Some(id) => requests.open.iter().find(|open| open.id == *id).ok_or_else(|| not_open(session, id)),
        None => requests.first().ok_or_else(|| nothing_asked(session)),
    }
}

fn not_open(session: &Session, id: &RequestId) -> AppError {
    let answered = session.facts.requests.answered.iter().rfind(|answered| answered.request.id == *id);
    let what = answered.map_or_else(|| "is not known".to_owned(), answer_given);
    let message = format!("request {id} of {} is not open: it {what}", session.id);
    AppError::new(ErrorKind::Refused, "request_not_open", message).hint(look(session))
}

fn nothing_asked(session: &Session) -> AppError {
    let id = &session.id;
    let doing = match &session.phase {
        phase if phase.is_terminated() => "it is over".to_owned(),
        _ => format!("its activity is {}", session.facts.activity.as_str().replace('_', " ")),
    };
    let last = session.facts.requests.answered.last();
    let last = last.map(|last| format!("; what it asked last ({}) {}", last.request.tool_use.tool, answer_given(last)));
    let message = format!("{id} asks for no permission: {doing}{}", last.unwrap_or_default());
    AppError::new(ErrorKind::Refused, "nothing_asked", message).hint(look(session))
}

fn answer_given(answered: &AnsweredRequest) -> String {
    match &answered.decision {
        Some(Decision { verdict: Verdict::Allow, by, .. }) => format!("was allowed by {by}"),
        Some(Decision { verdict: Verdict::Deny, by, .. }) => format!("was denied by {by}"),
        None => "was answered in its terminal".to_owned(),
    }
}

fn look(session: &Session) -> String {
    format!("see: ao show {}", session.id)
}
