//! Contract suites: the same test bodies for every adapter of a port, ours and yours.
//!
//! Each suite is a set of async functions that take a fixture and panic when the contract is broken. See each module.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`agent`] | the suite of `Agent` |
//! | [`clock`] | the suite of `Clock` |
//! | [`git`] | a private place with a git of its own, for fixtures |
//! | [`mailbox`] | the suite of `Mailbox` and `OpenMailbox` |
//! | [`memory`] | a register of projects in memory, for fixtures |
//! | [`messenger`] | the suite of `AgentMessenger` |
//! | [`permission_hooks`] | the suite of `PermissionHooks` |
//! | [`project_file`] | the suite of `ProjectFiles` |
//! | [`repo`] | the suite of `RepoResolver` |
//! | [`runtime`] | the suite of `Runtime` |
//! | [`session_dir`] | the suite of `SessionDirs` |
//! | [`setup`] | the suite of `SetupRunner` |
//! | [`spool`] | the suite of `ReportSpool` |
//! | [`store`] | the suite of `ProjectStore`, `SessionStore`, `MessageStore`, `AnswerStore` and `ChangeLog` |
//! | [`terminal_input`] | the suite of `TerminalInput` |
//! | [`text_hooks`] | the suite of `TextHooks` |
//! | [`workspace`] | the suite of `Workspace` |

#![allow(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite panics when the contract is broken"
)]

pub mod agent;
pub mod clock;
pub mod git;
pub mod mailbox;
pub mod memory;
pub mod messenger;
pub mod permission_hooks;
pub mod project_file;
pub mod repo;
pub mod runtime;
pub mod session_dir;
pub mod setup;
pub mod spool;
pub mod store;
pub mod terminal_input;
pub mod text_hooks;
pub mod workspace;
