//! Pure values and rules. Nothing here does I/O, knows tokio or asks a clock.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`id`] | the identifiers, made by one macro |
//! | [`preserved`] | uncommitted work that was saved |
//! | [`project`] | a registered repository |
//! | [`project_file`] | what a repository's `ao.toml` sets |
//! | [`session`] | one agent on one task: its record and its facts |
//! | [`phase`] | the durable state machine of a session |
//! | [`setup`] | what a project wants done in each new workspace |
//! | [`status`] | what a person is shown, derived from facts |
//! | [`observation`] | what was seen, and how it changes the facts |
//! | [`permission`] | how much an agent may do unasked |
//! | [`change`] | what the change log records |
//! | [`approval`] | what an agent asks permission for, and who answered |
//! | [`requests`] | those of one agent, and what became of them |
//! | [`rule`] | what a project decided about that beforehand |
//! | [`message`] | text on its way to an agent |
//! | [`sender`] | who sent it, and how its text tells that |
//! | [`news`] | what the coordinator of a project should hear of a worker |
//! | [`exit`] | how a process ended |
//! | [`layout`] | where things live below the data directory |
//! | [`report`] | what an agent's hook told |
//! | [`text`] | making text safe to show |

pub mod approval;
#[cfg(test)]
mod approval_tests;
pub mod change;
pub mod exit;
pub mod id;
pub mod layout;
pub mod message;
pub mod news;
pub mod observation;
pub mod permission;
pub mod phase;
pub mod preserved;
pub mod project;
pub mod project_file;
pub mod report;
pub mod requests;
pub mod rule;
#[cfg(test)]
mod rule_tests;
pub mod sender;
pub mod session;
pub mod setup;
pub mod status;
pub mod text;

/// A point in time, as a clock adapter gave it. Serialized as RFC 3339 in UTC.
pub use jiff::Timestamp;
