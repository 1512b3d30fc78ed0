//! What an agent's hook told.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Timestamp;
use super::id::{AgentKind, RequestId, SessionId};

/// Hooks that run at every tool call, in all agents that ao knows.
const ROUTINE: [&str; 4] = ["PreToolUse", "PostToolUse", "PostToolUseFailure", "PostToolBatch"];

/// The event by which a hook says that it told its agent what was decided; no agent has one of that name.
const TOLD: &str = "ao:told";

/// A field that ao adds to a payload from whose tool input it left something out, for its size or its depth.
pub const LEFT_OUT: &str = "ao_left_out";

/// How deep what an agent says may be nested to be taken. JSON that is nested deeper than 127 can be written and not be read, and what is taken
/// stands some levels deeper in reports, records and answers.
const MAX_DEPTH: usize = 64;

/// Whether this is nested too deep to be taken.
#[must_use]
pub fn is_too_deep(value: &Value) -> bool {
    fn exceeds(value: &Value, depth: usize) -> bool {
        let mut inner: Box<dyn Iterator<Item = &Value>> = match value {
            Value::Array(list) => Box::new(list.iter()),
            Value::Object(fields) => Box::new(fields.values()),
            _ => return false,
        };
        depth == 0 || inner.any(|value| exceeds(value, depth - 1))
    }
    exceeds(value, MAX_DEPTH)
}

/// What one call of an agent's hook told, as it travels from `ao hook` to the daemon, by socket or spool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HookReport {
    /// The session whose agent called.
    pub session: SessionId,
    /// The agent whose words these are.
    pub agent: AgentKind,
    /// The hook's name, for example `PostToolUse`.
    pub event: String,
    /// When the hook was called.
    pub at: Timestamp,
    /// What the hook was given.
    pub payload: Value,
}

impl HookReport {
    /// That a hook told its agent what was decided about a request.
    #[must_use]
    pub fn of_told(session: SessionId, agent: AgentKind, request: &RequestId, at: Timestamp) -> Self {
        Self { session, agent, event: TOLD.to_owned(), at, payload: json!({ "request": request }) }
    }

    /// The request about which its agent was told what was decided, where it says that.
    #[must_use]
    pub fn told_about(&self) -> Option<RequestId> {
        (self.event == TOLD).then(|| self.payload.get("request")?.as_str()?.parse().ok())?
    }

    /// Whether it tells no more than that the agent is at work: the next one of its session says as much. Starts, prompts, the
    /// ends of turns and conversations, and what a person is asked are not routine.
    #[must_use]
    pub fn is_routine(&self) -> bool {
        ROUTINE.contains(&self.event.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_says_about_which_request_it_told_and_no_agents_words_are_taken_for_that() {
        let (session, agent) = ("app-1".parse().unwrap(), "claude-code".parse().unwrap());
        let told = HookReport::of_told(session, agent, &RequestId::unknown(), Timestamp::UNIX_EPOCH);
        assert_eq!(told.told_about(), Some(RequestId::unknown()));
        assert!(!told.is_routine(), "a spool that is full would drop it");
        assert_eq!(HookReport { event: "Stop".to_owned(), ..told.clone() }.told_about(), None);
        assert_eq!(HookReport { payload: json!({ "request": "x" }), ..told }.told_about(), None);
    }

    #[test]
    fn what_is_too_deep_is_known_by_its_deepest_part() {
        let nested = |depth: usize| (0..depth).fold(Value::Null, |inner, _| serde_json::json!([1, { "a": inner }]));
        assert!(!is_too_deep(&nested(MAX_DEPTH / 2)));
        assert!(is_too_deep(&nested(MAX_DEPTH / 2 + 1)));
    }
}
