//! The git adapter in a place of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ao::adapters::workspace::{GitSettings, GitWorkspace};
use ao::domain::preserved::PreservedWork;
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

    async fn ignore(&self, patterns: &[&str]) {
        self.0.commit(&self.0.path("app"), ".gitignore", &(patterns.join("\n") + "\n")).await;
    }

    async fn move_branch_on(&self, branch: &str, place: &Path) -> String {
        let repository = self.0.path("app");
        let place_name = place.to_str().expect("UTF-8");
        if !self.branches().await.iter().any(|name| name == branch) {
            self.0.git(&repository, &["branch", branch]).await;
        }
        self.0.git(&repository, &["worktree", "add", "-q", place_name, branch]).await;
        self.commit(place, "moved-on.txt").await;
        self.0.git(&repository, &["worktree", "remove", place_name]).await;
        branch.to_owned()
    }

    async fn holds(&self, work: &PreservedWork, commit: &str) -> bool {
        let call = ["merge-base", "--is-ancestor", commit, &work.reference];
        self.0.try_git(&self.0.path("app"), &call).await.status.success()
    }

    async fn fingerprint(&self) -> String {
        let mut lines = Vec::new();
        let mut waiting = vec![self.0.path("app/.git"), self.0.path("worktrees")];
        while let Some(directory) = waiting.pop() {
            for item in std::fs::read_dir(&directory).into_iter().flatten() {
                let path = item.expect("it can be listed").path();
                let metadata = path.symlink_metadata().expect("it is there");
                if metadata.is_dir() {
                    waiting.push(path.clone());
                }
                lines.push(format!("{} {:?} {}", path.display(), metadata.modified().expect("a time"), metadata.len()));
            }
        }
        lines.sort();
        lines.join("\n")
    }
}
