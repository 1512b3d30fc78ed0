//! Each kind of repository works, or is refused with a reason and nothing half done.

use std::time::Duration;

use ao::ports::workspace::{WorkspaceError, WorkspaceRequest};
use ao::testing::workspace::{WorkspaceFixture, recorded, removed};

use super::support::{Place, script, text};

#[tokio::test]
async fn a_bare_clone_works() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let bare = place.scratch().path("bare.git");
    place.git(&path, &["clone", "-q", "--bare", ".", text(&bare)]).await;
    let made = place.round_trip(&bare).await;
    assert!(made.notes[0].contains("no tracking branches"), "{:?}", made.notes);
}

#[tokio::test]
async fn a_mirror_is_not_fetched_over_the_sessions_branches() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let mirror = place.scratch().path("mirror.git");
    place.git(&path, &["clone", "-q", "--mirror", ".", text(&mirror)]).await;
    place.git(&mirror, &["config", "fetch.prune", "true"]).await;
    let (workspace, _) = place.create(&mirror).await;
    place.scratch().commit(&workspace.path, "work.txt", "").await;
    let second = WorkspaceRequest {
        session: "app-2".parse().unwrap(),
        branch: "ao/app-2".to_owned(),
        path: place.fixture.place("app-2"),
        ..place.request(&mirror).await
    };
    place.try_create(&second).await.unwrap();
    assert_eq!(place.git(&mirror, &["branch", "--list", "ao/app-1", "--format=%(refname:short)"]).await, "ao/app-1");
}

#[tokio::test]
async fn an_unborn_branch_is_refused_with_what_to_do() {
    let place = Place::new();
    let path = place.scratch().path("new");
    std::fs::create_dir_all(&path).unwrap();
    place.git(&path, &["init", "-q"]).await;
    let request = place.request(&path).await;
    for outcome in [place.fixture.workspace().preflight(&request).await, place.try_create(&request).await.map(drop)] {
        let Err(WorkspaceError::Unsupported { cause, .. }) = outcome else { panic!("{outcome:?}") };
        assert!(cause.contains("no commit yet") && cause.contains("git commit"), "{cause}");
    }
    place.assert_nothing_left(&path).await;
}

#[tokio::test]
async fn a_detached_head_works() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    place.git(&path, &["checkout", "-q", "--detach"]).await;
    place.git(&path, &["branch", "-q", "-D", "main"]).await;
    assert_eq!(place.round_trip(&path).await.base, "HEAD");
}

#[tokio::test]
async fn a_shallow_clone_works() {
    let place = Place::new();
    let upstream = place.scratch().init("upstream").await;
    place.scratch().commit(&upstream, "two.txt", "").await;
    let shallow = place.scratch().path("shallow");
    let url = format!("file://{}", text(&upstream));
    place.git(&upstream, &["clone", "-q", "--depth=1", &url, text(&shallow)]).await;
    assert_eq!(place.round_trip(&shallow).await.notes, Vec::<String>::new());
}

#[tokio::test]
async fn a_sparse_checkout_stays_sparse() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    for directory in ["in", "out"] {
        std::fs::create_dir(path.join(directory)).unwrap();
        place.scratch().commit(&path, &format!("{directory}/file"), "").await;
    }
    place.git(&path, &["sparse-checkout", "set", "in"]).await;
    let (workspace, _) = place.create(&path).await;
    assert!(workspace.path.join("in/file").exists() && !workspace.path.join("out").exists());
    assert_eq!(place.fixture.status(&workspace.path).await, "");
    assert_eq!(place.remove(&workspace).await, removed(true));
}

#[tokio::test]
async fn the_worktree_config_extension_works() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    place.git(&path, &["config", "extensions.worktreeConfig", "true"]).await;
    place.git(&path, &["config", "--worktree", "user.name", "Main"]).await;
    place.round_trip(&path).await;
}

#[tokio::test]
async fn submodules_are_left_out_with_a_note_and_removed_when_clean() {
    let place = Place::new();
    let (library, path) = (place.scratch().init("library").await, place.scratch().init("app").await);
    place.git(&path, &["submodule", "--quiet", "add", text(&library), "lib"]).await;
    place.git(&path, &["commit", "-q", "-m", "library"]).await;
    let (workspace, made) = place.create(&path).await;
    assert!(made.notes.iter().any(|note| note.contains("submodule update --init")), "{:?}", made.notes);
    place.git(&workspace.path, &["submodule", "--quiet", "update", "--init"]).await;
    let lib = workspace.path.join("lib");

    std::fs::write(lib.join("new.txt"), "work").unwrap();
    place.assert_kept(&workspace, "uncommitted").await;
    std::fs::remove_file(lib.join("new.txt")).unwrap();

    place.git(&lib, &["checkout", "-q", "-b", "work"]).await;
    place.scratch().commit(&lib, "new.txt", "work").await;
    place.git(&lib, &["checkout", "-q", "--detach", "origin/main"]).await;
    place.assert_kept(&workspace, "commits that are on no remote").await;
    place.git(&lib, &["branch", "-q", "-D", "work"]).await;

    assert_eq!(place.remove(&workspace).await, removed(true));
    assert!(path.join("lib/file.txt").is_file(), "the main checkout's submodule is another");
}

#[tokio::test]
async fn a_submodule_is_a_repository_that_works() {
    let place = Place::new();
    let (library, path) = (place.scratch().init("library").await, place.scratch().init("app").await);
    place.git(&path, &["submodule", "--quiet", "add", text(&library), "lib"]).await;
    place.round_trip(&path.join("lib")).await;
}

#[tokio::test]
async fn a_required_filter_that_fails_is_refused_and_nothing_is_left() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    place.scratch().commit(&path, ".gitattributes", "*.bin filter=lfs\n").await;
    place.scratch().commit(&path, "a.bin", "version https://git-lfs.github.com/spec/v1\n").await;
    let noted = place.round_trip(&path).await;
    assert!(noted.notes.iter().any(|note| note.contains("git lfs install")), "{:?}", noted.notes);

    let loose = place.scratch().commit(&path, "loose.txt", "").await;
    place.git(&path, &["reset", "-q", "--hard", "HEAD^"]).await;
    place.git(&path, &["config", "filter.lfs.smudge", "ao-no-such-program"]).await;
    place.git(&path, &["config", "filter.lfs.required", "true"]).await;
    let outcome = place.try_create(&place.request(&path).await).await;
    let Err(WorkspaceError::Failed { cause, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(cause.contains("ao-no-such-program") && !cause.contains("This is left"), "{cause}");
    place.assert_nothing_left(&path).await;

    // Also where nothing but the new branch held what it was started from.
    let request = WorkspaceRequest { base: Some(loose), ..place.request(&path).await };
    let Err(WorkspaceError::Failed { cause, .. }) = place.try_create(&request).await else { panic!("it is made") };
    assert!(!cause.contains("This is left"), "{cause}");
    place.assert_nothing_left(&path).await;
}

#[tokio::test]
async fn hooks_run_where_they_are_configured_and_a_failing_one_is_a_note() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let hooks = place.scratch().path("hooks");
    script(&hooks.join("post-checkout"), "#!/bin/sh\npwd >hooked\necho broken >&2\nexit 7\n");
    place.git(&path, &["config", "core.hooksPath", text(&hooks)]).await;
    let (workspace, made) = place.create(&path).await;
    assert!(made.notes.iter().any(|note| note.contains("hook failed: broken")), "{:?}", made.notes);
    let ran_in = std::fs::read_to_string(workspace.path.join("hooked")).unwrap();
    assert_eq!(ran_in.trim(), text(&workspace.path));
    place.assert_kept(&workspace, "1 uncommitted change").await;
}

#[tokio::test]
async fn what_a_hook_leaves_in_the_background_is_not_waited_for() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (hooks, pid_file) = (place.scratch().path("hooks"), place.scratch().path("pid"));
    let hook = format!("#!/bin/sh\nsleep 600 &\necho $! >'{}'\n", text(&pid_file));
    script(&hooks.join("post-checkout"), &hook);
    place.git(&path, &["config", "core.hooksPath", text(&hooks)]).await;
    let request = place.request(&path).await;
    let made = tokio::time::timeout(Duration::from_secs(20), place.try_create(&request)).await;
    let pid = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let left = ao::platform::process::identity(pid).unwrap();
    if left.is_some() {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    assert_eq!(made.expect("it is not waited for").unwrap().notes, Vec::<String>::new());
    assert!(left.is_some(), "it was ended");
}

#[tokio::test]
async fn a_worktree_or_subdirectory_as_the_start_works() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let linked = place.scratch().path("linked");
    place.git(&path, &["worktree", "add", "-q", "-b", "other", text(&linked)]).await;
    let mut request = place.request(&path).await;
    request.repository.path = linked.clone();
    let made = place.try_create(&request).await.unwrap();
    let removal = place.remove(&recorded(&request, Some(made.base_commit))).await;
    assert_eq!(removal, removed(true));
    assert!(linked.join("file.txt").is_file());
}

#[tokio::test]
async fn i15_exclude_keeps_the_users_lines() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    std::fs::write(path.join(".git/info/exclude"), "*.tmp").unwrap();
    place.round_trip(&path).await;
    place.round_trip(&path).await;
    assert_eq!(std::fs::read_to_string(path.join(".git/info/exclude")).unwrap(), "*.tmp\n/.ao/\n");
}

#[tokio::test]
async fn i13_a_foreign_lock_is_waited_out() {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let request = place.request(&path).await;
    let lock = path.join(".git/refs/heads/ao/app-1.lock");
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    std::fs::write(&lock, "").unwrap();
    let workspace = place.fixture.workspace();
    let mut making = Box::pin(workspace.create(&request));
    assert!(tokio::time::timeout(Duration::from_millis(400), &mut making).await.is_err(), "it waits");
    std::fs::remove_file(&lock).unwrap();
    making.await.unwrap();
}
