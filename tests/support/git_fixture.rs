//! The git adapter in a place of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ao::adapters::workspace::{GitSettings, GitWorkspace};
use ao::ports::repo::Repository;
use ao::ports::workspace::Workspace;
use ao::testing::git::GitScratch;
use ao::testing::workspace::WorkspaceFixture;
use async_trait::async_trait;

pub(crate) struct GitFixture(pub(crate) GitScratch);

impl GitFixture {
    pub(crate) fn new() -> Self {
        Self(GitScratch::new(crate::inherited::environment()))
    }
}

#[async_trait]
impl WorkspaceFixture for GitFixture {
    fn workspace(&self) -> Arc<dyn Workspace> {
        Arc::new(GitWorkspace::new(GitSettings::new(self.0.env())))
    }

    async fn repository(&self) -> Repository {
        let path = self.0.path("app");
        if !path.exists() {
            self.0.init("app").await;
        }
        self.0.describe(&path).await
    }

    fn place(&self, name: &str) -> PathBuf {
        self.0.path("worktrees").join(name)
    }

    async fn commit(&self, checkout: &Path, file: &str) {
        self.0.commit(checkout, file, "content\n").await;
    }

    async fn status(&self, checkout: &Path) -> String {
        self.0.git(checkout, &["status", "--porcelain"]).await
    }

    async fn branch_of(&self, checkout: &Path) -> String {
        self.0.git(checkout, &["symbolic-ref", "--short", "HEAD"]).await
    }

    async fn branches(&self) -> Vec<String> {
        let list = self.0.git(&self.0.path("app"), &["for-each-ref", "--format=%(refname:short)", "refs/heads/"]).await;
        list.lines().map(str::to_owned).collect()
    }
}
