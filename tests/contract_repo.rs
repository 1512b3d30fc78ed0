//! The gix resolver keeps the contract of repository resolvers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test panics when it fails")]

use std::sync::Arc;

use ao::adapters::repo::GixRepoResolver;
use ao::ports::repo::RepoResolver;
use ao::ports::store::ProjectStore;
use ao::testing::git::GitScratch;
use ao::testing::repo::RepoFixture;

#[path = "support/inherited.rs"]
mod inherited;

struct GixFixture(GitScratch);

impl RepoFixture for GixFixture {
    fn resolver(&self, projects: Arc<dyn ProjectStore>) -> Arc<dyn RepoResolver> {
        Arc::new(GixRepoResolver::new(projects))
    }

    fn scratch(&self) -> &GitScratch {
        &self.0
    }
}

ao::repo_contract!(GixFixture(GitScratch::new(inherited::environment())));
