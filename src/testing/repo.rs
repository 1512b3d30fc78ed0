//! The contract of [`RepoResolver`].
//!
//! Implement [`RepoFixture`] for your adapter, then let [`repo_contract!`](crate::repo_contract) make one test of each
//! function here. The repositories are made by the suite, with real git.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::git::GitScratch;
use super::memory::MemoryProjects;
use crate::domain::Timestamp;
use crate::domain::id::ProjectId;
use crate::domain::project::Project;
use crate::ports::repo::{RepoError, RepoResolver, Repository};
use crate::ports::store::ProjectStore;

/// What the suite needs of an adapter. One fixture is made for each test.
pub trait RepoFixture: Send + Sync {
    /// The adapter, over this register.
    fn resolver(&self, projects: Arc<dyn ProjectStore>) -> Arc<dyn RepoResolver>;

    /// Where the repositories are made.
    fn scratch(&self) -> &GitScratch;
}

/// Makes one `#[tokio::test]` of each function of the suite. Takes an expression that makes a fixture.
#[macro_export]
macro_rules! repo_contract {
    ($fixture:expr) => {
        $crate::repo_contract!(@tests $fixture;
            a_checkout_and_its_subdirectories_resolve_to_its_top
            a_linked_worktree_resolves_to_the_main_checkout
            a_bare_repository_resolves_to_itself
            a_worktree_of_a_bare_repository_resolves_to_it
            a_submodule_is_a_repository_of_its_own
            an_unborn_branch_is_told
            a_detached_head_is_told
            the_git_directory_resolves_to_its_checkout
            packed_branches_and_worktree_config_are_read
            an_unknown_project_is_refused
            a_moved_repository_is_refused
            a_directory_without_git_is_refused
            a_project_whose_git_is_gone_is_not_its_parents_repository
            a_garbage_head_is_refused
            missing_objects_are_refused
            a_missing_head_commit_is_refused
            a_garbage_config_is_refused
            a_git_file_to_nowhere_is_refused
            formats_that_cannot_be_read_are_refused
            nothing_is_executed
        );
    };
    (@tests $fixture:expr; $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::testing::repo::$name(&$fixture).await;
            }
        )+
    };
}

async fn discover(fixture: &impl RepoFixture, directory: &Path) -> Result<Repository, RepoError> {
    fixture.resolver(Arc::new(MemoryProjects::default())).discover(directory).await
}

async fn found(fixture: &impl RepoFixture, directory: &Path) -> Repository {
    discover(fixture, directory).await.unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
}

async fn resolve(fixture: &impl RepoFixture, path: &Path) -> Result<Repository, RepoError> {
    let id = ProjectId::from_name("app");
    let projects = Arc::new(MemoryProjects::default());
    let project = Project { id: id.clone(), path: path.to_owned(), created_at: Timestamp::UNIX_EPOCH };
    projects.add_project(&project).await.expect("it is the first");
    fixture.resolver(projects).resolve(&id).await
}

async fn assert_corrupt(fixture: &impl RepoFixture, path: &Path, hint: &str) {
    for outcome in [discover(fixture, path).await, resolve(fixture, path).await] {
        match outcome {
            Err(RepoError::Corrupt { path: named, cause }) => {
                assert_eq!(named, path);
                assert!(cause.contains(hint), "{cause:?} does not tell of {hint:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

fn sub(path: &Path) -> PathBuf {
    let deep = path.join("a/b");
    std::fs::create_dir_all(&deep).expect("a directory");
    deep
}

/// A checkout resolves to itself, from any directory in it, and through a symbolic link.
pub async fn a_checkout_and_its_subdirectories_resolve_to_its_top(fixture: &impl RepoFixture) {
    let path = fixture.scratch().init("app").await;
    let expected = Repository {
        path: path.clone(),
        common_dir: path.join(".git"),
        is_bare: false,
        head_branch: Some("main".to_owned()),
        is_unborn: false,
    };
    assert_eq!(found(fixture, &path).await, expected);
    assert_eq!(found(fixture, &sub(&path)).await, expected);
    let link = fixture.scratch().path("link");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    assert_eq!(found(fixture, &link).await, expected);
    assert_eq!(resolve(fixture, &path).await.expect("it is usable"), expected);
}

/// A worktree, and a directory in it, resolve to the main checkout with the main checkout's branch.
pub async fn a_linked_worktree_resolves_to_the_main_checkout(fixture: &impl RepoFixture) {
    let scratch = fixture.scratch();
    let path = scratch.init("app").await;
    let linked = scratch.path("linked");
    scratch.git(&path, &["worktree", "add", "-q", "-b", "other", linked.to_str().expect("UTF-8")]).await;
    let repository = found(fixture, &sub(&linked)).await;
    assert_eq!(repository, found(fixture, &path).await);
    assert_eq!(repository.head_branch.as_deref(), Some("main"));
}

/// A bare repository has no checkout: its directory is the git directory.
pub async fn a_bare_repository_resolves_to_itself(fixture: &impl RepoFixture) {
    let scratch = fixture.scratch();
    let path = scratch.init("app").await;
    let bare = scratch.path("bare.git");
    scratch.git(&path, &["clone", "-q", "--bare", ".", bare.to_str().expect("UTF-8")]).await;
    let repository = found(fixture, &bare).await;
    assert!(repository.is_bare);
    assert_eq!((&repository.path, &repository.common_dir), (&bare, &bare));
    assert_eq!(repository.head_branch.as_deref(), Some("main"));
    assert_eq!(found(fixture, &bare.join("refs")).await, repository);
}

/// A worktree of a bare repository resolves to that.
pub async fn a_worktree_of_a_bare_repository_resolves_to_it(fixture: &impl RepoFixture) {
    let scratch = fixture.scratch();
    let path = scratch.init("app").await;
    let (bare, linked) = (scratch.path("bare.git"), scratch.path("linked"));
    scratch.git(&path, &["clone", "-q", "--bare", ".", bare.to_str().expect("UTF-8")]).await;
    scratch.git(&bare, &["worktree", "add", "-q", "-b", "other", linked.to_str().expect("UTF-8")]).await;
    let repository = found(fixture, &linked).await;
    assert!(repository.is_bare);
    assert_eq!(repository.path, bare);
}

/// A submodule's checkout is not its superproject's.
pub async fn a_submodule_is_a_repository_of_its_own(fixture: &impl RepoFixture) {
    let scratch = fixture.scratch();
    let (library, path) = (scratch.init("library").await, scratch.init("app").await);
    scratch.git(&path, &["submodule", "--quiet", "add", library.to_str().expect("UTF-8"), "lib"]).await;
    let repository = found(fixture, &path.join("lib")).await;
    assert_eq!(repository.path, path.join("lib"));
    assert_eq!(repository.common_dir, path.join(".git/modules/lib"));
    assert!(!repository.is_bare);
}

/// A repository without a commit is usable as a repository, and says so.
pub async fn an_unborn_branch_is_told(fixture: &impl RepoFixture) {
    let path = fixture.scratch().path("new");
    std::fs::create_dir_all(&path).expect("a directory");
    fixture.scratch().git(&path, &["init", "-q"]).await;
    let repository = found(fixture, &path).await;
    assert!(repository.is_unborn);
    assert_eq!(repository.head_branch.as_deref(), Some("main"));
}

/// A detached `HEAD` names no branch.
pub async fn a_detached_head_is_told(fixture: &impl RepoFixture) {
    let path = fixture.scratch().init("app").await;
    fixture.scratch().git(&path, &["checkout", "-q", "--detach"]).await;
    let repository = found(fixture, &path).await;
    assert_eq!((repository.head_branch, repository.is_unborn), (None, false));
}

/// Inside `.git` is inside the repository.
pub async fn the_git_directory_resolves_to_its_checkout(fixture: &impl RepoFixture) {
    let path = fixture.scratch().init("app").await;
    assert_eq!(found(fixture, &path.join(".git/hooks")).await.path, path);
}

/// Packed branches, branch names with slashes, and the worktree-config extension.
pub async fn packed_branches_and_worktree_config_are_read(fixture: &impl RepoFixture) {
    let scratch = fixture.scratch();
    let path = scratch.init("app").await;
    scratch.git(&path, &["checkout", "-q", "-b", "feature/größe"]).await;
    scratch.git(&path, &["pack-refs", "--all"]).await;
    scratch.git(&path, &["gc", "-q"]).await;
    scratch.git(&path, &["config", "extensions.worktreeConfig", "true"]).await;
    let repository = found(fixture, &path).await;
    assert_eq!(repository.head_branch.as_deref(), Some("feature/größe"));
    assert!(!repository.is_unborn);
}

/// A project nobody registered.
pub async fn an_unknown_project_is_refused(fixture: &impl RepoFixture) {
    let id = ProjectId::from_name("nobody");
    let outcome = fixture.resolver(Arc::new(MemoryProjects::default())).resolve(&id).await;
    assert!(matches!(&outcome, Err(RepoError::UnknownProject(named)) if *named == id), "{outcome:?}");
}

/// A directory that is not there any more.
pub async fn a_moved_repository_is_refused(fixture: &impl RepoFixture) {
    let path = fixture.scratch().init("app").await;
    std::fs::rename(&path, fixture.scratch().path("elsewhere")).expect("it moves");
    for outcome in [discover(fixture, &path).await, resolve(fixture, &path).await] {
        assert!(matches!(&outcome, Err(RepoError::Moved { path: named }) if *named == path), "{outcome:?}");
    }
}

/// A directory that no repository is around.
pub async fn a_directory_without_git_is_refused(fixture: &impl RepoFixture) {
    let path = fixture.scratch().path("plain");
    let deep = sub(&path);
    for outcome in [discover(fixture, &deep).await, resolve(fixture, &deep).await] {
        assert!(matches!(&outcome, Err(RepoError::NotARepository { path }) if *path == deep), "{outcome:?}");
    }
}

/// A registered repository that lost its `.git` is not the one around it.
pub async fn a_project_whose_git_is_gone_is_not_its_parents_repository(fixture: &impl RepoFixture) {
    let outer = fixture.scratch().init("outer").await;
    let inner = fixture.scratch().init("outer/inner").await;
    std::fs::remove_dir_all(inner.join(".git")).expect("it goes");
    let outcome = resolve(fixture, &inner).await;
    assert!(matches!(&outcome, Err(RepoError::NotARepository { path }) if *path == inner), "{outcome:?}");
    assert_eq!(found(fixture, &inner).await.path, outer);
}

/// `HEAD` holds nonsense.
pub async fn a_garbage_head_is_refused(fixture: &impl RepoFixture) {
    let path = fixture.scratch().init("app").await;
    std::fs::write(path.join(".git/HEAD"), "\0\u{1}nonsense").expect("a file is written");
    assert_corrupt(fixture, &path, "HEAD").await;
}

/// The objects are gone.
pub async fn missing_objects_are_refused(fixture: &impl RepoFixture) {
    let path = fixture.scratch().init("app").await;
    std::fs::remove_dir_all(path.join(".git/objects")).expect("it goes");
    assert_corrupt(fixture, &path, "object").await;
}

/// The commit that `HEAD` leads to is gone.
pub async fn a_missing_head_commit_is_refused(fixture: &impl RepoFixture) {
    let path = fixture.scratch().init("app").await;
    std::fs::remove_dir_all(path.join(".git/objects")).expect("it goes");
    std::fs::create_dir(path.join(".git/objects")).expect("a directory");
    assert_corrupt(fixture, &path, "the commit of HEAD").await;
}

/// The configuration cannot be parsed.
pub async fn a_garbage_config_is_refused(fixture: &impl RepoFixture) {
    let path = fixture.scratch().init("app").await;
    std::fs::write(path.join(".git/config"), "[core\nnonsense").expect("a file is written");
    assert_corrupt(fixture, &path, "config").await;
}

/// A `.git` file, as worktrees and submodules have, whose target is gone.
pub async fn a_git_file_to_nowhere_is_refused(fixture: &impl RepoFixture) {
    let path = fixture.scratch().path("lost");
    std::fs::create_dir_all(&path).expect("a directory");
    std::fs::write(path.join(".git"), "gitdir: /no/such/place\n").expect("a file is written");
    assert_corrupt(fixture, &path, "/no/such/place").await;
}

/// Formats that the adapter does not know are not taken for something else. One it does know is left out.
pub async fn formats_that_cannot_be_read_are_refused(fixture: &impl RepoFixture) {
    for (name, option) in [("reftable", "--ref-format=reftable"), ("sha256", "--object-format=sha256")] {
        let path = fixture.scratch().path(name);
        std::fs::create_dir_all(&path).expect("a directory");
        if !fixture.scratch().try_git(&path, &["init", "-q", option]).await.status.success() {
            continue; // This git is too old to make one.
        }
        fixture.scratch().commit(&path, "file.txt", "one\n").await;
        match discover(fixture, &path).await {
            Ok(repository) => assert_eq!(repository, fixture.scratch().describe(&path).await),
            Err(RepoError::Corrupt { cause, .. }) => assert!(cause.contains(name), "{cause:?} does not tell of {name}"),
            other => panic!("{other:?}"),
        }
    }
}

/// Neither a configured command nor a hook runs.
pub async fn nothing_is_executed(fixture: &impl RepoFixture) {
    let scratch = fixture.scratch();
    let path = scratch.init("app").await;
    let trace = scratch.path("trace");
    let command = format!("touch '{}'", trace.display());
    for name in ["core.fsmonitor", "core.sshCommand", "core.pager", "filter.x.smudge", "filter.x.process"] {
        scratch.git(&path, &["config", name, &command]).await;
    }
    std::fs::write(path.join(".gitattributes"), "* filter=x\n").expect("a file is written");
    found(fixture, &path).await;
    resolve(fixture, &path).await.expect("it is usable");
    assert!(!trace.exists(), "a configured command ran");
}
