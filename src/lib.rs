//! `ao` runs many coding agents side by side on one person's machine, each in its own git worktree and its own terminal,
//! and keeps every one of them observable, reachable and recoverable.
//!
//! [`Orchestrator`] is the front for programs that embed it; `examples/` has two whole ones.
//!
#![cfg_attr(feature = "adapters", doc = "```no_run")]
#![cfg_attr(not(feature = "adapters"), doc = "```ignore")]
//! # use std::{collections::BTreeMap, error::Error, path::PathBuf};
//! # async fn of_mine(env: BTreeMap<String, String>, repository: PathBuf) -> Result<(), Box<dyn Error>> {
//! let builder = ao::Orchestrator::builder("/var/lib/mine/ao", "/usr/local/bin/ao");
//! let (orchestrator, driver) = builder.env(env).build().await?;
//! tokio::spawn(driver.into_future());                       // notices ends, takes in reports; ends after shut_down()
//!
//! let project = orchestrator.add_project(&repository).await?.project;
//! let session = orchestrator.spawn(ao::app::spawn::SpawnRequest::new(project.id)).await?;
//! let mut events = orchestrator.events(None, None).await?;  // a Stream, without gaps
//! orchestrator.send(&session.id, "also update the changelog").await?;
//! # Ok(())
//! # }
//! ```
//!
//! The crate is a hexagon; see `docs/architecture.md` for the map.
//!
//! | Layer | Module | May use |
//! | --- | --- | --- |
//! | rules | [`domain`] | nothing of ours |
//! | traits | [`ports`] | `domain` |
//! | use cases | [`app`] | `ports`, `domain` |
//! | the outside | [`adapters`] | outbound: `ports`, `domain`, `platform`; inbound also `app` |
//! | the operating system | `platform` | `domain` |
//! | the front | [`orchestrator`] | `app`, `ports`, `domain`; what composes also outbound adapters and `platform`, what serves `platform` and `http` |
//!
//! # Features
//! None is the rules, the ports, the use cases and [`Orchestrator::over`]. `adapters` adds the outbound adapters, `platform` and
//! `Orchestrator::builder`; `http` the API, and `Orchestrator::serve`; `cli`, the default, the program `ao`; `testing` the contract suites for adapters of your own.
//!
//! # What is promised
//! From version 1 on, names and signatures of [`Orchestrator`] and what it leads to, the use cases in [`app`], [`ports`], [`domain`] and the suites change
//! with the major version only: `tests/public_api.rs` tells of every change. Of [`adapters`] that holds for the types that [`orchestrator`] exports, by the names
//! they have there. Minor versions add:
//!
//! - variants and fields, where a type is `#[non_exhaustive]`: such a structure is had from its `new`, or read only;
//! - fields of inputs with a `Default`, which are built with `..Default::default()`;
//! - methods of ports, with a default;
//! - fields of what ports are given (requests, specifications) and of records that stores keep (`Session`, `Message`, `Change`, …): whoever only reads those
//!   compiles on; a store that takes them apart, and a test that builds them, is told by the compiler what is new.
//!
//! Nothing is promised of `platform`, [`fault`], the rest of [`adapters`], and what in [`app`] only the daemon and the hooks' processes call: [`app::deliver`],
//! [`app::observe`], [`app::once`], [`app::reap`], [`app::reconcile`], [`app::retention`], [`app::teardown`].
//!
//! [`fault`] is for tests, and may be used everywhere.

pub mod adapters;
pub mod app;
pub mod domain;
pub mod fault;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod orchestrator;
#[cfg(feature = "platform")]
pub mod platform;
pub mod ports;
#[cfg(feature = "testing")]
pub mod testing;

pub use orchestrator::Orchestrator;
#[cfg(feature = "adapters")]
pub use orchestrator::builder::{BuildError, Builder};
pub use orchestrator::driver::Driver;
pub use orchestrator::events::EventStream;
#[cfg(feature = "http")]
pub use orchestrator::server::{ServeError, ServeOptions, Server};

#[cfg(test)]
#[path = "../tests/support/executable.rs"]
mod executable;
