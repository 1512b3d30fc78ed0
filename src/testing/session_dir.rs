//! The contract of [`SessionDirs`].
//!
//! Implement [`SessionDirsFixture`] for your adapter, then let [`session_dir_contract!`](crate::session_dir_contract) make
//! one test of each function here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

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
            what_cannot_be_made_is_named
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
