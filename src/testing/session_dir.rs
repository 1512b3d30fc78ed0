//! The contract of [`SessionDirs`].
//!
//! Implement [`SessionDirsFixture`] for your adapter, then let [`session_dir_contract!`](crate::session_dir_contract) make
//! one test of each function here.

use std::fs;
use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::domain::Timestamp;
use crate::domain::id::SessionId;
use crate::ports::session_dir::SessionDirs;

/// What the suite needs of an adapter. One fixture is made for each test; it holds what the directories lie in.
pub trait SessionDirsFixture: Send + Sync {
    /// Opens the directories: none the first time, and afterwards the same ones again, as the next daemon would.
    fn open(&self) -> Arc<dyn SessionDirs>;
}

/// Makes one `#[tokio::test]` of each function of the suite. Takes an expression that makes a fixture.
#[macro_export]
macro_rules! session_dir_contract {
    ($fixture:expr) => {
        $crate::session_dir_contract!(@tests $fixture;
            the_path_depends_on_the_session_only
            directories_are_private
            making_twice_keeps_what_is_there
            removing_takes_everything_of_that_session_and_nothing_else
            removing_all_but_some_files_leaves_those_alone
            what_cannot_be_made_is_named
            only_directories_that_are_surely_ours_are_listed
            a_directory_is_as_new_as_the_newest_in_it
            removing_follows_no_link
        );
    };
    (@tests $fixture:expr; $($name:ident)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::testing::session_dir::$name(&$fixture).await;
            }
        )+
    };
}

fn session(id: &str) -> SessionId {
    id.parse().expect("a valid id")
}

/// The same before the directory is there, while it is, and for the next daemon; another one for each session.
pub async fn the_path_depends_on_the_session_only(fixture: &impl SessionDirsFixture) {
    let dirs = fixture.open();
    let path = dirs.path(&session("app-1"));
    assert!(path.is_absolute() && !path.exists(), "{}", path.display());
    assert_eq!(dirs.make(&session("app-1")).await.expect("make"), path);
    assert_eq!(fixture.open().path(&session("app-1")), path);
    let other = dirs.make(&session("app-11")).await.expect("make");
    assert!(!other.starts_with(&path) && !path.starts_with(&other), "{}", other.display());
}

/// 0700.
pub async fn directories_are_private(fixture: &impl SessionDirsFixture) {
    let path = fixture.open().make(&session("app-1")).await.expect("make");
    let mode = fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(format!("{mode:o}"), "700", "{}", path.display());
}

/// Making is idempotent.
pub async fn making_twice_keeps_what_is_there(fixture: &impl SessionDirsFixture) {
    let path = fixture.open().make(&session("app-1")).await.expect("make");
    fs::write(path.join("prompt"), "text").expect("write");
    assert_eq!(fixture.open().make(&session("app-1")).await.expect("make again"), path);
    assert_eq!(fs::read_to_string(path.join("prompt")).expect("read"), "text");
}

/// Removing is idempotent, and success also for a session that never had a directory.
pub async fn removing_takes_everything_of_that_session_and_nothing_else(fixture: &impl SessionDirsFixture) {
    let dirs = fixture.open();
    dirs.remove(&session("app-1")).await.expect("remove what never was");
    let path = dirs.make(&session("app-1")).await.expect("make");
    let other = dirs.make(&session("app-11")).await.expect("make");
    fs::create_dir(path.join("inner")).expect("make");
    fs::write(path.join("inner/file"), "text").expect("write");
    dirs.remove(&session("app-1")).await.expect("remove");
    dirs.remove(&session("app-1")).await.expect("remove again");
    assert!(!path.exists() && other.is_dir());
}

/// A directory goes whatever its name; where none of the files is, so does the session's directory.
pub async fn removing_all_but_some_files_leaves_those_alone(fixture: &impl SessionDirsFixture) {
    let (dirs, id) = (fixture.open(), session("app-1"));
    let keep = ["one.log".to_owned(), "two.log".to_owned()];
    dirs.remove_but(&id, &keep).await.expect("what never was");
    let path = dirs.make(&id).await.expect("make");
    fs::create_dir_all(path.join("two.log/inner")).expect("make");
    for name in ["one.log", "prompt", "two.log/inner/file"] {
        fs::write(path.join(name), "text").expect("write");
    }
    dirs.remove_but(&id, &keep).await.expect("removed");
    let left: Vec<_> = fs::read_dir(&path).expect("list").map(|entry| entry.expect("entry").file_name()).collect();
    assert_eq!(left, ["one.log"]);
    dirs.remove_but(&id, &[]).await.expect("removed");
    dirs.remove_but(&id, &[]).await.expect("removed again");
    assert!(!path.exists());
}

/// A file in the directory's place is an error that names it, and stays.
pub async fn what_cannot_be_made_is_named(fixture: &impl SessionDirsFixture) {
    let dirs = fixture.open();
    let path = dirs.make(&session("app-1")).await.expect("make");
    fs::remove_dir(&path).expect("remove");
    fs::write(&path, "mine").expect("write");
    let error = dirs.make(&session("app-1")).await.expect_err("a file is there");
    assert!(error.path == path && error.to_string().contains("app-1"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("read"), "mine");
}

async fn listed(dirs: &dyn SessionDirs) -> Vec<String> {
    dirs.list().await.expect("list").iter().map(|directory| directory.session.to_string()).collect()
}

/// What a person or another program put there is not listed, whatever its name; nothing there is no error.
pub async fn only_directories_that_are_surely_ours_are_listed(fixture: &impl SessionDirsFixture) {
    let dirs = fixture.open();
    assert_eq!(listed(&*dirs).await, Vec::<String>::new());
    for id in ["my-app-12", "app-1"] {
        dirs.make(&session(id)).await.expect("make");
    }
    let root = dirs.path(&session("app-1")).parent().expect("a parent").to_owned();
    let private = |path| fs::set_permissions(path, Permissions::from_mode(0o700)).expect("set the mode");
    for name in ["notes", "app-0", "App-1", ".app-3"] {
        fs::create_dir(root.join(name)).expect("make");
        private(root.join(name));
    }
    fs::write(root.join("app-4"), "a file").expect("write");
    private(root.join("app-4"));
    symlink(root.join("notes"), root.join("app-5")).expect("link");
    fs::create_dir(root.join("app-6")).expect("make");
    fs::set_permissions(root.join("app-6"), Permissions::from_mode(0o755)).expect("set the mode");
    assert_eq!(listed(&*fixture.open()).await, ["app-1", "my-app-12"]);
    dirs.remove(&session("app-1")).await.expect("remove");
    assert_eq!(listed(&*dirs).await, ["my-app-12"]);
}

/// Writing into a file that is there changes no directory.
pub async fn a_directory_is_as_new_as_the_newest_in_it(fixture: &impl SessionDirsFixture) {
    let dirs = fixture.open();
    let path = dirs.make(&session("app-1")).await.expect("make");
    let set = |path: &std::path::Path, second| {
        let file = File::open(path).expect("open");
        file.set_modified(UNIX_EPOCH + Duration::from_secs(second)).expect("set the time");
    };
    fs::create_dir(path.join("terminal")).expect("make");
    for (inner, outer, newest) in [(100, 200, 200), (300, 200, 300)] {
        set(&path.join("terminal"), inner);
        set(&path, outer);
        let listed = dirs.list().await.expect("list");
        assert_eq!(listed[0].changed_at, Timestamp::from_second(newest).expect("in range"));
    }
}

/// Neither in it nor in its place.
pub async fn removing_follows_no_link(fixture: &impl SessionDirsFixture) {
    let dirs = fixture.open();
    let path = dirs.make(&session("app-1")).await.expect("make");
    let theirs = path.parent().expect("a parent").join("theirs");
    fs::create_dir(&theirs).expect("make");
    fs::write(theirs.join("file"), "mine").expect("write");
    symlink(&theirs, path.join("link")).expect("link");
    dirs.remove(&session("app-1")).await.expect("remove");
    for keep in [&[][..], &["one.log".to_owned()]] {
        symlink(&theirs, &path).expect("link");
        let _ = dirs.remove_but(&session("app-1"), keep).await;
        assert_eq!(fs::read_to_string(theirs.join("file")).expect("it is there"), "mine");
        let _ = fs::remove_file(&path);
    }
}
