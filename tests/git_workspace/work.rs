//! The many forms of work: none of them is ever destroyed.

use std::path::Path;
use std::time::Duration;

use ao::ports::workspace::{Head, OnWork, Removal, WorkspaceError, WorkspaceRef, WorkspaceRequest};
use ao::testing::workspace::{WorkspaceFixture, again, recorded, removed};

use super::support::{Place, removed_on, text};

#[tokio::test]
async fn i05_an_unfinished_merge_or_rebase_is_kept() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    place.scratch().commit(&path, "file.txt", "theirs\n").await;
    place.scratch().commit(&workspace.path, "file.txt", "ours\n").await;
    for (verb, what) in [("merge", "a merge"), ("rebase", "a rebase")] {
        assert!(!place.scratch().try_git(&workspace.path, &[verb, "main"]).await.status.success());
        place.assert_kept(&workspace, what).await;
        place.git(&workspace.path, &[verb, "--abort"]).await;
    }
}

#[tokio::test]
async fn i05_commits_on_no_branch_are_kept() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    place.git(&workspace.path, &["checkout", "-q", "--detach"]).await;
    let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
    place.assert_kept(&workspace, "on no branch").await;
    place.git(&workspace.path, &["branch", "saved"]).await;
    assert_eq!(place.remove(&workspace).await, removed_on(Head::Commit(commit), true));
}

#[tokio::test]
async fn i05_a_renamed_branch_survives_and_so_does_one_that_took_its_name() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    place.git(&workspace.path, &["branch", "-m", "feature"]).await;
    place.git(&path, &["branch", "ao/app-1"]).await;
    assert_eq!(place.remove(&workspace).await, removed_on(Head::Branch("feature".to_owned()), false));
    let branches = place.git(&path, &["for-each-ref", "--format=%(refname:short)", "refs/heads/"]).await;
    assert_eq!(branches.lines().collect::<Vec<_>>(), ["ao/app-1", "feature", "main"]);
}

#[tokio::test]
async fn i05_an_empty_branch_in_use_elsewhere_survives() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    place.git(&workspace.path, &["checkout", "-q", "--detach"]).await;
    place.git(&path, &["checkout", "-q", "ao/app-1"]).await;
    let commit = place.git(&workspace.path, &["rev-parse", "HEAD"]).await;
    assert_eq!(place.remove(&workspace).await, removed_on(Head::Commit(commit), false));
    assert_eq!(place.fixture.branch_of(&path).await, "ao/app-1");
}

#[tokio::test]
async fn i05_a_branch_with_commits_survives_also_when_pushed_or_merged() {
    let place = Place::new();
    let (_, clone) = place.clone().await;
    let (workspace, _) = place.create(&clone).await;
    let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
    place.git(&workspace.path, &["push", "-q", "-u", "origin", "ao/app-1"]).await;
    place.git(&clone, &["merge", "-q", "--ff-only", "ao/app-1"]).await;
    assert_eq!(place.remove(&workspace).await, removed(false));
    assert_eq!(place.git(&clone, &["rev-parse", "ao/app-1"]).await, commit);
}

#[tokio::test]
async fn an_empty_branch_goes_with_its_configuration() {
    let place = Place::new();
    let (_, clone) = place.clone().await;
    let (workspace, _) = place.create(&clone).await;
    place.git(&workspace.path, &["push", "-q", "-u", "origin", "ao/app-1"]).await;
    assert_ne!(place.git(&clone, &["config", "--get-regexp", "^branch.ao/"]).await, "");
    assert_eq!(place.remove(&workspace).await, removed(true));
    assert_eq!(place.scratch().try_git(&clone, &["config", "--get-regexp", "^branch.ao/"]).await.text(), "");
}

#[tokio::test]
async fn a_configuration_that_somebody_else_changes_just_then_is_waited_for() {
    let place = Place::new();
    let (_, clone) = place.clone().await;
    let (workspace, _) = place.create(&clone).await;
    place.git(&workspace.path, &["push", "-q", "-u", "origin", "ao/app-1"]).await;
    // One whose name goes on where the other's ends.
    place.git(&clone, &["config", "branch.ao/app-1.2.remote", "origin"]).await;
    let lock = clone.join(".git/config.lock");
    std::fs::write(&lock, "").unwrap();
    let release = async {
        while place.scratch().try_git(&clone, &["rev-parse", "-q", "--verify", "ao/app-1"]).await.status.success() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Time enough to meet the lock; whoever comes later finds none, and that is as well.
        tokio::time::sleep(Duration::from_millis(500)).await;
        std::fs::remove_file(&lock).unwrap();
    };
    let (removal, ()) = tokio::join!(place.remove(&workspace), release);
    assert_eq!(removal, removed(true));
    let left = place.git(&clone, &["config", "--name-only", "--get-regexp", "^branch.ao/"]).await;
    assert_eq!(left, "branch.ao/app-1.2.remote");
}

/// A second session, `app-2`, started from what is named.
async fn second(place: &Place, repository: &Path, base: &str) -> WorkspaceRef {
    let request = WorkspaceRequest {
        session: "app-2".parse().unwrap(),
        branch: "ao/app-2".to_owned(),
        path: place.fixture.place("app-2"),
        base: Some(base.to_owned()),
        ..place.request(repository).await
    };
    let made = place.try_create(&request).await.unwrap_or_else(|error| panic!("{error}"));
    recorded(&request, Some(made.base_commit))
}

async fn holders(place: &Place, repository: &Path, commit: &str) -> String {
    place.git(repository, &["for-each-ref", "--format=%(refname:short)", "--contains", commit, "refs/heads/"]).await
}

#[tokio::test]
async fn i05_commits_that_two_sessions_share_survive_both_in_either_order() {
    for first_goes_first in [true, false] {
        let place = Place::new();
        let path = place.scratch().init("app").await;
        let (first, _) = place.create(&path).await;
        let commit = place.scratch().commit(&first.path, "new.txt", "work").await;
        let second = second(&place, &path, "ao/app-1").await;
        let mut order = [(&first, false), (&second, true)];
        if !first_goes_first {
            order.reverse();
        }
        for (workspace, branch_deleted) in order {
            assert_eq!(place.remove(workspace).await, removed(branch_deleted), "{}", workspace.session);
        }
        assert_eq!(holders(&place, &path, &commit).await, "ao/app-1");
    }
}

#[tokio::test]
async fn i05_commits_that_were_merged_into_another_session_survive() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (first, _) = place.create(&path).await;
    let second = second(&place, &path, "main").await;
    let commit = place.scratch().commit(&first.path, "new.txt", "work").await;
    place.git(&second.path, &["merge", "-q", "--ff-only", "ao/app-1"]).await;
    for workspace in [&first, &second] {
        assert_eq!(place.remove(workspace).await, removed(false));
    }
    assert_eq!(holders(&place, &path, &commit).await.lines().collect::<Vec<_>>(), ["ao/app-1", "ao/app-2"]);
}

#[tokio::test]
async fn i05_the_last_branch_that_holds_what_it_started_from_survives() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (first, _) = place.create(&path).await;
    place.git(&first.path, &["checkout", "-q", "--detach"]).await;
    let commit = place.scratch().commit(&first.path, "new.txt", "work").await;
    let second = second(&place, &path, &commit).await;
    // The commit is on a branch, so the checkout may go, and then that branch is the only one.
    assert_eq!(place.remove(&first).await, removed_on(Head::Commit(commit.clone()), true));
    assert_eq!(place.remove(&second).await, removed(false));
    assert_eq!(holders(&place, &path, &commit).await, "ao/app-2");
}

#[tokio::test]
async fn i05_repositories_inside_are_looked_through_also_where_ignored() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    place.scratch().commit(&path, ".gitignore", "vendor/\n").await;
    let (workspace, _) = place.create(&path).await;
    let inner = workspace.path.join("vendor/größe");
    std::fs::create_dir_all(&inner).unwrap();
    place.git(&inner, &["init", "-q"]).await;
    std::fs::write(inner.join("a.txt"), "work").unwrap();
    place.assert_kept(&workspace, "vendor/größe").await;
    place.scratch().commit(&inner, "a.txt", "work").await;
    place.assert_kept(&workspace, "on no remote").await;
    std::fs::remove_dir_all(&inner).unwrap();
    place.git(&path, &["clone", "-q", ".", text(&inner)]).await;
    assert_eq!(place.remove(&workspace).await, removed(true));
}

#[tokio::test]
async fn i05_a_bare_repository_inside_is_looked_through_also_where_ignored() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    place.scratch().commit(&path, ".gitignore", "vendor/\n").await;
    let (workspace, _) = place.create(&path).await;
    let inner = workspace.path.join("vendor/store.git");
    std::fs::create_dir_all(&inner).unwrap();
    place.git(&inner, &["init", "-q", "--bare"]).await;
    place.git(&path, &["push", "-q", text(&inner), "HEAD:refs/heads/main"]).await;
    place.assert_kept(&workspace, "vendor/store.git").await;
    // As package managers cache what others published.
    place.git(&inner, &["update-ref", "refs/remotes/origin/main", "refs/heads/main"]).await;
    assert_eq!(place.remove(&workspace).await, removed(true));
}

#[tokio::test]
async fn i05_commits_that_only_a_reference_of_the_worktree_holds_are_kept() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
    place.git(&workspace.path, &["update-ref", "refs/worktree/draft", "HEAD"]).await;
    place.git(&workspace.path, &["reset", "-q", "--hard", "HEAD~"]).await;
    place.assert_kept(&workspace, "refs/worktree/draft").await;
    assert!(matches!(place.save(&workspace).await, Removal::Kept { .. }));
    // Nor does deleting the directory make it less.
    std::fs::remove_dir_all(&workspace.path).unwrap();
    assert!(matches!(place.remove(&workspace).await, Removal::Kept { .. }));
    let reopened = place.fixture.workspace().reopen(&again(&workspace)).await;
    assert!(matches!(&reopened, Err(error) if error.to_string().contains("refs/worktree/draft")), "{reopened:?}");
    place.git(&path, &["branch", "draft", &commit]).await;
    place.reopen(&workspace).await;
    assert_eq!(place.remove(&workspace).await, removed(true));
}

#[tokio::test]
async fn i05_changes_hidden_from_status_are_kept() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    place.git(&workspace.path, &["update-index", "--assume-unchanged", "file.txt"]).await;
    std::fs::write(workspace.path.join("file.txt"), "work").unwrap();
    place.assert_kept(&workspace, "assume-unchanged").await;
    place.git(&workspace.path, &["update-index", "--no-assume-unchanged", "file.txt"]).await;
    place.git(&workspace.path, &["config", "status.showUntrackedFiles", "no"]).await;
    place.git(&workspace.path, &["checkout", "-q", "--", "."]).await;
    std::fs::write(workspace.path.join("new.txt"), "work").unwrap();
    place.assert_kept(&workspace, "1 uncommitted change").await;
}

#[tokio::test]
async fn ignored_files_are_no_work() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    place.scratch().commit(&path, ".gitignore", "*.log\n").await;
    let (workspace, _) = place.create(&path).await;
    std::fs::write(workspace.path.join("a.log"), "").unwrap();
    assert_eq!(place.remove(&workspace).await, removed(true));
}

#[tokio::test]
async fn i05_files_that_git_was_told_to_skip_are_kept_where_they_are_there() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    place.scratch().commit(&path, "größe.txt", "one").await;
    let (workspace, _) = place.create(&path).await;
    for (more, file) in [(&[][..], "file.txt"), (&["--assume-unchanged"], "größe.txt")] {
        let file = workspace.path.join(file);
        let before = std::fs::read(&file).unwrap();
        place.git(&workspace.path, &[&["update-index", "--skip-worktree"], more, &["--", text(&file)]].concat()).await;
        std::fs::write(&file, "work").unwrap();
        assert_eq!(place.fixture.status(&workspace.path).await, "");
        place.assert_kept(&workspace, "so its changes cannot be seen").await;
        std::fs::write(&file, before).unwrap();
        let undo = ["update-index", "--no-skip-worktree", "--no-assume-unchanged", "--", text(&file)];
        place.git(&workspace.path, &undo[..]).await;
    }
    place.git(&workspace.path, &["update-index", "--skip-worktree", "file.txt"]).await;
    std::fs::remove_file(workspace.path.join("file.txt")).unwrap();
    assert_eq!(place.remove(&workspace).await, removed(true));
}

#[tokio::test]
async fn i05_what_cannot_be_found_out_is_kept() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    std::fs::write(path.join(".git/worktrees/app-1/index"), "nonsense").unwrap();
    place.assert_kept(&workspace, "cannot be found out").await;
}

#[tokio::test]
async fn i05_a_repository_put_in_the_worktrees_place_is_untouched() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    std::fs::remove_file(workspace.path.join(".git")).unwrap();
    place.git(&workspace.path, &["init", "-q"]).await;
    let outcome = place.fixture.workspace().remove(&workspace, OnWork::Keep).await;
    assert!(matches!(outcome, Err(WorkspaceError::NotOurs { .. })), "{outcome:?}");
    assert!(workspace.path.join(".git").is_dir());
}
