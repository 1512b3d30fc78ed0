//! Contract suites: the same test bodies for every adapter of a port, ours and yours.
//!
//! Each suite is a set of async functions that take a fixture and panic when the contract is broken. See each module.
//!
//! | Module | Suite of |
//! | --- | --- |
//! | [`messenger`] | `AgentMessenger` |
//! | [`store`] | `ProjectStore`, `SessionStore`, `ChangeLog` |

#![allow(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite panics when the contract is broken"
)]

pub mod messenger;
pub mod store;
