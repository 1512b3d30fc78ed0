//! What became of branch, directory and repository since: each is found again, or the refusal says why.

use std::path::PathBuf;

use ao::ports::workspace::{Head, OnWork, Removal, WorkspaceError, WorkspaceRef};
use ao::testing::workspace::{WorkspaceFixture, again, recorded, removed};

use super::support::{Place, removed_on, script, text};

async fn place() -> (Place, PathBuf, WorkspaceRef) {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    (place, path, workspace)
}

#[tokio::test]
async fn a_branch_the_agent_renamed_is_found_under_its_new_name() {
    let (place, path, workspace) = place().await;
    place.git(&workspace.path, &["branch", "-m", "feature"]).await;
    let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
    assert_eq!(place.remove(&workspace).await, removed_on(Head::Branch("feature".to_owned()), false));
    let listed = place.fixture.workspace();
    let repository = workspace.repository.as_ref().unwrap();
    assert_eq!(listed.owned(repository, &place.scratch().path("worktrees")).await.unwrap(), []);
    for how in ["by its mark", "there", "by the entry", "by the saved work"] {
        if how == "by the entry" {
            std::fs::remove_dir_all(&workspace.path).unwrap();
        }
        if how == "by the saved work" {
            std::fs::write(workspace.path.join("more.txt"), "").unwrap();
            place.save(&workspace).await;
            // Even without the mark: reflogs expire.
            place.git(&path, &["reflog", "expire", "--expire=all", "feature"]).await;
        }
        let reopened = place.reopen(&workspace).await;
        assert_eq!((reopened.branch.as_deref(), reopened.made), (Some("feature"), how != "there"), "{how}");
        assert_eq!(place.fixture.branch_of(&workspace.path).await, "feature", "{how}");
        assert_eq!(place.git(&workspace.path, &["rev-parse", "HEAD"]).await, commit);
    }
    assert_eq!(place.fixture.status(&workspace.path).await, "?? more.txt");
}

#[tokio::test]
async fn i05_a_branch_that_is_gone_is_made_again_where_the_work_was_and_then_survives() {
    let (place, path, workspace) = place().await;
    let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
    std::fs::write(workspace.path.join("more.txt"), "").unwrap();
    place.save(&workspace).await;
    place.git(&path, &["branch", "-q", "-D", "ao/app-1"]).await;
    let reopened = place.reopen(&workspace).await;
    assert!(reopened.notes.iter().any(|note| note.contains("made again")), "{reopened:?}");
    assert_eq!(place.git(&path, &["rev-parse", "ao/app-1"]).await, commit);
    assert_eq!(place.fixture.status(&workspace.path).await, "?? more.txt");
    // Saved work holds the commit too; but that is not for ever.
    let removal = place.save(&workspace).await;
    assert!(matches!(removal, Removal::Removed { branch_deleted: false, preserved: Some(_), .. }), "{removal:?}");
    place.reopen(&workspace).await;
    std::fs::remove_file(workspace.path.join("more.txt")).unwrap();
    assert_eq!(place.remove(&workspace).await, removed(false));
    assert_eq!(place.git(&path, &["rev-parse", "ao/app-1"]).await, commit);
}

/// The agent that a restore started did this, and then failed.
#[tokio::test]
async fn i05_a_restore_that_is_taken_back_loses_no_saved_work_whatever_the_agent_did_to_it() {
    for (what, is_new) in [("nothing", false), ("discard", false), ("change", true), ("delete", false)] {
        let (place, path, workspace) = place().await;
        let file = workspace.path.join("file.txt");
        std::fs::write(&file, "draft").unwrap();
        let Removal::Removed { preserved: Some(draft), .. } = place.save(&workspace).await else { panic!("{what}") };
        let (made, _) = place.restore(&workspace).await;
        match what {
            "discard" => drop(place.git(&workspace.path, &["reset", "-q", "--hard"]).await),
            "change" => std::fs::write(&file, "more").unwrap(),
            "delete" => std::fs::remove_dir_all(&workspace.path).unwrap(),
            _ => {}
        }
        let assessed = place.fixture.workspace().assess(&made, OnWork::PreserveAll).await.unwrap();
        let removal = place.take_back(&made).await;
        let (Removal::Removed { preserved, .. } | Removal::Missing { preserved, .. }) = &removal else {
            panic!("{what}: {removal:?}")
        };
        assert_eq!(preserved.as_ref() != Some(&draft), is_new, "{what}: {removal:?}");
        if matches!(what, "discard" | "delete") {
            assert_eq!(assessed, removal, "{what}");
        }
        assert!(place.fixture.holds(preserved.as_ref().unwrap(), &draft.commit).await, "{what}");
        // What comes back next is the last, and the first is told of.
        let reopened = place.reopen(&workspace).await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), if is_new { "more" } else { "draft" }, "{what}");
        assert_eq!(reopened.notes.iter().any(|note| note.contains(&draft.commit)), is_new, "{what}: {reopened:?}");
        assert!(path.exists());
    }
}

/// It could not be taken back, and is killed later.
#[tokio::test]
async fn i05_what_a_restore_that_was_kept_had_put_back_is_held_also_by_a_later_removal() {
    let (place, _, workspace) = place().await;
    std::fs::write(workspace.path.join("file.txt"), "draft").unwrap();
    let Removal::Removed { preserved: Some(draft), .. } = place.save(&workspace).await else { panic!() };
    let (made, _) = place.restore(&workspace).await;
    place.git(&workspace.path, &["update-index", "--assume-unchanged", "file.txt"]).await;
    let kept = place.take_back(&made).await;
    assert!(matches!(kept, Removal::Kept { .. }), "{kept:?}");
    place.git(&workspace.path, &["update-index", "--no-assume-unchanged", "file.txt"]).await;
    place.git(&workspace.path, &["reset", "-q", "--hard"]).await;
    let removal = place.remove(&workspace).await;
    assert!(matches!(&removal, Removal::Removed { preserved: Some(held), .. } if *held == draft), "{removal:?}");
}

#[tokio::test]
async fn i05_work_is_not_put_onto_a_branch_that_moved_on() {
    let (place, path, workspace) = place().await;
    std::fs::write(workspace.path.join("file.txt"), "work").unwrap();
    let Removal::Removed { preserved: Some(work), .. } = place.save(&workspace).await else { panic!("it is saved") };
    place.scratch().commit(&path, "theirs.txt", "").await;
    place.git(&path, &["branch", "ao/app-1"]).await;
    let reopened = place.reopen(&workspace).await;
    assert!(reopened.notes.iter().any(|note| note.contains("git stash apply")), "{reopened:?}");
    assert_eq!(place.fixture.status(&workspace.path).await, "");
    place.git(&workspace.path, &["stash", "apply", "-q", "--index", &work.commit]).await;
    assert_eq!(std::fs::read(workspace.path.join("file.txt")).unwrap(), b"work");
}

#[tokio::test]
async fn a_branch_that_somebody_is_on_is_refused_and_everything_stays() {
    let (place, path, workspace) = place().await;
    place.scratch().commit(&workspace.path, "new.txt", "").await;
    std::fs::write(workspace.path.join("more.txt"), "").unwrap();
    let Removal::Removed { preserved: Some(work), .. } = place.save(&workspace).await else { panic!("it is saved") };
    place.git(&path, &["checkout", "-q", "ao/app-1"]).await;
    let outcome = place.fixture.workspace().reopen(&again(&workspace)).await;
    let Err(WorkspaceError::BranchInUse { branch, checkout }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((branch.as_str(), checkout), ("ao/app-1", path.clone()));
    assert!(!workspace.path.exists());
    assert_eq!(place.git(&path, &["rev-parse", &work.reference]).await, work.commit);
    place.git(&path, &["checkout", "-q", "main"]).await;
    place.reopen(&workspace).await;
    assert_eq!(place.fixture.status(&workspace.path).await, "?? more.txt");
}

#[tokio::test]
async fn i05_a_reopen_that_fails_leaves_everything_as_it_was() {
    let (place, path, workspace) = place().await;
    place.scratch().commit(&workspace.path, ".gitattributes", "*.bin filter=late\n").await;
    std::fs::write(workspace.path.join("a.bin"), "work").unwrap();
    let Removal::Removed { preserved: Some(work), .. } = place.save(&workspace).await else { panic!("it is saved") };
    place.git(&path, &["config", "filter.late.smudge", "ao-no-such-program"]).await;
    place.git(&path, &["config", "filter.late.required", "true"]).await;
    place.git(&path, &["branch", "-q", "-D", "ao/app-1"]).await;
    let outcome = place.fixture.workspace().reopen(&again(&workspace)).await;
    let Err(WorkspaceError::Failed { cause, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(place.fixture.branches().await, ["main"]);
    assert!(cause.contains("saved work cannot be put back") && !cause.contains("This is left"), "{cause}");
    assert!(!workspace.path.exists() && !path.join(".git/worktrees/app-1").exists());
    assert_eq!(place.git(&path, &["rev-parse", &work.reference]).await, work.commit);
    place.git(&path, &["config", "--unset", "filter.late.smudge"]).await;
    place.git(&path, &["config", "--unset", "filter.late.required"]).await;
    place.reopen(&workspace).await;
    assert_eq!(std::fs::read(workspace.path.join("a.bin")).unwrap(), b"work");
}

/// Makes checkouts of the branch fail, or succeed again.
async fn break_checkouts(place: &Place, repository: &std::path::Path, broken: bool) {
    let change = if broken { "--add" } else { "--unset" };
    for (name, value) in [("filter.late.smudge", "ao-no-such-program"), ("filter.late.required", "true")] {
        let args = ["config", change, name, value];
        place.git(repository, &args[..if broken { 4 } else { 3 }]).await;
    }
}

#[tokio::test]
async fn i05_what_a_directory_deleted_by_hand_was_on_outlives_a_reopen_that_fails() {
    for on_branch in [true, false] {
        let place = Place::new();
        let path = place.scratch().init("app").await;
        place.scratch().commit(&path, ".gitattributes", "*.bin filter=late\n").await;
        let commit = place.scratch().commit(&path, "a.bin", "").await;
        let (workspace, _) = place.create(&path).await;
        let args =
            ["checkout", "-q", if on_branch { "-b" } else { "--detach" }, if on_branch { "side" } else { "main" }];
        place.git(&workspace.path, &args).await;
        let commit = if on_branch { place.scratch().commit(&workspace.path, "new.txt", "").await } else { commit };
        std::fs::remove_dir_all(&workspace.path).unwrap();
        break_checkouts(&place, &path, true).await;
        let outcome = place.fixture.workspace().reopen(&again(&workspace)).await;
        assert!(matches!(outcome, Err(WorkspaceError::Failed { .. })), "{outcome:?}");
        assert!(!path.join(".git/worktrees/app-1").exists());
        break_checkouts(&place, &path, false).await;
        assert_eq!(place.reopen(&workspace).await.branch.as_deref(), on_branch.then_some("side"));
        assert_eq!(place.git(&workspace.path, &["rev-parse", "HEAD"]).await, commit);
    }
}

/// The restore was given up before it came to the workspace.
#[tokio::test]
async fn i05_a_restore_that_is_taken_back_tells_what_a_directory_deleted_by_hand_was_on() {
    let (place, _, workspace) = place().await;
    place.git(&workspace.path, &["checkout", "-q", "-b", "side"]).await;
    let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
    std::fs::remove_dir_all(&workspace.path).unwrap();
    let assessed = place.fixture.workspace().assess(&workspace, OnWork::PreserveAll).await.unwrap();
    assert_eq!(place.take_back(&workspace).await, assessed);
    assert_eq!(place.reopen(&workspace).await.branch.as_deref(), Some("side"));
    assert_eq!(place.git(&workspace.path, &["rev-parse", "HEAD"]).await, commit);
}

/// The agent of a restore failed, on the session's own branch: the one it was on before is gone.
#[tokio::test]
async fn i05_a_restore_that_is_taken_back_lets_go_of_nothing_that_the_removal_before_it_told() {
    let (place, path, workspace) = place().await;
    place.git(&workspace.path, &["checkout", "-q", "-b", "own"]).await;
    let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
    place.remove(&workspace).await;
    place.git(&path, &["branch", "-q", "-D", "own"]).await;
    let left = Some(Head::Branch("own".to_owned()));
    for is_new in [false, true] {
        let (made, reopened) = place.restore(&workspace).await;
        assert_eq!(reopened.branch.as_deref(), Some("ao/app-1"));
        if is_new {
            place.git(&workspace.path, &["checkout", "-q", "-b", "later"]).await;
            std::fs::write(workspace.path.join("more.txt"), "").unwrap();
        }
        let assessed = place.fixture.workspace().assess(&made, OnWork::PreserveAll).await.unwrap();
        let removal = place.take_back(&made).await;
        let Removal::Removed { left: now, .. } = &removal else { panic!("{removal:?}") };
        // Where work was saved, what that was on goes with it.
        let expected = if is_new { Some(Head::Branch("later".to_owned())) } else { left.clone() };
        assert_eq!(*now, expected, "{removal:?}");
        assert!(matches!(&assessed, Removal::Removed { left, .. } if *left == expected), "{assessed:?}");
        place.git(&path, &["gc", "-q", "--prune=now"]).await;
        place.git(&path, &["reflog", "expire", "--expire=all", "--all"]).await;
        place.git(&path, &["cat-file", "-e", &commit]).await;
    }
    assert_eq!(place.reopen(&workspace).await.branch.as_deref(), Some("later"));
    assert_eq!(place.fixture.status(&workspace.path).await, "?? more.txt");
}

/// The agent of a restore failed, on a branch that the restore had made again.
#[tokio::test]
async fn i05_a_restore_that_is_taken_back_takes_the_branch_away_that_it_made() {
    let uses: [&[&str]; 3] = [&[], &["commit"], &["commit", "reset"]];
    for (name, uses) in ["own", "ao/app-1"].into_iter().flat_map(|name| uses.map(|uses| (name, uses))) {
        let (place, path, workspace) = place().await;
        if name == "own" {
            place.git(&workspace.path, &["checkout", "-q", "-b", "own"]).await;
        }
        let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
        std::fs::write(workspace.path.join("more.txt"), "").unwrap();
        place.save(&workspace).await;
        if name == "own" {
            place.git(&path, &["branch", "-q", "ao/app-1"]).await;
        }
        place.git(&path, &["branch", "-q", "-D", name]).await;
        let before = place.fixture.branches().await;
        let (made, reopened) = place.restore(&workspace).await;
        assert_eq!((reopened.branch.as_deref(), made.made_branch.as_deref()), (Some(name), Some(name)));
        if uses.contains(&"commit") {
            place.scratch().commit(&workspace.path, "used.txt", "").await;
        }
        if uses.contains(&"reset") {
            // Its reflog alone holds what was committed.
            place.git(&workspace.path, &["reset", "-q", "--hard", &commit]).await;
        }
        place.take_back(&made).await;
        assert_eq!(place.fixture.branches().await == before, uses.is_empty(), "{name} {uses:?}");
        if uses.is_empty() {
            assert_eq!(place.reopen(&workspace).await.branch.as_deref(), Some(name));
            assert_eq!(place.git(&workspace.path, &["rev-parse", "HEAD"]).await, commit);
            assert_eq!(place.fixture.status(&workspace.path).await, "?? more.txt");
        }
    }
}

#[tokio::test]
async fn i05_a_restore_that_is_taken_back_leaves_a_branch_that_an_earlier_one_made() {
    let (place, path, workspace) = place().await;
    place.git(&workspace.path, &["checkout", "-q", "-b", "own"]).await;
    place.scratch().commit(&workspace.path, "new.txt", "").await;
    std::fs::write(workspace.path.join("more.txt"), "").unwrap();
    place.save(&workspace).await;
    place.git(&path, &["branch", "-q", "-D", "own"]).await;
    // This one went well, and its session was killed later.
    place.reopen(&workspace).await;
    place.save(&workspace).await;
    let before = place.fixture.branches().await;
    assert!(before.contains(&"own".to_owned()), "{before:?}");
    let (made, _) = place.restore(&workspace).await;
    place.take_back(&made).await;
    assert_eq!(place.fixture.branches().await, before);
}

#[tokio::test]
async fn i05_an_outcome_that_is_not_what_was_saved_goes_on_being_held() {
    let (place, path, workspace) = place().await;
    std::fs::write(workspace.path.join("new.txt"), "work").unwrap();
    let Removal::Removed { preserved: Some(work), .. } = place.save(&workspace).await else { panic!("it is saved") };
    let hooks = place.scratch().path("hooks");
    script(&hooks.join("post-checkout"), "#!/bin/sh\ntouch hooked\n");
    place.git(&path, &["config", "core.hooksPath", text(&hooks)]).await;
    let reopened = place.reopen(&workspace).await;
    assert!(reopened.notes.iter().any(|note| note.contains("not exactly")), "{reopened:?}");
    assert_eq!(std::fs::read(workspace.path.join("new.txt")).unwrap(), b"work");
    for file in ["new.txt", "hooked"] {
        std::fs::remove_file(workspace.path.join(file)).unwrap();
    }
    let removal = place.remove(&workspace).await;
    assert!(matches!(&removal, Removal::Removed { preserved: Some(held), .. } if *held == work), "{removal:?}");
}

#[tokio::test]
async fn i05_a_repository_that_was_moved_is_bound_again_and_loses_nothing() {
    let (place, path, workspace) = place().await;
    std::fs::write(workspace.path.join("new.txt"), "work").unwrap();
    let moved = place.scratch().path("moved");
    std::fs::rename(&path, &moved).unwrap();
    let gone = WorkspaceRef { repository: None, ..workspace.clone() };
    assert!(matches!(place.save(&gone).await, Removal::Kept { .. }));
    let workspace = WorkspaceRef { repository: Some(place.scratch().describe(&moved).await), ..workspace };
    let reopened = place.reopen(&workspace).await;
    assert!(!reopened.made && reopened.notes.len() == 1, "{reopened:?}");
    assert_eq!(place.fixture.status(&workspace.path).await, "?? new.txt");

    let back = place.scratch().path("moved again");
    std::fs::rename(&moved, &back).unwrap();
    let workspace = WorkspaceRef { repository: Some(place.scratch().describe(&back).await), ..workspace };
    let removal = place.save(&workspace).await;
    assert!(matches!(removal, Removal::Removed { preserved: Some(_), .. }), "{removal:?}");
    place.reopen(&workspace).await;
    assert_eq!(place.fixture.status(&workspace.path).await, "?? new.txt");
}

#[tokio::test]
async fn saved_work_that_somebody_took_away_is_a_note() {
    let (place, path, workspace) = place().await;
    std::fs::write(workspace.path.join("new.txt"), "work").unwrap();
    let Removal::Removed { preserved: Some(work), .. } = place.save(&workspace).await else { panic!("it is saved") };
    place.git(&path, &["update-ref", "-d", &work.reference]).await;
    // The commit is still there, and on record.
    let request = ao::ports::workspace::ReopenRequest { preserved: Some(work), ..again(&workspace) };
    let adapter = place.fixture.workspace();
    adapter.reopen(&request).await.unwrap();
    assert_eq!(place.fixture.status(&workspace.path).await, "?? new.txt");
    std::fs::remove_file(workspace.path.join("new.txt")).unwrap();
    assert_eq!(place.remove(&workspace).await, removed(true));
    place.git(&path, &["gc", "-q", "--prune=now"]).await;
    let reopened = adapter.reopen(&request).await.unwrap();
    assert!(reopened.notes.iter().any(|note| note.contains("not in the repository any more")), "{reopened:?}");
}

#[tokio::test]
async fn i06_a_branch_that_was_made_for_another_session_since_is_refused_and_one_gone_to_is_noted() {
    let (place, path, workspace) = place().await;
    assert_eq!(place.remove(&workspace).await, removed(true));
    let mut request = place.request(&path).await;
    (request.session, request.path) = ("app-2".parse().unwrap(), place.fixture.place("app-2"));
    let made = place.try_create(&request).await.unwrap();
    let theirs = place.scratch().commit(&request.path, "theirs.txt", "").await;
    assert_eq!(place.remove(&recorded(&request, Some(made.base_commit))).await, removed(false));

    let outcome = place.fixture.workspace().reopen(&again(&workspace)).await;
    let Err(WorkspaceError::Failed { cause, .. }) = &outcome else { panic!("{outcome:?}") };
    assert!(cause.contains("ao/app-1 was made for app-2"), "{cause}");
    assert!(!workspace.path.exists());
    place.git(&path, &["branch", "-m", "ao/app-1", "theirs"]).await;
    assert_eq!(place.reopen(&workspace).await.branch.as_deref(), Some("ao/app-1"));

    place.git(&workspace.path, &["checkout", "-q", "theirs"]).await;
    std::fs::remove_dir_all(&workspace.path).unwrap();
    let reopened = place.reopen(&workspace).await;
    assert_eq!(reopened.branch.as_deref(), Some("theirs"));
    assert!(reopened.notes.iter().any(|note| note.contains("theirs was made for app-2")), "{reopened:?}");
    assert_eq!(place.git(&path, &["rev-parse", "theirs"]).await, theirs);
}

#[tokio::test]
async fn i05_a_branch_the_agent_went_to_is_told_and_gone_to_again() {
    let (place, path, workspace) = place().await;
    place.git(&workspace.path, &["checkout", "-q", "-b", "own"]).await;
    let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
    let left = Some(Head::Branch("own".to_owned()));
    let adapter = place.fixture.workspace();
    // Once its own branch goes, and once there is one that somebody made.
    for branch_deleted in [true, false] {
        let expected = removed_on(Head::Branch("own".to_owned()), branch_deleted);
        assert_eq!(adapter.assess(&workspace, OnWork::Keep).await.unwrap(), expected);
        assert_eq!(place.remove(&workspace).await, expected);
        // As a removal that was cut off finds it.
        let repeated =
            Removal::Missing { branch_deleted: false, preserved: None, would_save: None, left: left.clone() };
        assert_eq!(adapter.assess(&workspace, OnWork::Keep).await.unwrap(), repeated);
        assert_eq!(place.remove(&workspace).await, repeated);
        let reopened = place.reopen(&workspace).await;
        assert_eq!((reopened.branch.as_deref(), reopened.notes), (Some("own"), vec![]));
        assert_eq!(place.git(&workspace.path, &["rev-parse", "HEAD"]).await, commit);
        if branch_deleted {
            place.git(&path, &["branch", "-q", "ao/app-1"]).await;
        }
    }
    // Deleted by hand, what the entry says counts, not what was told before.
    place.git(&workspace.path, &["checkout", "-q", "ao/app-1"]).await;
    std::fs::remove_dir_all(&workspace.path).unwrap();
    assert_eq!(place.reopen(&workspace).await.branch.as_deref(), Some("ao/app-1"));
    assert_eq!(place.remove(&workspace).await, removed(false));
    assert_eq!(place.git(&path, &["for-each-ref", "refs/ao"]).await, "", "there is nothing to tell any more");
    assert_eq!(place.reopen(&workspace).await.branch.as_deref(), Some("ao/app-1"));
}

#[tokio::test]
async fn work_that_was_saved_on_a_branch_the_agent_went_to_comes_back_on_it() {
    let (place, path, workspace) = place().await;
    place.git(&workspace.path, &["checkout", "-q", "-b", "own"]).await;
    place.scratch().commit(&workspace.path, "new.txt", "").await;
    std::fs::write(workspace.path.join("more.txt"), "").unwrap();
    let removal = place.save(&workspace).await;
    assert!(matches!(&removal, Removal::Removed { left: Some(Head::Branch(own)), .. } if own == "own"), "{removal:?}");
    assert_eq!(place.reopen(&workspace).await.branch.as_deref(), Some("own"));
    assert_eq!(place.fixture.status(&workspace.path).await, "?? more.txt");
    // Held all the same, for that restore could not be taken back, and on another one since: the work is older than what was
    // told last.
    place.git(&path, &["worktree", "lock", text(&workspace.path)]).await;
    let kept = place.take_back(&workspace).await;
    assert!(matches!(kept, Removal::Kept { .. }), "{kept:?}");
    place.git(&path, &["worktree", "unlock", text(&workspace.path)]).await;
    std::fs::remove_file(workspace.path.join("more.txt")).unwrap();
    place.git(&workspace.path, &["checkout", "-q", "-b", "later"]).await;
    place.remove(&workspace).await;
    place.git(&path, &["branch", "-q", "-D", "own"]).await;
    assert_eq!(place.reopen(&workspace).await.branch.as_deref(), Some("later"));
}

#[tokio::test]
async fn a_branch_the_agent_went_to_and_that_is_gone_is_noted_with_its_last_commit() {
    for keeps_its_own in [true, false] {
        let (place, path, workspace) = place().await;
        if keeps_its_own {
            place.scratch().commit(&workspace.path, "first.txt", "").await;
        }
        place.git(&workspace.path, &["checkout", "-q", "-b", "own"]).await;
        let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
        place.remove(&workspace).await;
        place.git(&path, &["branch", "-q", "-D", "own"]).await;
        let reopened = place.reopen(&workspace).await;
        assert_eq!(reopened.branch.as_deref(), Some("ao/app-1"), "{reopened:?}");
        let noted = reopened.notes.iter().any(|note| note.contains("branch own") && note.contains(&commit));
        assert!(noted, "{reopened:?}");
        assert_eq!(workspace.path.join("first.txt").exists(), keeps_its_own);
        // Until the next removal the commit is held, whatever becomes of it.
        place.git(&path, &["gc", "-q", "--prune=now"]).await;
        place.git(&path, &["cat-file", "-e", &commit]).await;
    }
}

#[tokio::test]
async fn i05_a_later_removal_does_not_let_go_of_commits_that_nothing_else_holds() {
    for (how, keeps_its_own) in [("removed", false), ("removed", true), ("deleted by hand", true)] {
        let (place, path, workspace) = place().await;
        place.git(&workspace.path, &["checkout", "-q", "-b", "own"]).await;
        let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
        place.remove(&workspace).await;
        place.git(&path, &["branch", "-q", "-D", "own"]).await;
        // It goes on on its own branch, and what it was on then is told as if there were nothing else.
        for file in ["more.txt", "last.txt"] {
            assert_eq!(place.reopen(&workspace).await.branch.as_deref(), Some("ao/app-1"), "{how}");
            if keeps_its_own {
                place.scratch().commit(&workspace.path, file, "").await;
            }
            if how == "deleted by hand" {
                std::fs::remove_dir_all(&workspace.path).unwrap();
            } else {
                let assessed = place.fixture.workspace().assess(&workspace, OnWork::Keep).await.unwrap();
                assert_eq!(assessed, removed(!keeps_its_own));
                assert_eq!(place.remove(&workspace).await, assessed);
            }
            place.git(&path, &["reflog", "expire", "--expire=all", "--all"]).await;
            place.git(&path, &["gc", "-q", "--prune=now"]).await;
            place.git(&path, &["cat-file", "-e", &commit]).await;
        }
        assert!(!place.fixture.workspace().forget(&workspace).await.unwrap(), "{how}");
        let reopened = place.reopen(&workspace).await;
        assert_eq!(reopened.branch.as_deref(), Some("ao/app-1"));
        // Once a branch holds them there is nothing to tell any more.
        place.git(&path, &["branch", "-q", "own", &commit]).await;
        place.remove(&workspace).await;
        assert_eq!(place.git(&path, &["for-each-ref", "refs/ao"]).await, "", "{how}");
        assert_eq!(place.reopen(&workspace).await.branch.as_deref(), Some("ao/app-1"));
    }
}

#[tokio::test]
async fn i05_what_was_told_is_let_go_of_with_the_session_unless_it_is_the_last_to_hold_a_commit() {
    let (place, path, workspace) = place().await;
    let adapter = place.fixture.workspace();
    assert!(adapter.forget(&workspace).await.unwrap(), "there is nothing");
    place.git(&workspace.path, &["checkout", "-q", "-b", "own"]).await;
    let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
    place.remove(&workspace).await;
    place.git(&path, &["branch", "-q", "-m", "own", "kept"]).await;
    let told = place.git(&path, &["rev-parse", "refs/ao/left/app-1"]).await;
    assert!(adapter.forget(&workspace).await.unwrap(), "a branch has it");
    assert_eq!(place.git(&path, &["for-each-ref", "refs/ao"]).await, "");
    place.git(&path, &["update-ref", "refs/ao/left/app-1", &told]).await;
    place.git(&path, &["branch", "-q", "-D", "kept"]).await;
    assert!(!adapter.forget(&workspace).await.unwrap());
    // Nor does another session of that name take it away.
    let (_, made) = place.create(&path).await;
    let aside = format!("refs/ao/left/app-1.{told}");
    assert!(made.notes.iter().any(|note| note.contains(&aside)), "{made:?}");
    assert_eq!(place.git(&path, &["for-each-ref", "--format=%(refname)", "refs/ao"]).await, aside);
    assert_eq!(place.git(&path, &["rev-parse", &format!("{aside}^")]).await, commit);
}

#[tokio::test]
async fn a_workspace_on_no_branch_is_told_and_made_again_on_none() {
    let (place, path, workspace) = place().await;
    let commit = place.scratch().commit(&path, "theirs.txt", "").await;
    place.git(&workspace.path, &["checkout", "-q", "--detach", "main"]).await;
    assert_eq!(place.remove(&workspace).await, removed_on(Head::Commit(commit.clone()), true));
    let reopened = place.reopen(&workspace).await;
    assert_eq!(reopened.branch, None, "{reopened:?}");
    assert!(reopened.notes.iter().any(|note| note.contains("on no branch") && note.contains(&commit)), "{reopened:?}");
    assert_eq!(place.git(&workspace.path, &["rev-parse", "HEAD"]).await, commit);
    assert_eq!(place.reopen(&workspace).await.branch, None);
}
