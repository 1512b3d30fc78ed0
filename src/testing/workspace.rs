//! The contract of [`Workspace`].
//!
//! Implement [`WorkspaceFixture`] for your adapter, then let [`workspace_contract!`](crate::workspace_contract) make one test of
//! each function here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;

use crate::domain::id::SessionId;
use crate::ports::repo::Repository;
use crate::ports::workspace::{OnWork, Removal, Workspace, WorkspaceError, WorkspaceRef, WorkspaceRequest};

/// What the suite needs of an adapter. One fixture is made for each test; it is a place of its own.
#[async_trait]
pub trait WorkspaceFixture: Send + Sync {
    /// The adapter; each call gives an instance that shares nothing with the others, as another process's would.
    fn workspace(&self) -> Arc<dyn Workspace>;

    /// The repository: one commit, with a file `file.txt`, no remote. The same one at each call.
    async fn repository(&self) -> Repository;

    /// A path for a workspace, which is not there yet.
    fn place(&self, name: &str) -> PathBuf;

    /// Writes a file in a checkout and commits it.
    async fn commit(&self, checkout: &Path, file: &str);

    /// What `git status` lists in a checkout, a line an item: empty when it is clean.
    async fn status(&self, checkout: &Path) -> String;

    /// The branch a checkout is on.
    async fn branch_of(&self, checkout: &Path) -> String;

    /// Every branch of the repository.
    async fn branches(&self) -> Vec<String>;
}

/// Makes one `#[tokio::test]` of each function of the suite. Takes an expression that makes a fixture.
#[macro_export]
macro_rules! workspace_contract {
    ($fixture:expr) => {
        $crate::workspace_contract!(@tests $fixture;
            a_created_workspace_is_a_clean_checkout_on_its_branch
            i15_status_is_the_same_as_without
            preflight_finds_what_create_would_and_changes_nothing
            an_existing_branch_is_never_taken_over
            i01_a_failed_create_leaves_nothing
            i01_a_dropped_create_leaves_nothing_that_remove_does_not_take
            i05_uncommitted_and_untracked_work_is_kept
            i05_a_branch_with_commits_of_its_own_survives
            i06_what_is_not_the_sessions_is_untouched
            remove_can_be_repeated
            what_is_missing_is_success
            i13_twenty_at_once_from_two_processes_all_succeed
        );
    };
    (@tests $fixture:expr; $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::testing::workspace::$name(&$fixture).await;
            }
        )+
    };
}

async fn request(fixture: &impl WorkspaceFixture, number: u32) -> WorkspaceRequest {
    let session: SessionId = format!("app-{number}").parse().expect("a session id");
    WorkspaceRequest {
        repository: fixture.repository().await,
        path: fixture.place(session.as_str()),
        branch: format!("ao/{session}"),
        session,
        base: None,
        fetch_timeout: Duration::ZERO,
    }
}

/// The workspace of a request, as the record would know it.
#[must_use]
pub fn recorded(request: &WorkspaceRequest, base_commit: Option<String>) -> WorkspaceRef {
    WorkspaceRef {
        session: request.session.clone(),
        repository: Some(request.repository.clone()),
        path: request.path.clone(),
        branch: request.branch.clone(),
        base_commit,
    }
}

/// The directory went, and there was no work to save.
#[must_use]
pub fn removed(branch_deleted: bool) -> Removal {
    Removal::Removed { branch_deleted, preserved: None }
}

/// There was no directory, and there is no saved work.
#[must_use]
pub fn missing(branch_deleted: bool) -> Removal {
    Removal::Missing { branch_deleted, preserved: None }
}

async fn create(fixture: &impl WorkspaceFixture, request: &WorkspaceRequest) -> WorkspaceRef {
    let made = fixture.workspace().create(request).await.unwrap_or_else(|error| panic!("{error}"));
    recorded(request, Some(made.base_commit))
}

async fn remove(fixture: &impl WorkspaceFixture, workspace: &WorkspaceRef) -> Removal {
    fixture.workspace().remove(workspace, OnWork::Keep).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A clean checkout, on the branch that was asked for, from the repository's branch.
pub async fn a_created_workspace_is_a_clean_checkout_on_its_branch(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let made = fixture.workspace().create(&request).await.expect("it is made");
    assert_eq!(Some(made.base), request.repository.head_branch);
    assert_eq!(fixture.branch_of(&request.path).await, "ao/app-1");
    assert_eq!(fixture.status(&request.path).await, "");
    assert!(request.path.join("file.txt").is_file());
    assert!(fixture.workspace().branch_exists(&request.repository, "ao/app-1").await.expect("it can be known"));
}

/// `/.ao/` is no one's concern, in the repository and in the workspace.
pub async fn i15_status_is_the_same_as_without(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let before = fixture.status(&request.repository.path).await;
    create(fixture, &request).await;
    for checkout in [&request.path, &request.repository.path] {
        std::fs::create_dir_all(checkout.join(".ao/inbox")).expect("a directory");
        std::fs::write(checkout.join(".ao/inbox/1.md"), "text").expect("a file");
        assert_eq!(fixture.status(checkout).await, before);
    }
}

/// Preflight refuses what create would, and leaves no trace.
pub async fn preflight_finds_what_create_would_and_changes_nothing(fixture: &impl WorkspaceFixture) {
    let (workspace, request) = (fixture.workspace(), request(fixture, 1).await);
    workspace.check_tools().await.expect("the tools are there");
    workspace.preflight(&request).await.expect("it can be made");
    assert!(!request.path.exists());
    assert_eq!(fixture.branches().await, ["main"]);

    let taken = WorkspaceRequest { branch: "main".to_owned(), ..request.clone() };
    let invalid = WorkspaceRequest { branch: "a..b".to_owned(), ..request.clone() };
    let below = WorkspaceRequest { branch: "main/x".to_owned(), ..request.clone() };
    let baseless = WorkspaceRequest { base: Some("nowhere".to_owned()), ..request.clone() };
    assert!(matches!(workspace.preflight(&taken).await, Err(WorkspaceError::BranchExists { .. })));
    assert!(matches!(workspace.preflight(&invalid).await, Err(WorkspaceError::InvalidBranch { .. })));
    assert!(matches!(workspace.preflight(&below).await, Err(WorkspaceError::InvalidBranch { .. })));
    assert!(matches!(workspace.preflight(&baseless).await, Err(WorkspaceError::UnknownBase { .. })));
}

/// A branch that was there is neither used nor, afterwards, deleted.
pub async fn an_existing_branch_is_never_taken_over(fixture: &impl WorkspaceFixture) {
    let first = request(fixture, 1).await;
    create(fixture, &first).await;
    let second = WorkspaceRequest { branch: first.branch.clone(), ..request(fixture, 2).await };
    let outcome = fixture.workspace().create(&second).await;
    assert!(matches!(outcome, Err(WorkspaceError::BranchExists { .. })), "{outcome:?}");
    let removal = remove(fixture, &recorded(&second, None)).await;
    assert_eq!(removal, missing(false));
    assert_eq!(fixture.branch_of(&first.path).await, first.branch);
}

/// Neither directory nor branch.
pub async fn i01_a_failed_create_leaves_nothing(fixture: &impl WorkspaceFixture) {
    let good = request(fixture, 1).await;
    let baseless = WorkspaceRequest { base: Some("nowhere".to_owned()), ..good.clone() };
    assert!(matches!(fixture.workspace().create(&baseless).await, Err(WorkspaceError::UnknownBase { .. })));
    // The parent of the directory is a file: that cannot work, and is found late.
    let blocked = fixture.place("file");
    std::fs::create_dir_all(blocked.parent().expect("it has one")).expect("a directory");
    std::fs::write(&blocked, "").expect("a file");
    let unreachable = WorkspaceRequest { path: blocked.join("app-1"), ..good.clone() };
    fixture.workspace().create(&unreachable).await.expect_err("it cannot be made");
    assert_eq!(fixture.branches().await, ["main"]);
    assert!(!good.path.exists());
    create(fixture, &good).await;
}

/// Wherever create is cut off, remove clears up, and it can be made again.
pub async fn i01_a_dropped_create_leaves_nothing_that_remove_does_not_take(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let workspace = fixture.workspace();
    for cut_ms in (0..120).step_by(3) {
        let cut = tokio::time::timeout(Duration::from_millis(cut_ms), workspace.create(&request)).await;
        if let Ok(outcome) = cut {
            outcome.expect("nothing was in the way");
        }
        let removal =
            workspace.remove(&recorded(&request, None), OnWork::Keep).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(!matches!(removal, Removal::Kept { .. }), "cut after {cut_ms} ms: {removal:?}");
        assert!(!request.path.exists(), "cut after {cut_ms} ms");
        assert_eq!(fixture.branches().await, ["main"], "cut after {cut_ms} ms");
    }
    create(fixture, &request).await;
}

/// Changed and new files keep the workspace.
pub async fn i05_uncommitted_and_untracked_work_is_kept(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let workspace = create(fixture, &request).await;
    for file in ["file.txt", "new.txt"] {
        let path = request.path.join(file);
        let before = std::fs::read(&path).ok();
        std::fs::write(&path, "work").expect("a file");
        let removal = remove(fixture, &workspace).await;
        assert!(matches!(&removal, Removal::Kept { reason } if reason == "1 uncommitted change"), "{removal:?}");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"work");
        match before {
            Some(before) => std::fs::write(&path, before).expect("a file"),
            None => std::fs::remove_file(&path).expect("it goes"),
        }
    }
    assert_eq!(remove(fixture, &workspace).await, removed(true));
    assert_eq!(fixture.branches().await, ["main"]);
}

/// The directory goes, the branch with the commits stays.
pub async fn i05_a_branch_with_commits_of_its_own_survives(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let workspace = create(fixture, &request).await;
    fixture.commit(&request.path, "new.txt").await;
    for base_commit in [workspace.base_commit.clone(), None] {
        let workspace = WorkspaceRef { base_commit, ..workspace.clone() };
        let removal = remove(fixture, &workspace).await;
        assert!(
            matches!(
                removal,
                Removal::Removed { branch_deleted: false, .. } | Removal::Missing { branch_deleted: false, .. }
            ),
            "{removal:?}"
        );
    }
    assert!(!request.path.exists());
    assert_eq!(fixture.branches().await, ["ao/app-1", "main"]);
}

/// Directories of others, and other sessions' workspaces, are refused.
pub async fn i06_what_is_not_the_sessions_is_untouched(fixture: &impl WorkspaceFixture) {
    let (mine, theirs) = (request(fixture, 1).await, request(fixture, 2).await);
    std::fs::create_dir_all(mine.path.join("precious")).expect("a directory");
    for outcome in [
        fixture.workspace().remove(&recorded(&mine, None), OnWork::Keep).await.map(drop),
        fixture.workspace().create(&mine).await.map(drop),
        fixture.workspace().preflight(&mine).await,
    ] {
        assert!(matches!(outcome, Err(WorkspaceError::NotOurs { .. })), "{outcome:?}");
    }
    assert!(mine.path.join("precious").is_dir());
    create(fixture, &theirs).await;
    let aimed = WorkspaceRef { path: theirs.path.clone(), ..recorded(&mine, None) };
    let outcome = fixture.workspace().remove(&aimed, OnWork::Keep).await;
    assert!(matches!(outcome, Err(WorkspaceError::NotOurs { .. })), "{outcome:?}");
    assert_eq!(fixture.status(&theirs.path).await, "");
}

/// The second removal finds nothing and is content; the place can be used again.
pub async fn remove_can_be_repeated(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    for _ in 0..2 {
        let workspace = create(fixture, &request).await;
        assert_eq!(remove(fixture, &workspace).await, removed(true));
        assert_eq!(remove(fixture, &workspace).await, missing(false));
    }
}

/// A directory deleted by hand, a repository that is gone, a workspace that never was.
pub async fn what_is_missing_is_success(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    assert_eq!(remove(fixture, &recorded(&request, None)).await, missing(false));
    let workspace = create(fixture, &request).await;
    let orphan = WorkspaceRef { repository: None, ..workspace.clone() };
    assert!(matches!(remove(fixture, &orphan).await, Removal::Kept { .. }));
    std::fs::remove_dir_all(&request.path).expect("it goes");
    assert_eq!(remove(fixture, &orphan).await, missing(false));
    assert_eq!(remove(fixture, &workspace).await, missing(true));
    create(fixture, &request).await;
}

/// Two instances that share nothing, ten workspaces each, at once; then all are removed at once.
pub async fn i13_twenty_at_once_from_two_processes_all_succeed(fixture: &impl WorkspaceFixture) {
    let adapters = [fixture.workspace(), fixture.workspace()];
    let mut making = JoinSet::new();
    for (number, workspace) in (1..=20).zip(adapters.iter().cycle()) {
        let (workspace, request) = (Arc::clone(workspace), request(fixture, number).await);
        making.spawn(async move { (workspace.create(&request).await, request) });
    }
    let mut removing = JoinSet::new();
    for (outcome, request) in making.join_all().await {
        let made = outcome.unwrap_or_else(|error| panic!("{}: {error}", request.session));
        assert_eq!(fixture.branch_of(&request.path).await, request.branch);
        assert_eq!(fixture.status(&request.path).await, "");
        let (workspace, recorded) = (Arc::clone(&adapters[0]), recorded(&request, Some(made.base_commit)));
        removing.spawn(async move { workspace.remove(&recorded, OnWork::Keep).await });
    }
    for outcome in removing.join_all().await {
        assert!(matches!(outcome, Ok(Removal::Removed { branch_deleted: true, .. })), "{outcome:?}");
    }
    assert_eq!(fixture.branches().await, ["main"]);
}
