//! What a `kill -9` between two steps leaves is taken away; what looks alike and is another's is not.

use std::time::Duration;

use ao::ports::workspace::{OnWork, Removal, WorkspaceError, WorkspaceRef};
use ao::testing::workspace::{WorkspaceFixture, again, missing, recorded, removed};

use super::support::{Place, text};

async fn place_with_branch() -> (Place, std::path::PathBuf, WorkspaceRef) {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    make_branch(&place, &path).await;
    let workspace = recorded(&place.request(&path).await, None);
    (place, path, workspace)
}

async fn make_branch(place: &Place, repository: &std::path::Path) {
    let made = ["update-ref", "--create-reflog", "-m", "ao: made for app-1", "refs/heads/ao/app-1", "main", ""];
    place.git(repository, &made).await;
}

async fn add(place: &Place, repository: &std::path::Path, more: &[&str]) {
    assert!(try_add(place, repository, more).await, "it is made");
}

async fn try_add(place: &Place, repository: &std::path::Path, more: &[&str]) -> bool {
    let path = place.fixture.place("app-1");
    let mut args = vec!["worktree", "add", "-q", "--lock", "--reason", "ao: app-1"];
    args.extend(more);
    args.extend([text(&path), "ao/app-1"]);
    place.scratch().try_git(repository, &args).await.status.success()
}

#[tokio::test]
async fn i06_only_the_branch() {
    let (place, path, workspace) = place_with_branch().await;
    assert_eq!(place.remove(&workspace).await, missing(true));
    place.assert_nothing_left(&path).await;
}

#[tokio::test]
async fn i06_a_checkout_that_was_never_finished() {
    let (place, path, workspace) = place_with_branch().await;
    add(&place, &path, &["--no-checkout"]).await;
    std::fs::write(workspace.path.join("file.txt"), "hal").unwrap();
    assert_eq!(place.remove(&workspace).await, removed(true));
    place.assert_nothing_left(&path).await;
}

/// A repository whose checkouts are done only once `gate` is there; gives `begun`, which they make before they wait.
async fn slow_checkouts(place: &Place, repository: &std::path::Path, gate: &std::path::Path) -> std::path::PathBuf {
    place.scratch().commit(repository, ".gitattributes", "*.txt filter=slow\n").await;
    let begun = place.scratch().path("begun");
    let wait = format!("touch '{}'; until [ -e '{}' ]; do sleep 0.05; done; cat", text(&begun), text(gate));
    place.git(repository, &["config", "filter.slow.smudge", &wait]).await;
    place.git(repository, &["branch", "-q", "-D", "ao/app-1"]).await;
    make_branch(place, repository).await;
    begun
}

async fn until_there(file: &std::path::Path) {
    let there = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), there).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i06_a_checkout_that_outlived_its_ao_is_let_finish_first() {
    let (place, path, workspace) = place_with_branch().await;
    let gate = place.scratch().path("gate");
    let begun = slow_checkouts(&place, &path, &gate).await;
    let removal = async {
        until_there(&begun).await;
        let open = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            std::fs::write(&gate, "").unwrap();
        };
        tokio::join!(place.remove(&workspace), open).0
    };
    // The first goes on while the second looks, as a git whose ao was killed does.
    let ((), removal) = tokio::join!(add(&place, &path, &[]), removal);
    assert_eq!(removal, removed(true));
    place.assert_nothing_left(&path).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i06_a_checkout_that_goes_on_and_on_is_ended() {
    let (place, path, workspace) = place_with_branch().await;
    // Never opened.
    let gate = place.scratch().path("gate");
    let begun = slow_checkouts(&place, &path, &gate).await;
    let (adding, removal) = tokio::join!(try_add(&place, &path, &[]), async {
        until_there(&begun).await;
        tokio::time::timeout(Duration::from_secs(60), place.remove(&workspace)).await
    });
    assert!(!adding, "it was not ended");
    // A git that is told to end takes away what it made.
    let removal = removal.unwrap();
    assert!(removal == removed(true) || removal == missing(true), "{removal:?}");
    place.assert_nothing_left(&path).await;
}

#[tokio::test]
async fn i06_only_the_administrative_directory_at_every_stage() {
    for files in [&[][..], &["locked"], &["locked", "gitdir"]] {
        let (place, path, workspace) = place_with_branch().await;
        let admin = path.join(".git/worktrees/app-1");
        std::fs::create_dir_all(&admin).unwrap();
        for file in files {
            let link = workspace.path.join(".git");
            std::fs::write(admin.join(file), if *file == "locked" { "ao: app-1" } else { text(&link) }).unwrap();
        }
        assert_eq!(place.remove(&workspace).await, missing(true), "{files:?}");
        place.assert_nothing_left(&path).await;
    }
}

#[tokio::test]
async fn i06_a_removal_that_was_cut_off_is_finished() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    std::fs::write(path.join(".git/worktrees/app-1/ao-removing"), "").unwrap();
    std::fs::remove_file(workspace.path.join("file.txt")).unwrap();
    let to_make = place.fixture.workspace().to_make(&again(&workspace)).await.unwrap();
    assert!(to_make.workspace, "only what is left of it");
    assert_eq!(place.remove(&workspace).await, removed(true));
    place.assert_nothing_left(&path).await;
}

#[tokio::test]
async fn i06_what_bears_the_mark_is_listed_also_where_git_overlooks_it() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let admin = path.join(".git/worktrees/app-1");
    let root = place.fixture.place("app-1").parent().unwrap().to_owned();
    for when in ["its removal was cut off", "its making was cut off"] {
        let (workspace, _) = place.create(&path).await;
        std::fs::remove_dir_all(&workspace.path).unwrap();
        std::fs::remove_file(admin.join("gitdir")).unwrap();
        if when == "its removal was cut off" {
            std::fs::write(admin.join("ao-removing"), "").unwrap();
        } else {
            let mark = std::fs::read_to_string(admin.join("ao-session")).unwrap();
            for entry in std::fs::read_dir(&admin).unwrap() {
                let entry = entry.unwrap().path();
                if entry.is_dir() { std::fs::remove_dir_all(entry) } else { std::fs::remove_file(entry) }.unwrap();
            }
            std::fs::write(admin.join("locked"), format!("ao: {mark}")).unwrap();
        }
        assert_eq!(place.git(&path, &["worktree", "list"]).await.lines().count(), 1, "{when}");
        let adapter = place.fixture.workspace();
        let listed = adapter.owned(workspace.repository.as_ref().unwrap(), &root).await.unwrap();
        let [owned] = &listed[..] else { panic!("{when}: {listed:?}") };
        assert_eq!((&owned.session, &owned.path), (&workspace.session, &workspace.path), "{when}");
        let stray =
            WorkspaceRef { path: owned.path.clone(), branch: String::new(), base_commit: None, ..workspace.clone() };
        assert_eq!(place.remove(&stray).await, missing(false), "{when}");
        assert!(!admin.exists(), "{when}");
        assert_eq!(place.remove(&workspace).await, missing(true), "its branch goes with its record");
    }
}

#[tokio::test]
async fn i06_a_removal_that_was_cut_off_between_its_marks_is_finished_and_hides_nobody_else() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    let mut other = place.request(&path).await;
    (other.session, other.path, other.branch) =
        ("app-2".parse().unwrap(), place.fixture.place("app-2"), "ao/app-2".to_owned());
    place.try_create(&other).await.unwrap();
    let admin = path.join(".git/worktrees/app-1");
    let mark = std::fs::read_to_string(admin.join("ao-session")).unwrap();
    let adapter = place.fixture.workspace();
    for is_restored in [true, false] {
        assert_eq!(place.remove(&workspace).await, removed(true));
        std::fs::create_dir_all(&admin).unwrap();
        std::fs::write(admin.join("ao-session"), &mark).unwrap();
        assert!(adapter.to_make(&again(&workspace)).await.unwrap().workspace);
        let root = workspace.path.parent().unwrap();
        let listed = adapter.owned(workspace.repository.as_ref().unwrap(), root).await.unwrap();
        assert_eq!(listed.len(), 2, "{listed:?}");
        if is_restored {
            assert!(place.reopen(&workspace).await.made);
        } else {
            assert_eq!(place.remove(&workspace).await, missing(false));
            assert!(!admin.exists());
        }
    }
    // Of a directory that is there, that is no removal which was cut off.
    place.reopen(&workspace).await;
    for file in ["gitdir", "HEAD"] {
        std::fs::remove_file(admin.join(file)).unwrap();
    }
    place.assert_kept(&workspace, "lost").await;
    let outcome = adapter.reopen(&ao::testing::workspace::again(&workspace)).await;
    assert!(outcome.is_err() && workspace.path.join("file.txt").exists(), "{outcome:?}");
}

/// Of a session on no record, so nobody would ever take away what is told of it.
#[tokio::test]
async fn what_a_stray_was_on_is_not_told() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    place.git(&workspace.path, &["checkout", "-q", "--detach", "main"]).await;
    let stray = WorkspaceRef { branch: String::new(), base_commit: None, ..workspace };
    assert_eq!(place.remove(&stray).await, removed(false));
    assert_eq!(place.git(&path, &["for-each-ref", "refs/ao"]).await, "");
}

/// Git cannot read it, and so not say on which branch it is.
#[tokio::test]
async fn i06_an_entry_that_git_cannot_read_is_listed_with_the_others() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    std::fs::remove_file(path.join(".git/worktrees/app-1/HEAD")).unwrap();
    let root = workspace.path.parent().unwrap();
    let listed = place.fixture.workspace().owned(workspace.repository.as_ref().unwrap(), root).await.unwrap();
    assert!(matches!(&listed[..], [owned] if owned.path == workspace.path && owned.branch.is_none()), "{listed:?}");
}

#[tokio::test]
async fn i06_a_directory_deleted_by_hand_takes_only_its_own_entry() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let other = place.scratch().path("stick");
    place.git(&path, &["worktree", "add", "-q", "-b", "other", text(&other)]).await;
    let (workspace, _) = place.create(&path).await;
    for gone in [&other, &workspace.path] {
        std::fs::remove_dir_all(gone).unwrap();
    }
    assert_eq!(place.remove(&workspace).await, missing(true));
    assert!(path.join(".git/worktrees/stick").is_dir(), "another's entry is not pruned");
}

#[tokio::test]
async fn i06_a_persons_worktree_branch_and_lock_are_untouched() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let workspace = recorded(&place.request(&path).await, None);
    place.git(&path, &["worktree", "add", "-q", "-b", "ao/app-1", text(&workspace.path)]).await;
    let outcome = place.fixture.workspace().remove(&workspace, OnWork::Keep).await;
    assert!(matches!(outcome, Err(WorkspaceError::NotOurs { .. })), "{outcome:?}");
    place.git(&path, &["worktree", "remove", text(&workspace.path)]).await;
    assert_eq!(place.remove(&workspace).await, missing(false));
    place.git(&path, &["branch", "-q", "-D", "ao/app-1"]).await;

    let (workspace, _) = place.create(&path).await;
    place.git(&path, &["worktree", "lock", "--reason", "mine", text(&workspace.path)]).await;
    place.assert_kept(&workspace, "mine").await;
}

#[tokio::test]
async fn i06_a_moved_worktree_and_a_planted_link_are_untouched() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    let moved = place.scratch().path("moved");
    place.git(&path, &["worktree", "move", text(&workspace.path), text(&moved)]).await;
    let removal = place.remove(&workspace).await;
    assert!(matches!(&removal, Removal::Kept { reason } if reason.contains("moved to")), "{removal:?}");
    std::os::unix::fs::symlink(&moved, &workspace.path).unwrap();
    let outcome = place.fixture.workspace().remove(&workspace, OnWork::Keep).await;
    assert!(matches!(outcome, Err(WorkspaceError::NotOurs { .. })), "{outcome:?}");
    assert!(moved.join("file.txt").is_file());
}

#[tokio::test]
async fn i05_a_reopening_that_was_cut_off_after_the_work_was_put_back_still_has_it() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    std::fs::write(workspace.path.join("new.txt"), "work").unwrap();
    let Removal::Removed { preserved: Some(work), .. } = place.save(&workspace).await else { panic!("it is saved") };
    place.reopen(&workspace).await;
    let admin = path.join(".git/worktrees/app-1");
    assert_eq!(std::fs::read_to_string(admin.join("ao-put-back")).unwrap().trim(), work.commit);
    std::fs::remove_file(admin.join("ao-session")).unwrap();
    std::fs::write(admin.join("locked"), "ao: app-1").unwrap();
    let removal = place.remove(&workspace).await;
    assert!(matches!(&removal, Removal::Removed { preserved: Some(held), .. } if *held == work), "{removal:?}");
    place.reopen(&workspace).await;
    assert_eq!(place.fixture.status(&workspace.path).await, "?? new.txt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i06_a_git_whose_ao_was_killed_puts_nothing_back_into_what_is_made_anew() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    place.scratch().commit(&path, ".gitattributes", "*.slow filter=slow\n").await;
    let (workspace, _) = place.create(&path).await;
    std::fs::write(workspace.path.join("a.slow"), "work").unwrap();
    let Removal::Removed { preserved: Some(work), .. } = place.save(&workspace).await else { panic!("it is saved") };
    // What that leaves: a half-made worktree, and the git.
    make_branch(&place, &path).await;
    add(&place, &path, &[]).await;
    let begun = place.scratch().path("begun");
    let wait = format!("test ! -e '{0}' || exec cat; touch '{0}'; sleep 770; cat", text(&begun));
    place.git(&path, &["config", "filter.slow.smudge", &wait]).await;
    let admin = format!("--git-dir={}", text(&path.join(".git/worktrees/app-1")));
    let tree = format!("--work-tree={}", text(&workspace.path));
    let args = [&admin, &tree, "read-tree", "--reset", "-u", &work.commit];
    let reopening = async {
        until_there(&begun).await;
        place.reopen(&workspace).await
    };
    let (hanging, _) = tokio::join!(place.scratch().try_git(&workspace.path, &args), reopening);
    assert!(!hanging.status.success(), "it was not ended");
    assert_eq!(place.fixture.status(&workspace.path).await, "?? a.slow");
}
