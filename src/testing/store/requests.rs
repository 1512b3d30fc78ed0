//! Requests for permissions with everything that can stand in a record.

use super::{at, id};
use crate::domain::approval::{
    AnsweredRequest, DecidedRequest, Decider, Decision, PendingRequest, Subject, SubjectKind, Verdict,
};
use crate::domain::id::{RequestId, SessionId};
use crate::domain::requests::Requests;
use crate::domain::rule::{Rule, RuleVerdict};
use crate::domain::session::{Activity, ToolUse};

/// One open request of a subagent, one whose agent was not told yet, one decided by a rule, one by a session, one answered elsewhere.
pub(super) fn requests(input: serde_json::Value) -> Requests {
    let session = |n: u32| SessionId::of(&id("app"), n);
    let subagent = Some("a1460c4".to_owned());
    let tool_use = ToolUse { tool: "Bash".to_owned(), input, subagent, is_cut: true };
    let subject = Subject { kind: SubjectKind::Shell, field: Some("command".to_owned()), says_not_all: true };
    let request = RequestId::of(&session(1), &tool_use, at(6));
    let open = PendingRequest { id: request, tool_use, subject, since: at(6), unheard_since: Some(at(7)) };
    let rule = Rule {
        tool: "Ba*".to_owned(),
        input: Some("git *".to_owned()),
        decide: RuleVerdict::Deny,
        reason: Some("ö\n\"".to_owned()),
    };
    let by_rule =
        Decision { verdict: Verdict::Deny, reason: rule.reason.clone(), by: Decider::Rule { number: 2, rule } };
    let by_session = Decision { verdict: Verdict::Allow, reason: None, by: Decider::Session { session: session(2) } };
    let answered = [Some(by_rule.clone()), Some(by_session), None].map(|decision| AnsweredRequest {
        id: open.id.clone(),
        tool: "Bash".to_owned(),
        about: Some("ö".to_owned()),
        subagent: Some("a1460c4".to_owned()),
        since: at(6),
        answered_at: at(7),
        agent_ended: decision.is_none(),
        is_overruled: decision.is_none(),
        call: decision.as_ref().map(|_| RequestId::unknown()),
        decision,
    });
    let decided =
        DecidedRequest { request: open.clone(), decided_at: at(8), fetched_at: Some(at(9)), decision: by_rule };
    Requests {
        open: vec![open],
        decided: vec![decided],
        answered: answered.into(),
        own_settled_up_to: Some(at(5)),
        all_settled_up_to: Some(at(4)),
        beside: Some(Activity::Idle),
    }
}
