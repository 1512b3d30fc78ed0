//! The requests of one agent, and what became of them.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Timestamp;
use super::approval::{AnsweredRequest, DecidedRequest, Decision, PendingRequest, RequestState, Verdict};
use super::change::{ChangeKind, NewChange};
use super::id::RequestId;
use super::session::{Activity, ToolUse};

/// How many answered requests are kept with a session, the newest.
const KEPT: usize = 20;

/// The requests of an agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Option<Recorded>")]
pub struct Requests {
    /// Those that are open, oldest first.
    pub open: Vec<PendingRequest>,
    /// Those that were decided, and whose agent was not told yet.
    pub decided: Vec<DecidedRequest>,
    /// Those that were answered, the newest last.
    pub answered: Vec<AnsweredRequest>,
    /// Whatever the agent itself asked up to then has been answered, also what a late report tells of.
    pub own_settled_up_to: Option<Timestamp>,
    /// The same of whatever its subagents asked.
    pub all_settled_up_to: Option<Timestamp>,
    /// What the agent does apart from waiting, while a request is open.
    pub beside: Option<Activity>,
}

/// What may stand in a record.
#[derive(Deserialize)]
#[serde(untagged)]
enum Recorded {
    Requests {
        open: Vec<PendingRequest>,
        #[serde(default)]
        decided: Vec<DecidedRequest>,
        #[serde(default)]
        answered: Vec<AnsweredRequest>,
        #[serde(default)]
        own_settled_up_to: Option<Timestamp>,
        #[serde(default)]
        all_settled_up_to: Option<Timestamp>,
        #[serde(default)]
        beside: Option<Activity>,
    },
    /// The one open request of an older ao.
    Open(PendingRequest),
}

impl From<Option<Recorded>> for Requests {
    fn from(recorded: Option<Recorded>) -> Self {
        match recorded {
            Some(Recorded::Requests { open, decided, answered, own_settled_up_to, all_settled_up_to, beside }) => {
                Self { open, decided, answered, own_settled_up_to, all_settled_up_to, beside }
            }
            Some(Recorded::Open(request)) => Self { open: vec![request], ..Self::default() },
            None => Self::default(),
        }
    }
}

impl Requests {
    /// The request that is decided next: the oldest whose answer somebody waits for, if there is one.
    #[must_use]
    pub fn first(&self) -> Option<&PendingRequest> {
        self.open.iter().find(|open| open.unheard_since.is_none()).or(self.open.first())
    }

    /// The other ones that are open, oldest first.
    pub fn others(&self) -> impl Iterator<Item = &PendingRequest> {
        let first = self.first();
        self.open.iter().filter(move |open| Some(*open) != first)
    }

    /// What became of a request; `None` while it is open, and of one that is not known.
    #[must_use]
    pub fn answer(&self, id: &RequestId) -> Option<AnsweredRequest> {
        let decided = self.decided.iter().find(|decided| decided.request.id == *id);
        let answered = self.answered.iter().rfind(|answered| answered.id == *id);
        decided.cloned().map(AnsweredRequest::from).or_else(|| answered.cloned())
    }

    /// What became of all that are kept, the newest last.
    #[must_use]
    pub fn answers(&self) -> Vec<AnsweredRequest> {
        let decided = self.decided.iter().cloned().map(AnsweredRequest::from);
        let mut all: Vec<_> = self.answered.iter().cloned().chain(decided).collect();
        all.sort_by_key(|answered| answered.answered_at);
        all
    }

    /// What is known about a request that was asked then.
    #[must_use]
    pub fn state(&self, id: &RequestId, asked_at: Timestamp) -> RequestState {
        match self.answer(id) {
            Some(AnsweredRequest { decision: Some(decision), .. }) => RequestState::Decided { decision },
            Some(_) => RequestState::Settled,
            None if self.open.iter().any(|request| request.id == *id) => RequestState::Open,
            None if self.all_settled_up_to.is_some_and(|settled| asked_at <= settled) => RequestState::Settled,
            // Its report is on its way, for example in the spool.
            None => RequestState::Open,
        }
    }

    /// Takes in that something is asked. A report that comes twice, or after the answer, opens nothing.
    pub(super) fn ask(&mut self, request: PendingRequest) -> Option<NewChange> {
        if self.open.iter().any(|known| known.id == request.id) || self.answer(&request.id).is_some() {
            return None;
        }
        let is_own = request.tool_use.subagent.is_none();
        let settled_up_to = if is_own { self.own_settled_up_to } else { self.all_settled_up_to };
        if let Some(answered_at) = settled_up_to.filter(|settled| request.since <= *settled) {
            self.keep(AnsweredRequest::of(request, answered_at, None));
            return None;
        }
        let change = NewChange::new(ChangeKind::SessionAsked, request.told());
        self.put(request);
        Some(change)
    }

    /// Opens it, in its place: the oldest is answered first, also when its report came late or it is opened anew.
    fn put(&mut self, request: PendingRequest) {
        let place = self.open.partition_point(|open| open.since <= request.since);
        self.open.insert(place, request);
    }

    /// Takes in that the requests for which `is_answered` says so are not waited for any more: what was open was answered elsewhere.
    pub(super) fn settle(&mut self, at: Timestamp, is_answered: impl Fn(&PendingRequest) -> bool) -> Vec<NewChange> {
        let is_answered = |request: &PendingRequest| request.since <= at && is_answered(request);
        let told: Vec<_> = self.decided.extract_if(.., |decided| is_answered(&decided.request)).collect();
        for decided in told {
            self.keep(decided.into());
        }
        let settled: Vec<_> = self.open.extract_if(.., |request| is_answered(request)).collect();
        let changes =
            settled.iter().map(|request| NewChange::new(ChangeKind::SessionSettled, request.told())).collect();
        for request in settled {
            self.keep(AnsweredRequest::of(request, at, None));
        }
        changes
    }

    /// Takes in that the agent is about to call a tool: what was said of such a call before is not about this one.
    pub(super) fn called_anew(&mut self, tool_use: &ToolUse, at: Timestamp) {
        let call = RequestId::of_call(tool_use);
        let before = self.answered.iter_mut().filter(|answered| answered.answered_at < at);
        for answered in before.filter(|answered| answered.call.as_ref() == Some(&call)) {
            answered.call = None;
        }
    }

    /// Takes in that the agent called a tool. If that was denied, whoever allowed it elsewhere was there before.
    pub(super) fn overrule(&mut self, tool_use: &ToolUse, at: Timestamp) -> Option<NewChange> {
        let call = RequestId::of_call(tool_use);
        let about_it = self.answered.iter_mut().rfind(|answered| answered.call.as_ref() == Some(&call))?;
        let is_denied = about_it.decision.as_ref().is_some_and(|decision| decision.verdict == Verdict::Deny);
        // It may have run to its end by the time of the denial, and its report been on the way.
        (is_denied && !about_it.is_overruled && about_it.since <= at).then(|| {
            about_it.is_overruled = true;
            NewChange::new(ChangeKind::SessionSettled, about_it.told())
        })
    }

    /// Takes in that no hook waits for the answer to an open request any more.
    pub(super) fn hook_left(&mut self, id: &RequestId, now: Timestamp) -> Option<NewChange> {
        let left = self.open.iter_mut().find(|open| open.id == *id && open.unheard_since.is_none())?;
        left.unheard_since = Some(now);
        Some(NewChange::new(ChangeKind::SessionUnheard, left.told()))
    }

    /// Takes in that a hook waits for it after all.
    pub(super) fn hook_is_back(&mut self, id: &RequestId) -> Option<NewChange> {
        let back = self.open.iter_mut().find(|open| open.id == *id)?;
        back.unheard_since.take()?;
        Some(NewChange::new(ChangeKind::SessionAsked, back.told()))
    }

    /// Records a decision about an open request; `None` when it is not open.
    pub(super) fn decide(&mut self, id: &RequestId, decision: Decision, now: Timestamp) -> Option<NewChange> {
        let at = self.open.iter().position(|request| request.id == *id)?;
        let mut request = self.open.remove(at);
        request.unheard_since = None;
        let mut told = request.told();
        told["decision"] = json!(decision);
        self.decided.push(DecidedRequest { request, decided_at: now, fetched_at: None, decision });
        Some(NewChange::new(ChangeKind::SessionDecided, told))
    }

    /// Takes in that a hook fetched what was decided, to tell the agent.
    pub(super) fn was_fetched(&mut self, id: &RequestId, now: Timestamp) {
        if let Some(decided) = self.decided.iter_mut().find(|decided| decided.request.id == *id) {
            decided.fetched_at = Some(now);
        }
    }

    /// Takes in that the agent was told what was decided.
    pub(super) fn was_told(&mut self, id: &RequestId) {
        if let Some(at) = self.decided.iter().position(|decided| decided.request.id == *id) {
            let decided = self.decided.remove(at);
            self.keep(decided.into());
        }
    }

    /// Opens a request anew whose agent cannot be told what was decided.
    pub(super) fn ask_again(&mut self, id: &RequestId) -> Option<NewChange> {
        let at = self.decided.iter().position(|decided| decided.request.id == *id)?;
        let DecidedRequest { request, .. } = self.decided.remove(at);
        let change = NewChange::new(ChangeKind::SessionAsked, request.told());
        self.put(request);
        Some(change)
    }

    /// Whether what is on record happens after `now`.
    pub(super) fn are_beyond(&self, now: Timestamp) -> bool {
        let settled = [self.own_settled_up_to, self.all_settled_up_to].into_iter().flatten();
        self.open.iter().map(|request| request.since).chain(settled).any(|at| at > now)
    }

    /// Takes in that the clock has stepped back behind what is on record: what was asked was asked by then.
    pub(super) fn step_back(&mut self, to: Timestamp) {
        for request in &mut self.open {
            request.since = request.since.min(to);
        }
        self.own_settled_up_to = self.own_settled_up_to.filter(|settled| *settled <= to);
        self.all_settled_up_to = self.all_settled_up_to.filter(|settled| *settled <= to);
    }

    /// Nobody asks any more: the agent has ended. Gives the changes worth logging.
    pub(crate) fn end(&mut self, now: Timestamp) -> Vec<NewChange> {
        for decided in std::mem::take(&mut self.decided) {
            self.keep(decided.into());
        }
        self.beside = None;
        let mut changes = Vec::new();
        for open in std::mem::take(&mut self.open) {
            let unanswered = AnsweredRequest { agent_ended: true, ..AnsweredRequest::of(open, now, None) };
            changes.push(NewChange::new(ChangeKind::SessionSettled, unanswered.told()));
            self.keep(unanswered);
        }
        changes
    }

    /// What stays of them when another agent takes over.
    pub(super) fn of_the_past(&self) -> Self {
        let mut past = Self { answered: self.answers(), ..Self::default() };
        for answered in &mut past.answered {
            answered.call = None;
        }
        past
    }

    fn keep(&mut self, answered: AnsweredRequest) {
        self.answered.push(answered);
        let surplus = self.answered.len().saturating_sub(KEPT);
        self.answered.drain(..surplus);
    }
}
