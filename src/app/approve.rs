//! Approve: decide what an agent asks permission for, and tell the hook that waits for it.
//!
//! A decision is on record before anybody hears of it, and is made only while the agent's hook waits: otherwise it would be taken for an answer,
//! and nobody would hand it over. One whose hook ended before it had told the agent is undone: the agent asks still. The agent's own dialog stays; who
//! answers first, there or here, wins.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Application;
use super::caller::{Caller, Identity};
use super::error::{AppError, ErrorKind};
use crate::domain::Timestamp;
use crate::domain::approval::{AnsweredRequest, Decider, Decision, PendingRequest, RequestState, Verdict};
use crate::domain::id::{RequestId, SessionId};
use crate::domain::phase::Phase;
use crate::domain::session::{Session, SessionKind};

/// How long a hook may take to ask again, after a daemon came back or an answer came without one.
const HOOK_BOUND: Duration = Duration::from_secs(5);

/// Which requests hooks wait for just now.
pub(super) struct Waiting {
    hooks: watch::Sender<BTreeMap<RequestId, Hooks>>,
    /// Since when they can be heard.
    since: Instant,
}

/// Those of one request.
struct Hooks {
    waiting: usize,
    /// When one left last: it asks again at once when there was nothing to be told.
    left: Instant,
}

impl Hooks {
    fn have_left(&self) -> bool {
        self.waiting == 0 && self.left.elapsed() >= HOOK_BOUND
    }
}

impl Default for Waiting {
    fn default() -> Self {
        Self { hooks: watch::Sender::new(BTreeMap::new()), since: Instant::now() }
    }
}

impl Waiting {
    /// Notes that a hook waits, until what is given is dropped.
    fn begin(&self, request: &RequestId) -> Waiter<'_> {
        self.hooks.send_modify(|all| {
            all.retain(|_, hooks| !hooks.have_left());
            all.entry(request.clone()).or_insert(Hooks { waiting: 0, left: Instant::now() }).waiting += 1;
        });
        Waiter { waiting: self, request: request.clone() }
    }

    /// Waits until a hook waits, for as long as one may be away; whether one does.
    async fn has(&self, request: &RequestId) -> bool {
        let mut waiting = self.hooks.subscribe();
        let one = waiting.wait_for(|all| all.get(request).is_some_and(|hooks| hooks.waiting > 0));
        tokio::time::timeout(HOOK_BOUND, one).await.is_ok()
    }

    /// Whether no hook waits, and each had the time to come back.
    fn is_left(&self, request: &RequestId) -> bool {
        self.since.elapsed() >= HOOK_BOUND && self.hooks.borrow().get(request).is_none_or(Hooks::have_left)
    }
}

struct Waiter<'a> {
    waiting: &'a Waiting,
    request: RequestId,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiting.hooks.send_modify(|all| {
            if let Some(hooks) = all.get_mut(&self.request) {
                hooks.waiting -= 1;
                hooks.left = Instant::now();
            }
        });
    }
}

impl Application {
    /// Decides about what a session's agent asks: about `request`, else about what it asked first. The decision is on record when this answers. Who
    /// decides is told by the caller's processes. The same decision about the same `request` again is answered as it was.
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
        let asking = self.session(session).await?;
        let by = self.decider(&asking, caller).await?;
        if let Some(answered) = request.and_then(|id| asking.facts.requests.answer(id))
            && answered.decision.as_ref().is_some_and(|decided| decided.verdict == verdict && decided.by == by)
        {
            return Ok((answered, asking));
        }
        let decision = Decision { verdict, reason, by };
        let asked = open_request(&asking, request)?;
        let id = asked.id.clone();
        // One that has been away for long is not waited for once more.
        let is_lost = asked.unheard_since.is_some() && self.shared.waiting.is_left(&id);
        if is_lost || !self.shared.waiting.has(&id).await {
            // It may have been answered meanwhile.
            open_request(&self.session(session).await?, Some(&id))?;
            let message =
                format!("the hook by which {session} asked does not wait any more, so the agent cannot be told");
            return Err(AppError::new(ErrorKind::Refused, "nobody_waits", message).hint(format!(
                "answer in its terminal, if it asks there: ao attach {session}; or end it: ao kill {session}"
            )));
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
        match decided.facts.requests.answer(request) {
            Some(answered) => Ok((answered, decided)),
            None => Err(not_open(&decided, request)),
        }
    }

    /// Opens what was decided and what no hook is left to hear of: the agent waits still. Notes of what is open that no hook is left for.
    pub(super) async fn look_for_hooks(&self, sessions: &[Session]) -> Result<(), AppError> {
        for session in sessions.iter().filter(|session| session.phase == Phase::Live) {
            for open in session.facts.requests.open.iter().filter(|open| open.unheard_since.is_none()) {
                if self.is_long_ago(open.since) && self.shared.waiting.is_left(&open.id) {
                    let left = |session: &mut Session, now| Ok(session.hook_left(&open.id, now).into_iter().collect());
                    self.shared.writer.change(&session.id, left).await?;
                }
            }
            for decided in &session.facts.requests.decided {
                let id = &decided.request.id;
                if self.is_long_ago(decided.last_step_at()) && self.shared.waiting.is_left(id) {
                    tracing::warn!(session = %session.id, request = %id, "no hook is left to hear what was decided: it is asked still");
                    self.shared.writer.change(&session.id, |session, _| Ok(session.ask_again(id))).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether a hook would have come since.
    fn is_long_ago(&self, at: Timestamp) -> bool {
        self.shared.clock.now().duration_since(at).unsigned_abs() >= HOOK_BOUND
    }

    /// What is known of a request that was asked then, once that is more than that it is open, or after `timeout`. Asked by the hook that waits for
    /// it, and will hand the answer over; with `confirms` it reports when it has, else the agent counts as told when this answers. What a rule
    /// speaks about, and was reported while nobody could decide, is decided now.
    ///
    /// # Errors
    /// `unknown_session`, or the store's failure.
    pub async fn wait_for_decision(
        &self,
        session: &SessionId,
        request: &RequestId,
        asked_at: Timestamp,
        timeout: Duration,
        confirms: bool,
    ) -> Result<RequestState, AppError> {
        let _waiter = self.shared.waiting.begin(request);
        let time_is_up = tokio::time::sleep(timeout);
        tokio::pin!(time_is_up);
        loop {
            let seq = self.shared.changes.last_seq().await?;
            let now = self.session(session).await?;
            match now.facts.requests.state(request, asked_at) {
                RequestState::Open if now.phase.is_terminated() => return Ok(RequestState::Settled),
                RequestState::Open if is_unheard(&now, request) => {
                    let back = |session: &mut Session, _| Ok(session.hook_is_back(request).into_iter().collect());
                    self.shared.writer.change(session, back).await?;
                    continue;
                }
                RequestState::Open => {
                    if let Some(decision) = now.ruled(request) {
                        let decide = |session: &mut Session, at| Ok(session.decide(request, decision.clone(), at));
                        self.shared.writer.change(session, decide).await?;
                        continue;
                    }
                }
                RequestState::Settled => return Ok(RequestState::Settled),
                decided @ RequestState::Decided { .. } => {
                    let fetched = |session: &mut Session, now| {
                        if confirms {
                            session.was_fetched(request, now);
                        } else {
                            session.was_told(request);
                        }
                        Ok(Vec::new())
                    };
                    let fetched = self.shared.writer.change(session, fetched).await?;
                    // It may have been opened again just before.
                    if fetched.facts.requests.answer(request).is_none() {
                        continue;
                    }
                    return Ok(decided);
                }
            }
            tokio::select! {
                () = self.shared.changes.wait_beyond(seq) => {}
                () = &mut time_is_up => return Ok(RequestState::Open),
                () = self.shared.stop.cancelled() => return Ok(RequestState::Open),
            }
        }
    }

    /// Who decides: a person, or the orchestrator of the session's project. Whoever runs as the user can do what the user can; this stops those that
    /// mean well.
    async fn decider(&self, asking: &Session, caller: &Caller) -> Result<Decider, AppError> {
        let refused = |who: &str| {
            let message = format!(
                "what {} asks is not for {who} to decide, but for a person, or for the project's orchestrator about a worker",
                asking.id
            );
            AppError::new(ErrorKind::Refused, "not_yours_to_decide", message)
                .hint(format!("a person answers it: ao show {}", asking.id))
        };
        let from = match self.identify(caller).await? {
            Identity::Session(from) => from,
            Identity::Nobody(who) => return Err(refused(&who)),
            Identity::Person => return Ok(Decider::Person),
        };
        let is_orchestrator = self.session(&from).await?.spec.kind == SessionKind::Orchestrator;
        let is_worker = asking.spec.kind != SessionKind::Orchestrator;
        if !is_orchestrator || !is_worker || from.project() != asking.id.project() {
            return Err(refused(&from.to_string()));
        }
        Ok(Decider::Session { session: from })
    }
}

/// Whether a request is open, and on record as one whose answer nobody waits for.
fn is_unheard(session: &Session, request: &RequestId) -> bool {
    session.facts.requests.open.iter().any(|open| open.id == *request && open.unheard_since.is_some())
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
    let answered = session.facts.requests.answer(id);
    let what = answered.map_or_else(|| "is not known".to_owned(), |answered| answer_given(&answered));
    let message = format!("request {id} of {} is not open: it {what}", session.id);
    AppError::new(ErrorKind::Refused, "request_not_open", message).hint(look(session))
}

fn nothing_asked(session: &Session) -> AppError {
    let id = &session.id;
    let doing = match &session.phase {
        phase if phase.is_terminated() => "it is over".to_owned(),
        _ => format!("its activity is {}", session.facts.activity.as_str().replace('_', " ")),
    };
    let last = session.facts.requests.answers().pop();
    let last = last.map(|last| format!("; what it asked last ({}) {}", last.tool, answer_given(&last)));
    let message = format!("{id} asks for no permission: {doing}{}", last.unwrap_or_default());
    AppError::new(ErrorKind::Refused, "nothing_asked", message).hint(look(session))
}

fn answer_given(answered: &AnsweredRequest) -> String {
    match &answered.decision {
        Some(Decision { verdict: Verdict::Allow, by, .. }) => format!("was allowed by {by}"),
        Some(Decision { verdict: Verdict::Deny, by, .. }) => format!("was denied by {by}"),
        None if answered.agent_ended => "was not answered before its agent ended".to_owned(),
        None => "was answered in its terminal".to_owned(),
    }
}

fn look(session: &Session) -> String {
    format!("see: ao show {}", session.id)
}
