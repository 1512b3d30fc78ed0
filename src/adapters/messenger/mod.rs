//! How text reaches a running agent: as files in its workspace, which its hooks take, or who types to it.
//!
//! | Module | Holds |
//! | --- | --- |
//! | `boxes` | which directories and names there are, and what they say |
//! | `directory` | getting there past no link |
//! | `inbox` | the daemon's side |
//! | `ledger` | what was taken, outside of the workspace |
//! | `mailbox` | the agent's side, for its hooks and for who types to it |
//! | [`rest`] | resting until there may be something for an idle agent |

mod boxes;
mod directory;
mod inbox;
mod ledger;
mod mailbox;
pub mod rest;

pub use inbox::{InboxMessenger, MAX_BODY_BYTES};
pub use mailbox::FileMailbox;

/// What the name of a message's file tells, and the name that ao would give it.
#[cfg(feature = "fuzzing")]
pub(crate) fn named(name: &str) -> Option<(u64, crate::domain::id::MessageId, String)> {
    boxes::Entry::parse(name).map(|entry| (entry.number, entry.id.clone(), entry.name()))
}
