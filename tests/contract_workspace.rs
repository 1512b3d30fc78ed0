//! The git adapter keeps the contract of workspaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test panics when it fails")]

#[path = "support/git_fixture.rs"]
mod git_fixture;
#[path = "support/inherited.rs"]
mod inherited;

use git_fixture::GitFixture;

ao::workspace_contract!(GitFixture::new());
