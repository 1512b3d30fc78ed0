//! How Claude Code is told what was decided. Seen with 2.1.197; `tests/e2e/approvals.rs` sees it again.
//!
//! - `PermissionRequest` runs beside the dialog, which closes when it answers. A refusal's message is what the model gets as the tool's
//!   result, and the turn goes on.
//! - For a subagent in the background the dialog comes only when the hook has ended without an answer.
//! - When a person answers first, the tool runs at once, and the hook is neither told nor ended.

use serde_json::json;

use crate::domain::approval::{Decision, Verdict};
use crate::ports::permission_hooks::PermissionHooks;
use crate::ports::text_hooks::HookAnswer;

/// Claude Code's hooks, as far as they take decisions.
pub(super) struct ClaudePermission;

impl PermissionHooks for ClaudePermission {
    fn answer(&self, event: &str, decision: &Decision) -> HookAnswer {
        let decision = match decision.verdict {
            Verdict::Allow => json!({ "behavior": "allow" }),
            Verdict::Deny => json!({ "behavior": "deny", "message": decision.refusal() }),
        };
        let answer = json!({ "hookSpecificOutput": { "hookEventName": event, "decision": decision } });
        HookAnswer { stdout: answer.to_string(), ..HookAnswer::default() }
    }
}
