//! `ao` runs many coding agents side by side on one person's machine, each in its own git worktree and its own terminal,
//! and keeps every one of them observable, reachable and recoverable.
//!
//! The crate is a hexagon; see `docs/architecture.md` for the map.
//!
//! | Layer | Module | May use |
//! | --- | --- | --- |
//! | rules | [`domain`] | nothing of ours |
//! | traits | [`ports`] | `domain` |
//! | use cases | [`app`] | `ports`, `domain` |
//! | the outside | [`adapters`] | outbound: `ports`, `domain`, `platform`; inbound also `app` |
//! | the operating system | [`platform`] | `domain` |
//!
//! [`fault`] is for tests, and may be used everywhere.

pub mod adapters;
pub mod app;
pub mod domain;
pub mod fault;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "platform")]
pub mod platform;
pub mod ports;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(test)]
#[path = "../tests/support/executable.rs"]
mod executable;
