//! Two data directories have sessions of one name in one repository, and neither touches what is the other's.

use std::path::{Path, PathBuf};

use ao::domain::preserved::PreservedWork;
use ao::ports::workspace::{Removal, WorkspaceError, WorkspaceRef};
use ao::testing::workspace::{WorkspaceFixture, again, missing, recorded, removed};

use super::support::Place;

/// Where the other data directory has its workspace.
async fn create_other(place: &Place, repository: &Path, branch: &str) -> WorkspaceRef {
    let mut request = place.request(repository).await;
    request.path = place.scratch().path("other data.d/worktrees/app/app-1");
    request.branch = branch.to_owned();
    let made = place.try_create(&request).await.unwrap_or_else(|error| panic!("{error}"));
    recorded(&request, Some(made.base_commit))
}

async fn place() -> (Place, PathBuf, WorkspaceRef) {
    let place = Place::new();
    let path = place.scratch().init("app").await;
    let (workspace, _) = place.create(&path).await;
    (place, path, workspace)
}

async fn save(place: &Place, workspace: &WorkspaceRef, content: &str) -> PreservedWork {
    std::fs::write(workspace.path.join("new.txt"), content).unwrap();
    match place.save(workspace).await {
        Removal::Removed { preserved: Some(work), .. } => work,
        other => panic!("{other:?}, and its work should have been saved"),
    }
}

#[tokio::test]
async fn i05_the_saved_work_of_one_is_not_the_others() {
    let (place, path, mine) = place().await;
    let my_work = save(&place, &mine, "mine").await;
    let other = create_other(&place, &path, "ao/app-1").await;
    assert_eq!(place.git(&path, &["rev-parse", &my_work.reference]).await, my_work.commit, "it stays where it is");
    let other_work = save(&place, &other, "other's").await;
    assert_ne!(my_work.reference, other_work.reference);

    place.reopen(&mine).await;
    assert_eq!(std::fs::read_to_string(mine.path.join("new.txt")).unwrap(), "mine");
    std::fs::remove_file(mine.path.join("new.txt")).unwrap();
    assert_eq!(place.remove(&mine).await, removed(true));
    assert_eq!(place.git(&path, &["for-each-ref", "--format=%(objectname)", "refs/ao/"]).await, other_work.commit);
    place.reopen(&other).await;
    assert_eq!(std::fs::read_to_string(other.path.join("new.txt")).unwrap(), "other's");
    // Its reference goes on being its own while the usual one is free.
    let again = save(&place, &other, "other's").await;
    assert_eq!(again.reference, other_work.reference);
}

#[tokio::test]
async fn what_one_was_on_is_not_what_the_other_was() {
    let (place, path, mine) = place().await;
    place.git(&mine.path, &["checkout", "-q", "-b", "my-own"]).await;
    place.remove(&mine).await;
    let other = create_other(&place, &path, "ao/app-1").await;
    assert_eq!(place.remove(&other).await, removed(true));
    place.reopen(&other).await;
    place.git(&other.path, &["checkout", "-q", "-b", "others-own"]).await;
    place.remove(&other).await;
    assert_eq!(place.reopen(&mine).await.branch.as_deref(), Some("my-own"));
    assert_eq!(place.reopen(&other).await.branch.as_deref(), Some("others-own"));
}

#[tokio::test]
async fn i06_the_worktree_of_one_is_in_nobody_elses_way() {
    let (place, path, mine) = place().await;
    assert_eq!(place.remove(&mine).await, removed(true));
    let other = create_other(&place, &path, "ao/app-1").await;
    // Also half-made.
    for half_made in [false, true] {
        if half_made {
            let admin = path.join(".git/worktrees/app-1");
            let owner = std::fs::read_to_string(admin.join("ao-session")).unwrap();
            std::fs::rename(admin.join("ao-session"), admin.join("locked")).unwrap();
            std::fs::write(admin.join("locked"), format!("ao: {owner}")).unwrap();
            std::fs::remove_file(admin.join("gitdir")).unwrap();
        }
        assert_eq!(place.remove(&mine).await, missing(false));
        assert!(path.join(".git/worktrees/app-1").is_dir() && other.path.is_dir());
    }
}

#[tokio::test]
async fn i05_the_branch_of_one_is_neither_taken_nor_deleted_by_the_other() {
    let (place, path, mine) = place().await;
    assert_eq!(place.remove(&mine).await, removed(true));
    let other = create_other(&place, &path, "ao/app-1").await;
    place.scratch().commit(&other.path, "other.txt", "").await;
    assert_eq!(place.remove(&other).await, removed(false));
    let outcome = place.fixture.workspace().reopen(&again(&mine)).await;
    let Err(WorkspaceError::Failed { cause, .. }) = &outcome else { panic!("{outcome:?}") };
    assert!(cause.contains("ao/app-1") && cause.contains("made for"), "{cause}");
    assert!(!mine.path.exists());
    place.git(&path, &["update-ref", "refs/heads/ao/app-1", "main"]).await;
    assert_eq!(place.remove(&mine).await, missing(false));
    assert_eq!(place.remove(&other).await, missing(true));
}
