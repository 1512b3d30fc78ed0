//! Requests for permissions with everything that can stand in a record.

use super::{at, id};
use crate::domain::approval::{
    AnsweredRequest, Decider, Decision, PendingRequest, Requests, Subject, SubjectKind, Verdict,
};
use crate::domain::id::{RequestId, SessionId};
use crate::domain::rule::{Rule, RuleVerdict};
use crate::domain::session::{Activity, ToolUse};

/// One open request of a subagent, one decided by a rule, one by a session, one answered elsewhere.
pub(super) fn requests(input: serde_json::Value) -> Requests {
    let session = |n: u32| SessionId::of(&id("app"), n);
    let subagent = Some("a1460c4".to_owned());
    let tool_use = ToolUse { tool: "Bash".to_owned(), input, subagent };
    let subject = Subject { kind: SubjectKind::Shell, field: Some("command".to_owned()) };
    let open = PendingRequest { id: RequestId::of(&session(1), &tool_use, at(6)), tool_use, subject, since: at(6) };
    let rule = Rule {
        tool: "Ba*".to_owned(),
        input: Some("git *".to_owned()),
        decide: RuleVerdict::Deny,
        reason: Some("ö\n\"".to_owned()),
    };
    let by_rule =
        Decision { verdict: Verdict::Deny, reason: rule.reason.clone(), by: Decider::Rule { number: 2, rule } };
    let by_session = Decision { verdict: Verdict::Allow, reason: None, by: Decider::Session { session: session(2) } };
    let answered = [Some(by_rule), Some(by_session), None].map(|decision| AnsweredRequest {
        request: open.clone(),
        answered_at: at(7),
        decision,
    });
    Requests {
        open: vec![open],
        answered: answered.into(),
        own_settled_up_to: Some(at(5)),
        all_settled_up_to: Some(at(4)),
        beside: Some(Activity::Idle),
    }
}
