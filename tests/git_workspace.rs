//! What only git has: kinds of repositories, the base and its fetch, half-made worktrees, what became of a branch or a
//! repository, and the many forms of work that must not be lost. Against real git.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test panics when it fails")]

#[path = "support/executable.rs"]
mod executable;
#[path = "support/git_fixture.rs"]
mod git_fixture;
#[path = "support/inherited.rs"]
mod inherited;

mod git_workspace {
    pub(crate) mod base;
    pub(crate) mod half_made;
    pub(crate) mod kinds;
    pub(crate) mod preserve;
    pub(crate) mod reopen;
    pub(crate) mod support;
    pub(crate) mod two_data_directories;
    pub(crate) mod work;
}
