//! Giving ended sessions their workspaces again.

use std::time::Duration;

use super::{WorkspaceFixture, again, create, recorded, remove, removed, reopen, request, save};
use crate::ports::workspace::{OnWork, ToMake, WorkspaceError, WorkspaceRef};

/// It is used, with all that is in it.
pub async fn a_workspace_that_is_there_is_reopened_as_it_is(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let workspace = create(fixture, &request).await;
    std::fs::write(request.path.join("file.txt"), "changed").expect("a file");
    let before = fixture.status(&request.path).await;
    for _ in 0..2 {
        let reopened = reopen(fixture, &workspace).await;
        assert!(!reopened.made && reopened.notes.is_empty(), "{reopened:?}");
        assert_eq!(reopened.branch.as_ref(), Some(&request.branch));
        assert_eq!(fixture.status(&request.path).await, before);
    }
}

/// With its commits; where it had none, and the branch went with it, on that branch made again.
pub async fn a_removed_workspace_is_made_again_on_its_branch(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let workspace = create(fixture, &request).await;
    let to_make = async || fixture.workspace().to_make(&again(&workspace)).await.ok();
    let has_branch = async || fixture.workspace().has_branch_of(&again(&workspace)).await.ok();
    assert_eq!((to_make().await, has_branch().await), (Some(ToMake::default()), Some(true)));
    assert_eq!(remove(fixture, &workspace).await, removed(true));
    assert_eq!(has_branch().await, Some(false));
    assert_eq!(to_make().await, Some(ToMake { workspace: true, branch: Some(request.branch.clone()) }));
    let reopened = reopen(fixture, &workspace).await;
    assert!(reopened.made && reopened.branch.as_ref() == Some(&request.branch), "{reopened:?}");
    assert_eq!(fixture.branch_of(&request.path).await, request.branch);
    assert_eq!(fixture.status(&request.path).await, "");

    fixture.commit(&request.path, "new.txt").await;
    assert_eq!(remove(fixture, &workspace).await, removed(false));
    assert_eq!(to_make().await, Some(ToMake { workspace: true, branch: None }));
    let reopened = reopen(fixture, &workspace).await;
    assert!(reopened.made && reopened.notes.is_empty(), "{reopened:?}");
    assert!(request.path.join("new.txt").is_file());
    // By hand.
    std::fs::remove_dir_all(&request.path).expect("it goes");
    assert!(reopen(fixture, &workspace).await.made);
    assert!(request.path.join("new.txt").is_file());
    assert_eq!(remove(fixture, &workspace).await, removed(false));
    assert_eq!(fixture.branches().await, ["ao/app-1", "main"]);
}

/// Wherever it is cut off, the work comes back with the next, and no removal in between takes it.
pub async fn i05_a_dropped_reopen_loses_nothing(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let workspace = create(fixture, &request).await;
    std::fs::write(request.path.join("file.txt"), "changed").expect("a file");
    std::fs::write(request.path.join("new.txt"), "new").expect("a file");
    let before = fixture.status(&request.path).await;
    for cut_ms in (0..200).step_by(8) {
        save(fixture, &workspace).await;
        let adapter = fixture.workspace();
        let request_again = again(&workspace);
        let _ = tokio::time::timeout(Duration::from_millis(cut_ms), adapter.reopen(&request_again)).await;
        // Half of the time somebody gives up in between.
        if cut_ms % 16 == 0 {
            adapter.remove(&workspace, OnWork::Preserve).await.unwrap_or_else(|error| panic!("{error}"));
        }
        adapter.reopen(&request_again).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(fixture.status(&request.path).await, before, "cut after {cut_ms} ms");
        assert_eq!(std::fs::read(request.path.join("file.txt")).expect("it is there"), b"changed");
    }
}

/// Directories of others, other sessions' workspaces, and a branch that somebody is on.
pub async fn i06_reopen_takes_nothing_that_is_not_the_sessions(fixture: &impl WorkspaceFixture) {
    let (mine, theirs) = (request(fixture, 1).await, request(fixture, 2).await);
    let mine = create(fixture, &mine).await;
    assert_eq!(remove(fixture, &mine).await, removed(true));
    std::fs::create_dir_all(mine.path.join("precious")).expect("a directory");
    let outcome = fixture.workspace().reopen(&again(&mine)).await;
    assert!(matches!(outcome, Err(WorkspaceError::NotOurs { .. })), "{outcome:?}");
    std::fs::remove_dir(mine.path.join("precious")).expect("it is there");
    std::fs::remove_dir(&mine.path).expect("it is there");

    let theirs = create(fixture, &theirs).await;
    let aimed = WorkspaceRef { path: theirs.path.clone(), ..mine.clone() };
    let outcome = fixture.workspace().reopen(&again(&aimed)).await;
    assert!(matches!(outcome, Err(WorkspaceError::NotOurs { .. })), "{outcome:?}");

    let taken = WorkspaceRef { branch: theirs.branch.clone(), ..mine.clone() };
    let outcome = fixture.workspace().reopen(&again(&taken)).await;
    // Whichever is noticed first: that somebody is on it, or that it was made for another session.
    let refused = matches!(outcome, Err(WorkspaceError::BranchInUse { .. } | WorkspaceError::Failed { .. }));
    assert!(refused, "{outcome:?}");
    assert!(!mine.path.exists());
    assert_eq!(fixture.branches().await, ["ao/app-2", "main"]);

    let never = WorkspaceRef { branch: "ao/app-3".to_owned(), ..recorded(&request(fixture, 3).await, None) };
    let outcome = fixture.workspace().reopen(&again(&never)).await;
    assert!(matches!(outcome, Err(WorkspaceError::Failed { .. })), "{outcome:?}");
    assert_eq!(fixture.branches().await, ["ao/app-2", "main"]);
}
