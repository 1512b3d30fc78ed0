//! Making workspaces.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{WorkspaceFixture, create, missing, recorded, remove, request};
use crate::ports::workspace::{OnWork, Removal, WorkspaceError, WorkspaceRequest};

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
