//! Work of every form is saved whole and comes back as it was, or keeps the workspace.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ao::domain::preserved::PreservedWork;
use ao::ports::workspace::{OnWork, Removal, WorkspaceError, WorkspaceRef};
use ao::testing::workspace::{WorkspaceFixture, removed};

use super::support::{Place, script, text};

const REFERENCE: &str = "refs/ao/preserved/app-1";

async fn place() -> (Place, PathBuf, WorkspaceRef) {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    (place, path, workspace)
}

/// Everything git can tell of a checkout's state, to the byte.
async fn state(place: &Place, checkout: &Path) -> Vec<String> {
    let mut state = Vec::new();
    for args in [
        &["status", "--porcelain=v2", "--untracked-files=all", "-z", "--branch"][..],
        &["diff", "--cached", "--binary"],
        &["diff", "--binary"],
        &["ls-files", "--stage", "-z"],
    ] {
        state.push(place.git(checkout, args).await);
    }
    state
}

async fn saved(place: &Place, workspace: &WorkspaceRef) -> PreservedWork {
    match place.save(workspace).await {
        Removal::Removed { preserved: Some(work), .. } => work,
        other => panic!("{other:?}, and its work should have been saved"),
    }
}

/// Saves and puts back; everything is as it was.
async fn assert_round_trip(place: &Place, workspace: &WorkspaceRef) {
    let before = state(place, &workspace.path).await;
    saved(place, workspace).await;
    assert!(!workspace.path.exists());
    let reopened = place.reopen(workspace).await;
    assert!(reopened.made && reopened.notes.is_empty(), "{reopened:?}");
    assert_eq!(state(place, &workspace.path).await, before);
}

/// Neither way of removing takes it, and saving left no trace in it.
async fn assert_not_saved(place: &Place, workspace: &WorkspaceRef, why: &str) {
    let before = state(place, &workspace.path).await;
    let assessed = place.fixture.workspace().assess(workspace, OnWork::Preserve).await.unwrap();
    let removal = place.save(workspace).await;
    assert_eq!(assessed, removal);
    assert!(matches!(&removal, Removal::Kept { reason } if reason.contains(why)), "{removal:?} tells not of {why:?}");
    assert!(matches!(place.remove(workspace).await, Removal::Kept { .. }));
    assert_eq!(state(place, &workspace.path).await, before);
    let repository = &workspace.repository.as_ref().unwrap().path;
    assert_eq!(place.git(repository, &["for-each-ref", "refs/ao/"]).await, "");
}

#[tokio::test]
async fn i05_staged_unstaged_and_untracked_changes_of_every_kind_come_back() {
    let (place, _, workspace) = place().await;
    let at = |name: &str| workspace.path.join(name);
    for name in ["both.txt", "deleted.txt", "staged-deleted.txt", "link", "renamed.txt", "staged-then-gone.txt"] {
        place.scratch().commit(&workspace.path, name, &format!("{name} {}\n", "line\n".repeat(20))).await;
    }
    std::fs::write(at("both.txt"), "staged").unwrap();
    place.git(&workspace.path, &["add", "both.txt"]).await;
    std::fs::write(at("both.txt"), "unstaged").unwrap();
    std::fs::remove_file(at("deleted.txt")).unwrap();
    place.git(&workspace.path, &["rm", "-q", "--cached", "staged-deleted.txt"]).await;
    place.git(&workspace.path, &["mv", "renamed.txt", "new-name.txt"]).await;
    place.git(&workspace.path, &["rm", "-q", "staged-then-gone.txt"]).await;
    std::fs::remove_file(at("link")).unwrap();
    std::os::unix::fs::symlink("/nowhere", at("link")).unwrap();
    std::fs::set_permissions(at("file.txt"), PermissionsExt::from_mode(0o755)).unwrap();
    // Added, and gone from the directory again: only the index has it.
    std::fs::write(at("only-staged.txt"), "only staged").unwrap();
    place.git(&workspace.path, &["add", "only-staged.txt"]).await;
    std::fs::remove_file(at("only-staged.txt")).unwrap();
    std::fs::create_dir_all(at("a/b")).unwrap();
    std::fs::write(at("a/b/new tool"), [0, 255, 13, 10, 10]).unwrap();
    std::fs::set_permissions(at("a/b/new tool"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(at("-dash"), "").unwrap();
    std::fs::write(workspace.path.join(OsStr::from_bytes(b"not \xff utf-8\n")), "name").unwrap();
    assert_round_trip(&place, &workspace).await;
    assert_eq!(std::fs::read(at("a/b/new tool")).unwrap(), [0, 255, 13, 10, 10]);
    assert_eq!(at("a/b/new tool").metadata().unwrap().permissions().mode() & 0o111, 0o111);
    assert_eq!(std::fs::read(workspace.path.join(OsStr::from_bytes(b"not \xff utf-8\n"))).unwrap(), b"name");
    // And once more, from what was put back.
    std::fs::write(at("both.txt"), "later").unwrap();
    assert_round_trip(&place, &workspace).await;
}

#[tokio::test]
async fn i05_what_is_saved_is_a_stash_of_its_own_author_and_holds_no_ignored_file() {
    let (place, path, workspace) = place().await;
    place.scratch().commit(&workspace.path, ".gitignore", "*.log\n").await;
    std::fs::write(workspace.path.join("a.log"), "").unwrap();
    std::fs::write(workspace.path.join("new.txt"), "new").unwrap();
    // As where git was never told who the user is.
    std::fs::write(place.scratch().path("home/.gitconfig"), "[user]\n\tuseConfigOnly = true\n").unwrap();
    let work = saved(&place, &workspace).await;
    assert_eq!(place.git(&path, &["rev-parse", REFERENCE]).await, work.commit);
    assert_eq!(place.git(&path, &["log", "-1", "--format=%an %cn", REFERENCE]).await, "ao ao");
    let files = place.git(&path, &["ls-tree", "--name-only", REFERENCE]).await;
    assert_eq!(files.lines().collect::<Vec<_>>(), [".gitignore", "file.txt", "new.txt"]);
    let log = place.git(&path, &["reflog", "show", "--format=%gs", REFERENCE]).await;
    assert!(log.contains("app-1"), "{log}");
    place
        .git(&path, &["-c", "user.name=T", "-c", "user.email=t@t", "stash", "apply", "-q", "--index", REFERENCE])
        .await;
    assert_eq!(std::fs::read(path.join("new.txt")).unwrap(), b"new");
}

#[tokio::test]
async fn i05_commits_on_no_branch_are_held_and_come_back() {
    let (place, path, workspace) = place().await;
    place.git(&workspace.path, &["checkout", "-q", "--detach"]).await;
    let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
    for work in [false, true] {
        if work {
            std::fs::write(workspace.path.join("more.txt"), "").unwrap();
        }
        let before = state(&place, &workspace.path).await;
        saved(&place, &workspace).await;
        place.git(&path, &["gc", "-q", "--prune=now"]).await;
        place.git(&path, &["merge-base", "--is-ancestor", &commit, REFERENCE]).await;
        let reopened = place.reopen(&workspace).await;
        assert!(reopened.notes.iter().any(|note| note.contains("on no branch")), "{reopened:?}");
        assert_eq!(state(&place, &workspace.path).await, before);
    }
}

#[tokio::test]
async fn i05_what_cannot_be_saved_whole_is_kept() {
    let (place, _, workspace) = place().await;
    let write = |name: &str| std::fs::write(workspace.path.join(name), "work").unwrap();

    write("new.txt");
    place.git(&workspace.path, &["add", "--intent-to-add", "new.txt"]).await;
    assert_not_saved(&place, &workspace, "intent-to-add").await;
    place.git(&workspace.path, &["reset", "-q"]).await;

    place.git(&workspace.path, &["update-index", "--assume-unchanged", "file.txt"]).await;
    write("file.txt");
    write("seen.txt");
    assert_not_saved(&place, &workspace, "assume-unchanged").await;
    place.git(&workspace.path, &["update-index", "--no-assume-unchanged", "file.txt"]).await;

    // A repository that is clean and published is no work, but git would store nothing of it.
    let upstream = place.scratch().init("upstream").await;
    let inner = workspace.path.join("sub/inner");
    place.git(&upstream, &["clone", "-q", ".", text(&inner)]).await;
    assert_not_saved(&place, &workspace, "the repository sub/inner in it").await;
    std::fs::remove_dir_all(&inner).unwrap();

    place.git(&workspace.path, &["checkout", "-q", "--orphan", "orphan"]).await;
    let removal = place.save(&workspace).await;
    assert!(matches!(removal, Removal::Kept { .. }), "{removal:?}");
}

#[tokio::test]
async fn i05_unresolved_conflicts_are_kept_also_without_a_merge() {
    let (place, _, workspace) = place().await;
    std::fs::write(workspace.path.join("file.txt"), "stashed\n").unwrap();
    place.git(&workspace.path, &["stash", "-q"]).await;
    place.scratch().commit(&workspace.path, "file.txt", "committed\n").await;
    assert!(!place.scratch().try_git(&workspace.path, &["stash", "pop"]).await.status.success());
    assert_not_saved(&place, &workspace, "conflicts").await;
}

#[tokio::test]
async fn i05_a_changed_submodule_is_kept() {
    let place = Place::new();
    let (library, path) = (place.scratch().init("library").await, place.scratch().init("app").await);
    place.git(&path, &["submodule", "--quiet", "add", text(&library), "lib"]).await;
    place.git(&path, &["commit", "-q", "-m", "library"]).await;
    let newer = place.scratch().commit(&library, "new.txt", "").await;
    let (workspace, _) = place.create(&path).await;
    place.git(&workspace.path, &["submodule", "--quiet", "update", "--init"]).await;
    let lib = workspace.path.join("lib");
    place.git(&lib, &["fetch", "-q"]).await;
    place.git(&lib, &["checkout", "-q", &newer]).await;
    assert_not_saved(&place, &workspace, "submodule lib has changes").await;
    // Staged it is on record, whatever is checked out.
    place.git(&workspace.path, &["add", "lib"]).await;
    let before = place.git(&workspace.path, &["diff", "--cached"]).await;
    saved(&place, &workspace).await;
    place.reopen(&workspace).await;
    assert_eq!(place.git(&workspace.path, &["diff", "--cached"]).await, before);
}

#[tokio::test]
async fn i05_a_filter_is_lived_with_where_it_gives_back_what_it_took() {
    let (place, path, workspace) = place().await;
    place.git(&path, &["config", "filter.shift.clean", "tr a-y b-z"]).await;
    place.git(&path, &["config", "filter.shift.smudge", "tr b-z a-y"]).await;
    place.scratch().commit(&workspace.path, ".gitattributes", "*.txt filter=shift\n*.crlf text eol=crlf\n").await;
    std::fs::write(workspace.path.join("abc.txt"), "abc\n").unwrap();
    std::fs::write(workspace.path.join("lines.crlf"), "one\r\ntwo\r\n").unwrap();
    place.git(&workspace.path, &["add", "--renormalize", "."]).await;
    assert_round_trip(&place, &workspace).await;
    assert_eq!(std::fs::read(workspace.path.join("abc.txt")).unwrap(), b"abc\n");
    assert_eq!(std::fs::read(workspace.path.join("lines.crlf")).unwrap(), b"one\r\ntwo\r\n");
    for (name, content) in [("z.txt", "z\n"), ("lines.crlf", "one\r\ntwo\n")] {
        let before = std::fs::read(workspace.path.join(name)).ok();
        std::fs::write(workspace.path.join(name), content).unwrap();
        let removal = place.save(&workspace).await;
        assert!(matches!(&removal, Removal::Kept { reason } if reason.contains(name)), "{removal:?}");
        assert_eq!(std::fs::read(workspace.path.join(name)).unwrap(), content.as_bytes());
        match before {
            Some(before) => std::fs::write(workspace.path.join(name), before).unwrap(),
            None => std::fs::remove_file(workspace.path.join(name)).unwrap(),
        }
    }
}

/// A filter that writes into another file while the work is saved, as an editor that saves late would.
async fn written_while_saved(place: &Place, path: &Path, workspace: &WorkspaceRef, how: &str) {
    let filter = place.scratch().path("filter");
    script(&filter, &format!("#!/bin/sh\n{how}\ncat\n"));
    place.git(path, &["config", "filter.late.clean", &format!("'{}'", text(&filter))]).await;
    place.scratch().commit(&workspace.path, ".gitattributes", "*.slow filter=late\n").await;
    std::fs::write(workspace.path.join("a.slow"), "slow").unwrap();
    std::fs::write(workspace.path.join("late.txt"), "first\n").unwrap();
}

#[tokio::test]
async fn i05_what_is_written_while_it_is_saved_is_saved_too() {
    let (place, path, workspace) = place().await;
    let done = place.scratch().path("done");
    // It writes after git has read the other file: that name comes first.
    let how = format!("[ -e '{0}' ] || {{ touch '{0}'; echo more >>0-early.txt; }}", text(&done));
    written_while_saved(&place, &path, &workspace, &how).await;
    std::fs::write(workspace.path.join("0-early.txt"), "first\n").unwrap();
    saved(&place, &workspace).await;
    assert!(done.exists());
    place.reopen(&workspace).await;
    assert_eq!(std::fs::read_to_string(workspace.path.join("0-early.txt")).unwrap(), "first\nmore\n");
}

#[tokio::test]
async fn i05_what_is_written_after_it_was_saved_is_saved_too() {
    let (place, path, workspace) = place().await;
    std::fs::write(workspace.path.join("new.txt"), "first\n").unwrap();
    let (hooks, done) = (place.scratch().path("hooks"), place.scratch().path("done"));
    let hook = format!(
        "#!/bin/sh\ngrep -q refs/ao/preserved || exit 0\n[ -e '{0}' ] || {{ touch '{0}'; echo more >>'{1}'; }}\n",
        text(&done),
        text(&workspace.path.join("new.txt"))
    );
    script(&hooks.join("reference-transaction"), &hook);
    place.git(&path, &["config", "core.hooksPath", text(&hooks)]).await;
    saved(&place, &workspace).await;
    assert!(done.exists());
    let reopened = place.reopen(&workspace).await;
    assert_eq!(std::fs::read_to_string(workspace.path.join("new.txt")).unwrap(), "first\nmore\n");
    assert!(!reopened.notes.iter().any(|note| note.contains("saved before")), "its own first try is no earlier work");
}

#[tokio::test]
async fn i05_a_workspace_that_never_stands_still_is_left_alone() {
    let (place, path, workspace) = place().await;
    written_while_saved(&place, &path, &workspace, "echo more >>0-early.txt").await;
    let outcome = place.fixture.workspace().remove(&workspace, OnWork::Preserve).await;
    assert!(matches!(outcome, Err(WorkspaceError::Busy { .. })), "{outcome:?}");
    assert!(workspace.path.join("late.txt").is_file());
}

#[tokio::test]
async fn i05_a_reference_that_cannot_be_written_keeps_the_workspace() {
    let (place, path, workspace) = place().await;
    std::fs::write(workspace.path.join("new.txt"), "").unwrap();
    // A reference in the place of a directory.
    place.git(&path, &["update-ref", "refs/ao/preserved", "HEAD"]).await;
    let removal = place.save(&workspace).await;
    assert!(matches!(&removal, Removal::Kept { reason } if reason.contains("cannot be saved")), "{removal:?}");
    assert!(workspace.path.join("new.txt").is_file());
}

#[tokio::test]
async fn i05_what_a_directory_deleted_by_hand_leaves_is_saved_in_any_case() {
    for on_work in [OnWork::Keep, OnWork::Preserve] {
        let (place, path, workspace) = place().await;
        place.git(&workspace.path, &["checkout", "-q", "--detach"]).await;
        let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
        std::fs::write(workspace.path.join("staged.txt"), "staged").unwrap();
        place.git(&workspace.path, &["add", "staged.txt"]).await;
        std::fs::remove_dir_all(&workspace.path).unwrap();
        let assessed = place.fixture.workspace().assess(&workspace, on_work).await.unwrap();
        assert!(matches!(&assessed, Removal::Missing { preserved: None, would_save: Some(_), .. }), "{assessed:?}");
        let removal = place.fixture.workspace().remove(&workspace, on_work).await.unwrap();
        assert!(matches!(&removal, Removal::Missing { preserved: Some(_), .. }), "{removal:?}");
        place.git(&path, &["gc", "-q", "--prune=now"]).await;
        // Also when nobody removed it in between.
        for _ in 0..2 {
            place.reopen(&workspace).await;
            assert_eq!(place.git(&workspace.path, &["rev-parse", "HEAD"]).await, commit);
            assert_eq!(place.fixture.status(&workspace.path).await, "A  staged.txt");
            place.git(&path, &["update-ref", "-d", REFERENCE]).await;
            std::fs::remove_dir_all(&workspace.path).unwrap();
        }
    }
}

#[tokio::test]
async fn i05_what_another_session_of_that_name_finds_of_a_deleted_directory_is_put_aside() {
    let (place, path, workspace) = place().await;
    place.git(&workspace.path, &["checkout", "-q", "--detach"]).await;
    place.git(&path, &["branch", "-q", "-D", &workspace.branch]).await;
    let commit = place.scratch().commit(&workspace.path, "new.txt", "").await;
    std::fs::write(workspace.path.join("staged.txt"), "staged").unwrap();
    place.git(&workspace.path, &["add", "staged.txt"]).await;
    std::fs::remove_dir_all(&workspace.path).unwrap();
    // Of another data directory, which counts from one again.
    let (_, made) = place.create(&path).await;
    let aside = place.git(&path, &["for-each-ref", "--format=%(refname)", "refs/ao"]).await;
    assert!(aside.starts_with(&format!("{REFERENCE}.")), "{aside}");
    assert!(made.notes.iter().any(|note| note.contains(&aside)), "{:?}", made.notes);
    assert_eq!(place.git(&path, &["rev-parse", &format!("{aside}^1")]).await, commit);
    assert_eq!(place.git(&path, &["show", &format!("{aside}^2:staged.txt")]).await, "staged");
}

#[tokio::test]
async fn i05_work_that_was_put_back_and_deleted_by_hand_is_still_held() {
    let (place, _, workspace) = place().await;
    std::fs::write(workspace.path.join("new.txt"), "new").unwrap();
    std::fs::write(workspace.path.join("file.txt"), "staged").unwrap();
    place.git(&workspace.path, &["add", "file.txt"]).await;
    let work = saved(&place, &workspace).await;
    place.reopen(&workspace).await;
    std::fs::remove_dir_all(&workspace.path).unwrap();
    let removal = place.remove(&workspace).await;
    assert!(matches!(&removal, Removal::Missing { preserved: Some(held), .. } if *held == work), "{removal:?}");
    place.reopen(&workspace).await;
    assert_eq!(std::fs::read(workspace.path.join("new.txt")).unwrap(), b"new");
}

#[tokio::test]
async fn i05_work_saved_under_the_same_name_before_is_put_aside() {
    let (place, path, workspace) = place().await;
    std::fs::write(workspace.path.join("new.txt"), "new").unwrap();
    let work = saved(&place, &workspace).await;
    // Another data directory, which counts from one again.
    let (workspace, made) = place.create(&path).await;
    let aside = format!("{REFERENCE}.{}", work.commit);
    assert!(made.notes.iter().any(|note| note.contains(&aside)), "{:?}", made.notes);
    assert_eq!(place.git(&path, &["rev-parse", &aside]).await, work.commit);
    assert_eq!(place.remove(&workspace).await, removed(true));
    assert_eq!(place.reopen(&workspace).await.notes.len(), 1, "the branch was made again, and nothing put back");
    assert_eq!(place.fixture.status(&workspace.path).await, "");
}

#[tokio::test]
async fn i05_saving_leaves_neither_index_nor_directory_changed_nor_scratch_behind() {
    let (place, path, workspace) = place().await;
    std::fs::write(workspace.path.join("new.txt"), "new").unwrap();
    std::fs::write(workspace.path.join("file.txt"), "staged").unwrap();
    place.git(&workspace.path, &["add", "file.txt"]).await;
    let admin = path.join(".git/worktrees/app-1");
    std::fs::write(admin.join("ao-scratch.1.2.lock"), "of a killed ao").unwrap();
    let index = std::fs::read(admin.join("index")).unwrap();
    // Unlike the look before, saving finds that this cannot come back.
    place.scratch().commit(&path, "other.txt", "").await;
    place.git(&path, &["config", "filter.lossy.clean", "tr -d x"]).await;
    std::fs::write(workspace.path.join(".gitattributes"), "*.lossy filter=lossy\n").unwrap();
    std::fs::write(workspace.path.join("a.lossy"), "axb").unwrap();
    let removal = place.save(&workspace).await;
    assert!(matches!(&removal, Removal::Kept { reason } if reason.contains("a.lossy")), "{removal:?}");
    assert_eq!(std::fs::read(admin.join("index")).unwrap(), index);
    let left: Vec<_> = std::fs::read_dir(&admin).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("scratch")), "{left:?}");
}

/// As where an agent runs `git reset --hard` and writes a file within the same second.
#[tokio::test]
async fn i05_a_change_that_only_the_age_of_the_index_gives_away_is_saved() {
    let (place, path, workspace) = place().await;
    let (file, index) = (workspace.path.join("file.txt"), path.join(".git/worktrees/app-1/index"));
    let made_at_once = |path: &Path| {
        let at_once = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::options().write(true).open(path).unwrap().set_modified(at_once).unwrap();
    };
    // The one time that a test cannot set.
    place.git(&path, &["config", "core.trustctime", "false"]).await;
    place.scratch().commit(&workspace.path, "file.txt", "aaa\n").await;
    made_at_once(&file);
    place.git(&workspace.path, &["update-index", "--refresh"]).await;
    std::fs::write(&file, "bbb\n").unwrap();
    made_at_once(&file);
    made_at_once(&index);
    saved(&place, &workspace).await;
    place.reopen(&workspace).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "bbb\n");
}

#[tokio::test]
async fn i05_changes_outside_a_sparse_checkout_are_saved() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    for directory in ["app", "db"] {
        std::fs::create_dir(path.join(directory)).unwrap();
        place.scratch().commit(&path, &format!("{directory}/old.txt"), "old").await;
    }
    let (workspace, _) = place.create(&path).await;
    place.git(&workspace.path, &["sparse-checkout", "set", "app"]).await;
    let outside = workspace.path.join("db");
    assert!(!outside.exists());
    std::fs::create_dir(&outside).unwrap();
    for name in ["old.txt", "new.txt"] {
        std::fs::write(outside.join(name), "work").unwrap();
    }
    saved(&place, &workspace).await;
    place.reopen(&workspace).await;
    for name in ["old.txt", "new.txt"] {
        assert_eq!(std::fs::read_to_string(outside.join(name)).unwrap(), "work", "{name}");
    }
}

/// Whatever the look takes its time for, and however long others have the repository after it.
#[tokio::test]
async fn i05_what_is_written_after_the_look_for_work_is_kept_or_saved() {
    for on_work in [OnWork::Keep, OnWork::Preserve] {
        let (place, path, workspace) = place().await;
        let (early, slow) = (workspace.path.join("0-early.txt"), workspace.path.join("a.slow"));
        let done = place.scratch().path("done");
        place.scratch().commit(&workspace.path, "0-early.txt", "old").await;
        place.scratch().commit(&workspace.path, "a.slow", "slow").await;
        // Git reads the other file first.
        let filter = place.scratch().path("filter");
        let how = format!("[ -e '{0}' ] || {{ touch '{0}'; echo late >'{1}'; }}", text(&done), text(&early));
        script(&filter, &format!("#!/bin/sh\n{how}\ncat\n"));
        place.scratch().commit(&workspace.path, ".gitattributes", "*.slow filter=late\n").await;
        place.git(&path, &["config", "filter.late.clean", &format!("'{}'", text(&filter))]).await;
        File::options().write(true).open(&slow).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let removal = place.fixture.workspace().remove(&workspace, on_work).await.unwrap();
        assert!(done.exists());
        match (on_work, removal) {
            (OnWork::Keep, Removal::Kept { .. }) => {}
            (OnWork::Preserve, Removal::Removed { preserved: Some(_), .. }) => {
                place.reopen(&workspace).await;
            }
            (_, other) => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read_to_string(early).unwrap(), "late\n");
    }
}
