//! How is an agent told what was decided about a permission it asked for?

use super::text_hooks::HookAnswer;
use crate::domain::approval::Decision;

/// An agent whose hooks can answer what it asks permission for.
///
/// # Contract
/// - The agent asks in a hook whose report means [`Signal::Blocked`](crate::domain::observation::Signal::Blocked), and may go on showing its
///   own dialog while that hook runs, for as long as it takes. The first answer counts.
/// - When a hook ends without an answer, the dialog is there.
/// - The answer depends on what is given alone, and nothing changes by it.
pub trait PermissionHooks: Send + Sync {
    /// The answer that tells the agent, in the hook in which it asked; never [that of a hook that has none](HookAnswer::default). One that may not
    /// is told [why](Decision::refusal), where its hooks take words.
    fn answer(&self, event: &str, decision: &Decision) -> HookAnswer;
}
