//! What was seen of an agent, and how it changes the facts.

use serde_json::json;

use super::Timestamp;
use super::approval::{Decision, PendingRequest, Subject};
use super::change::{ChangeKind, NewChange};
use super::id::{AgentSessionId, RequestId};
use super::rule;
use super::session::{Activity, Session, ToolUse};

/// What one report of an agent means. An `Agent` adapter translates its agent's hooks into these.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Signal {
    /// The agent started (or resumed) and takes work.
    Ready {
        /// The agent's own id for the conversation.
        agent_session_id: Option<AgentSessionId>,
    },
    /// A turn began, by a person or by what a person said.
    Prompted,
    /// It is in a turn, which something else began, as the end of what it had in the background; its subagents go on.
    Woken,
    /// It is about to call a tool.
    Calling(ToolUse),
    /// It called a tool, so it was allowed to.
    Called(ToolUse),
    /// Its turn is over.
    Idle,
    /// Its turn is over, for something failed: its login, a limit of use, the service.
    Failed {
        /// What the agent says of it.
        cause: String,
    },
    /// It asks the person a question.
    WaitingInput,
    /// It waits for a permission decision.
    Blocked {
        /// For what.
        tool_use: ToolUse,
        /// What of that a person decides by.
        subject: Subject,
    },
    /// All tool calls of its model's last answer are settled, also those that were refused.
    Settled {
        /// Of which subagent; `None` for the agent itself.
        subagent: Option<String>,
    },
    /// It says that it ends. Evidence of the end is the process, not this.
    Ending,
}

impl Signal {
    /// Whether all that the agent itself asked permission for before has been answered; what its subagents asked may not.
    #[must_use]
    pub fn settles_own(&self) -> bool {
        match self {
            Self::Settled { subagent: None }
            | Self::Idle
            | Self::Failed { .. }
            | Self::WaitingInput
            | Self::Woken
            | Self::Prompted => true,
            Self::Settled { subagent: Some(_) }
            | Self::Ready { .. }
            | Self::Calling(_)
            | Self::Called(_)
            | Self::Blocked { .. }
            | Self::Ending => false,
        }
    }
}

impl Session {
    /// Takes a signal, reported at `at`, into the facts; gives the changes worth logging.
    ///
    /// Reports can come late (a hook writes to the spool while no daemon runs), so a signal older than the current
    /// activity does not touch the activity. Nothing is taken once the session is over.
    pub fn observe(&mut self, signal: &Signal, at: Timestamp, now: Timestamp) -> Vec<NewChange> {
        if self.phase.is_terminated() {
            return Vec::new();
        }
        let mut changes = Vec::new();
        let reported_at = at;
        let facts = &mut self.facts;
        // What the last agent of a restored session reported late says nothing of this one. (A launch in the future is a
        // clock that stepped back.)
        let is_late = facts.launched_at.map_or(facts.restoring.is_some(), |launched| at < launched && launched <= now);
        if is_late {
            return changes;
        }
        let at = at.min(now);
        // A clock that stepped back left times of the future behind; they must not outrank what is reported now, which was
        // some milliseconds on its way.
        if facts.activity_at > now || facts.requests.are_beyond(now) {
            facts.activity_at = facts.activity_at.min(at);
            facts.requests.step_back(at);
        }
        facts.first_report_at = Some(facts.first_report_at.map_or(at, |first| first.min(at)));
        if let Signal::Ready { agent_session_id } = signal {
            let is_newest = at >= facts.activity_at;
            if agent_session_id.is_some() && (is_newest || facts.ready_at.is_none()) {
                facts.agent_session_id.clone_from(agent_session_id);
            }
            if facts.ready_at.is_none() {
                facts.ready_at = Some(at);
                changes.push(NewChange::new(ChangeKind::SessionReady, json!({})));
            }
        }
        // These have times of their own: agents ask and work side by side, and the reports overtake each other.
        changes.extend(self.follow_requests(signal, reported_at, at));
        if at >= self.facts.activity_at
            && let Some(activity) = self.activity_after(signal)
        {
            // A turn's end is told again after a minute, and is the same end.
            if activity != Activity::Idle || self.apart_from_waiting() != Activity::Idle {
                self.facts.activity_at = at;
            }
            let turned = self.turn_to(activity);
            changes.extend(self.follow_failures(signal, activity).or(turned));
        } else {
            changes.extend(self.turn_to(self.apart_from_waiting()));
        }
        changes
    }

    /// Takes in whether the last turn failed. Gives the change worth logging if it did.
    fn follow_failures(&mut self, signal: &Signal, activity: Activity) -> Option<NewChange> {
        let facts = &mut self.facts;
        if let Signal::Failed { cause } = signal {
            facts.turn_failure = Some(cause.clone());
            return Some(NewChange::turn_failed(facts.activity, cause));
        }
        // The end of a turn may be told once more.
        if activity != Activity::Idle {
            facts.turn_failure = None;
        }
        None
    }

    /// Takes in what a signal tells of requests for permissions.
    fn follow_requests(&mut self, signal: &Signal, reported_at: Timestamp, at: Timestamp) -> Vec<NewChange> {
        let requests = &mut self.facts.requests;
        match signal {
            Signal::Blocked { tool_use, subject } => {
                let id = RequestId::of(&self.id, tool_use, reported_at);
                let (tool_use, subject) = (tool_use.clone(), subject.clone());
                let request = PendingRequest { id, tool_use, subject, since: at, unheard_since: None };
                requests.ask(request).into_iter().collect()
            }
            // Tools run side by side: another one's end does not answer the question about this one.
            Signal::Calling(tool_use) => {
                requests.called_anew(tool_use, at);
                requests.settle(at, |request| request.tool_use == *tool_use)
            }
            Signal::Called(tool_use) => {
                let mut changes = requests.settle(at, |request| request.tool_use == *tool_use);
                changes.extend(requests.overrule(tool_use, at));
                changes
            }
            Signal::Settled { subagent: Some(of) } => {
                requests.settle(at, |request| request.tool_use.subagent.as_ref() == Some(of))
            }
            // Subagents may go on in the background.
            Signal::Settled { subagent: None }
            | Signal::Idle
            | Signal::Failed { .. }
            | Signal::WaitingInput
            | Signal::Woken => {
                requests.own_settled_up_to = requests.own_settled_up_to.max(Some(at));
                requests.settle(at, |request| request.tool_use.subagent.is_none())
            }
            // A person who stopped a turn has stopped its subagents too, and no report tells of that.
            Signal::Prompted => {
                requests.own_settled_up_to = requests.own_settled_up_to.max(Some(at));
                requests.all_settled_up_to = requests.all_settled_up_to.max(Some(at));
                requests.settle(at, |_| true)
            }
            Signal::Ready { .. } | Signal::Ending => Vec::new(),
        }
    }

    /// Records a decision about an open request. Gives the changes worth logging; none when it is not open.
    pub fn decide(&mut self, request: &RequestId, decision: Decision, now: Timestamp) -> Vec<NewChange> {
        let Some(decided) = self.facts.requests.decide(request, decision, now) else { return Vec::new() };
        // Nothing tells that the agent goes on: it is the decision that it waited for. What it reported since it asked says more.
        [decided].into_iter().chain(self.turn_to(self.apart_from_waiting())).collect()
    }

    /// What the project's rules say about an open request.
    #[must_use]
    pub fn ruled(&self, request: &RequestId) -> Option<Decision> {
        let rules = &self.spec.setup.as_ref()?.rules;
        let request = self.facts.requests.open.iter().find(|open| open.id == *request)?;
        rule::decision(rules, request, &self.spec.workspace)
    }

    /// Takes in that a hook fetched what was decided; it says later that it has told the agent.
    pub fn was_fetched(&mut self, request: &RequestId, now: Timestamp) {
        self.facts.requests.was_fetched(request, now);
    }

    /// Takes in that the agent was told what was decided.
    pub fn was_told(&mut self, request: &RequestId) {
        self.facts.requests.was_told(request);
    }

    /// Takes in that a hook says that it has told the agent. Gives the changes worth logging: one that was opened anew meanwhile, for the hook was
    /// away for long, is open no more.
    pub fn hook_told(&mut self, request: &RequestId, now: Timestamp) -> Vec<NewChange> {
        self.facts.requests.was_told(request);
        let settled = self.facts.requests.settle(now, |asked| asked.id == *request);
        settled.into_iter().chain(self.turn_to(self.apart_from_waiting())).collect()
    }

    /// Takes in that no hook waits for the answer to an open request any more. Gives the change worth logging.
    pub fn hook_left(&mut self, request: &RequestId, now: Timestamp) -> Option<NewChange> {
        self.facts.requests.hook_left(request, now)
    }

    /// Takes in that a hook waits for it after all. Gives the change worth logging.
    pub fn hook_is_back(&mut self, request: &RequestId) -> Option<NewChange> {
        self.facts.requests.hook_is_back(request)
    }

    /// Takes in that nobody is left to tell the agent what was decided: it asks still. Gives the changes worth logging.
    pub fn ask_again(&mut self, request: &RequestId) -> Vec<NewChange> {
        let Some(asked) = self.facts.requests.ask_again(request) else { return Vec::new() };
        let beside = self.apart_from_waiting();
        [asked].into_iter().chain(self.turn_to(beside)).collect()
    }

    /// What it does, or did when it began to wait.
    fn apart_from_waiting(&self) -> Activity {
        let facts = &self.facts;
        let is_waiting = facts.activity == Activity::Blocked;
        facts.requests.beside.unwrap_or(if is_waiting { Activity::Active } else { facts.activity })
    }

    /// Takes in what it does. While a request is open that is waiting, whatever it does beside.
    fn turn_to(&mut self, activity: Activity) -> Option<NewChange> {
        let facts = &mut self.facts;
        let shown = if facts.requests.open.is_empty() {
            facts.requests.beside = None;
            activity
        } else {
            facts.requests.beside = Some(activity);
            Activity::Blocked
        };
        if facts.activity == shown {
            return None;
        }
        facts.activity = shown;
        Some(NewChange::activity(shown))
    }

    /// The activity a signal leads to; `None` when it says nothing about it.
    fn activity_after(&self, signal: &Signal) -> Option<Activity> {
        match signal {
            // An agent that was given a prompt goes on to its first turn by itself: calling it idle in between would
            // end a wait for its work before the work began. A later start (a resume, a compaction) says nothing.
            Signal::Ready { .. } => {
                let takes_turn = self.spec.prompt.is_some() && !self.facts.resumed;
                (self.facts.activity == Activity::Starting && !takes_turn).then_some(Activity::Idle)
            }
            Signal::Idle | Signal::Failed { .. } => Some(Activity::Idle),
            Signal::WaitingInput => Some(Activity::WaitingInput),
            // A subagent may ask while the agent's own turn is over.
            Signal::Blocked { tool_use, .. } if tool_use.subagent.is_some() => Some(self.apart_from_waiting()),
            Signal::Prompted
            | Signal::Woken
            | Signal::Calling(_)
            | Signal::Called(_)
            | Signal::Settled { subagent: None }
            | Signal::Blocked { .. } => Some(Activity::Active),
            // It works beside the agent.
            Signal::Settled { subagent: Some(_) } | Signal::Ending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::tests::{at, session};

    fn bash(command: &str) -> ToolUse {
        ToolUse { tool: "Bash".into(), input: json!({ "command": command }), subagent: None, is_cut: false }
    }

    fn asks(tool_use: ToolUse) -> Signal {
        Signal::Blocked { tool_use, subject: Subject::default() }
    }

    fn ready() -> Signal {
        Signal::Ready { agent_session_id: None }
    }

    #[test]
    fn a_start_with_a_prompt_is_not_idle() {
        let mut session = session();
        let changes = session.observe(&ready(), at(1), at(1));
        assert_eq!(session.facts.activity, Activity::Starting);
        assert_eq!(session.facts.ready_at, Some(at(1)));
        assert_eq!(changes.len(), 1);
    }

    #[test]
    fn a_start_without_a_prompt_is_idle() {
        let mut session = session();
        session.spec.prompt = None;
        session.observe(&ready(), at(1), at(1));
        assert_eq!(session.facts.activity, Activity::Idle);
    }

    #[test]
    fn a_resumed_conversation_is_idle_until_it_is_told_something() {
        let mut session = session();
        session.facts.resumed = true;
        session.observe(&ready(), at(1), at(1));
        assert_eq!(session.facts.activity, Activity::Idle);
    }

    #[test]
    fn a_compaction_in_a_turn_does_not_make_it_idle() {
        let mut session = session();
        session.spec.prompt = None;
        session.observe(&Signal::Prompted, at(1), at(1));
        session.observe(&ready(), at(2), at(2));
        assert_eq!(session.facts.activity, Activity::Active);
    }

    #[test]
    fn a_late_report_does_not_turn_activity_back() {
        let mut session = session();
        session.observe(&Signal::Idle, at(5), at(5));
        assert!(session.observe(&Signal::Prompted, at(3), at(6)).is_empty());
        assert_eq!(session.facts.activity, Activity::Idle);
        assert_eq!(session.facts.first_report_at, Some(at(3)));
    }

    #[test]
    fn another_tool_does_not_answer_a_permission_question() {
        let mut session = session();
        session.observe(&asks(bash("rm -r build")), at(1), at(1));
        session.observe(&Signal::Called(bash("ls")), at(2), at(2));
        assert_eq!(session.facts.activity, Activity::Blocked);
        session.observe(&Signal::Called(bash("rm -r build")), at(3), at(3));
        assert_eq!(session.facts.activity, Activity::Active);
        assert_eq!(session.facts.requests.open, []);
    }

    #[test]
    fn a_turns_end_that_is_told_again_is_the_same_end() {
        let mut session = session();
        session.observe(&Signal::Idle, at(5), at(5));
        let before = session.clone();
        assert!(session.observe(&Signal::Idle, at(65), at(65)).is_empty());
        assert_eq!(session.facts.activity_at, before.facts.activity_at);
    }

    #[test]
    fn a_turn_that_failed_has_until_the_next_one_begins() {
        let mut session = session();
        session.observe(&Signal::Prompted, at(1), at(1));
        let cause = "rate_limit: later".to_owned();
        let changes = session.observe(&Signal::Failed { cause: cause.clone() }, at(2), at(2));
        assert_eq!(changes, [NewChange::turn_failed(Activity::Idle, &cause)]);
        assert_eq!((session.facts.activity, session.facts.turn_failure.clone()), (Activity::Idle, Some(cause.clone())));
        // The end is told again after a minute, and a report of the turn comes late.
        session.observe(&Signal::Idle, at(62), at(62));
        session.observe(&Signal::Called(bash("ls")), at(1), at(63));
        assert_eq!(session.facts.turn_failure, Some(cause));
        session.observe(&Signal::Woken, at(70), at(70));
        assert_eq!(session.facts.turn_failure, None);
    }

    #[test]
    fn the_end_of_the_turn_settles_a_permission_question() {
        let mut session = session();
        session.observe(&asks(bash("rm -r build")), at(1), at(1));
        session.observe(&Signal::Idle, at(2), at(2));
        assert_eq!(session.facts.requests.open, []);
    }

    #[test]
    fn what_the_agent_before_reported_late_is_not_taken_for_this_one() {
        let mut session = session();
        session.facts.launched_at = Some(at(100));
        let before = session.clone();
        assert!(session.observe(&ready(), at(99), at(101)).is_empty());
        assert_eq!(session, before);
        session.observe(&ready(), at(100), at(101));
        assert_eq!(session.facts.ready_at, Some(at(100)));
    }

    #[test]
    fn a_clock_that_stepped_back_does_not_freeze_the_activity() {
        let mut session = session();
        session.observe(&Signal::Prompted, at(3600), at(3600));
        session.observe(&Signal::Idle, at(5), at(5));
        assert_eq!(session.facts.activity, Activity::Idle);
    }

    #[test]
    fn after_a_clock_stepped_back_the_first_report_counts_however_long_it_took() {
        let mut session = session();
        session.observe(&Signal::Prompted, at(3600), at(3600));
        session.observe(&Signal::Idle, at(5), at(6));
        assert_eq!(session.facts.activity, Activity::Idle);
    }

    #[test]
    fn nothing_is_taken_after_the_end() {
        let mut session = session();
        session.phase = session.phase.end(crate::domain::phase::EndReason::Killed).unwrap();
        let before = session.clone();
        assert!(session.observe(&Signal::Prompted, at(9), at(9)).is_empty());
        assert_eq!(session, before);
    }
}
