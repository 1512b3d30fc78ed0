//! The contract of [`ProjectFiles`].
//!
//! Implement [`ProjectFilesFixture`] for your adapter, then let [`project_file_contract!`](crate::project_file_contract) make
//! one test of each function here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::git::GitScratch;
use crate::ports::project_file::{ProjectFile, ProjectFileError, ProjectFiles};

/// What the suite needs of an adapter. One fixture is made for each test.
pub trait ProjectFilesFixture: Send + Sync {
    /// The adapter.
    fn files(&self) -> Arc<dyn ProjectFiles>;

    /// A place with a git of its own.
    fn scratch(&self) -> &GitScratch;

    /// The file's name in a repository.
    fn name(&self) -> &'static str;

    /// A content without mistakes, that sets something.
    fn content(&self) -> &'static str;

    /// A content with a mistake, and the line and the key it is told with.
    fn mistaken(&self) -> (&'static str, &'static str);
}

/// Makes one `#[tokio::test]` of each function of the suite. Takes an expression that makes a fixture.
#[macro_export]
macro_rules! project_file_contract {
    ($fixture:expr) => {
        $crate::project_file_contract!(@tests $fixture;
            a_repository_without_a_file_has_none
            content_digest_and_settings_are_of_the_same_bytes
            what_is_on_disk_counts_and_not_what_was_committed
            a_bare_repository_has_that_of_its_head
            a_bare_repository_without_commits_has_none
            a_link_is_refused_wherever_it_leads
            what_is_no_file_is_refused
            what_is_too_large_is_refused
            a_mistake_is_told_with_its_place
        );
    };
    (@tests $fixture:expr; $($name:ident)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::testing::project_file::$name(&$fixture).await;
            }
        )+
    };
}

async fn read(fixture: &impl ProjectFilesFixture, path: &Path) -> Result<Option<ProjectFile>, ProjectFileError> {
    fixture.files().read(&fixture.scratch().describe(path).await).await
}

async fn with_file(fixture: &impl ProjectFilesFixture) -> (PathBuf, PathBuf) {
    let repository = fixture.scratch().init("app").await;
    let file = repository.join(fixture.name());
    std::fs::write(&file, fixture.content()).expect("a file is written");
    (repository, file)
}

async fn bare(fixture: &impl ProjectFilesFixture, of: &Path) -> PathBuf {
    let path = fixture.scratch().path("bare.git");
    let path_text = path.to_str().expect("the scratch's path is text");
    fixture.scratch().git(of, &["clone", "-q", "--bare", ".", path_text]).await;
    path
}

/// Absence is no error.
pub async fn a_repository_without_a_file_has_none(fixture: &impl ProjectFilesFixture) {
    let repository = fixture.scratch().init("app").await;
    assert_eq!(read(fixture, &repository).await.expect("it reads"), None);
    let bare = bare(fixture, &repository).await;
    assert_eq!(read(fixture, &bare).await.expect("it reads"), None);
}

/// The digest is 64 digits, the same for the same content, and another for each other content.
pub async fn content_digest_and_settings_are_of_the_same_bytes(fixture: &impl ProjectFilesFixture) {
    let (repository, path) = with_file(fixture).await;
    let file = read(fixture, &repository).await.expect("it reads").expect("it is there");
    assert_eq!((file.path.as_path(), file.content.as_str()), (path.as_path(), fixture.content()));
    assert!(file.digest.len() == 64 && file.digest.chars().all(|c| c.is_ascii_hexdigit()), "{}", file.digest);
    assert_eq!(read(fixture, &repository).await.expect("it reads"), Some(file.clone()));
    std::fs::write(&path, "").expect("a file is written");
    let empty = read(fixture, &repository).await.expect("it reads").expect("it is there");
    assert_ne!((&empty.digest, &empty.settings), (&file.digest, &file.settings));
}

/// A person tries a file before they commit it.
pub async fn what_is_on_disk_counts_and_not_what_was_committed(fixture: &impl ProjectFilesFixture) {
    let repository = fixture.scratch().init("app").await;
    fixture.scratch().commit(&repository, fixture.name(), "").await;
    let path = repository.join(fixture.name());
    std::fs::write(&path, fixture.content()).expect("a file is written");
    let file = read(fixture, &repository).await.expect("it reads").expect("it is there");
    assert_eq!(file.content, fixture.content());
    std::fs::remove_file(&path).expect("it goes");
    assert_eq!(read(fixture, &repository).await.expect("it reads"), None);
}

/// There is no checkout, so what was committed counts.
pub async fn a_bare_repository_has_that_of_its_head(fixture: &impl ProjectFilesFixture) {
    let repository = fixture.scratch().init("app").await;
    fixture.scratch().commit(&repository, fixture.name(), fixture.content()).await;
    let on_disk = read(fixture, &repository).await.expect("it reads").expect("it is there");
    let bare = bare(fixture, &repository).await;
    let file = read(fixture, &bare).await.expect("it reads").expect("it is there");
    assert_eq!((file.digest, file.settings), (on_disk.digest, on_disk.settings));
}

/// Nothing was committed yet.
pub async fn a_bare_repository_without_commits_has_none(fixture: &impl ProjectFilesFixture) {
    let path = fixture.scratch().path("empty.git");
    std::fs::create_dir_all(&path).expect("a directory");
    fixture.scratch().git(&path, &["init", "-q", "--bare"]).await;
    assert_eq!(read(fixture, &path).await.expect("it reads"), None);
}

/// Out of the repository, within it, and to nowhere; on disk and in a bare repository's commit.
pub async fn a_link_is_refused_wherever_it_leads(fixture: &impl ProjectFilesFixture) {
    let repository = fixture.scratch().init("app").await;
    let outside = fixture.scratch().path("outside");
    std::fs::write(&outside, fixture.content()).expect("a file is written");
    std::fs::write(repository.join("inside"), fixture.content()).expect("a file is written");
    let path = repository.join(fixture.name());
    for target in [outside.as_path(), Path::new("inside"), Path::new("/no/such/file")] {
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(target, &path).expect("a link is made");
        let outcome = read(fixture, &repository).await;
        assert!(
            matches!(&outcome, Err(ProjectFileError::NotAFile { path: named, .. }) if *named == path),
            "{outcome:?}"
        );
    }
    fixture.scratch().git(&repository, &["add", "."]).await;
    fixture.scratch().git(&repository, &["commit", "-q", "-m", "a link"]).await;
    let bare = bare(fixture, &repository).await;
    let outcome = read(fixture, &bare).await;
    assert!(matches!(&outcome, Err(ProjectFileError::NotAFile { .. })), "{outcome:?}");
}

/// A directory; a named pipe that nobody writes to, which must not be waited for.
pub async fn what_is_no_file_is_refused(fixture: &impl ProjectFilesFixture) {
    let repository = fixture.scratch().init("app").await;
    let path = repository.join(fixture.name());
    std::fs::create_dir(&path).expect("a directory");
    let outcome = read(fixture, &repository).await;
    assert!(matches!(&outcome, Err(ProjectFileError::NotAFile { .. })), "{outcome:?}");
    std::fs::remove_dir(&path).expect("it goes");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).expect("a pipe is made");
    let bounded = tokio::time::timeout(std::time::Duration::from_secs(30), read(fixture, &repository)).await;
    let outcome = bounded.expect("it is not waited for");
    assert!(matches!(&outcome, Err(ProjectFileError::NotAFile { .. })), "{outcome:?}");
}

/// On disk and in a bare repository's commit.
pub async fn what_is_too_large_is_refused(fixture: &impl ProjectFilesFixture) {
    let repository = fixture.scratch().init("app").await;
    fixture.scratch().commit(&repository, fixture.name(), &"# comment\n".repeat(200_000)).await;
    let bare = bare(fixture, &repository).await;
    for repository in [repository, bare] {
        let outcome = read(fixture, &repository).await;
        assert!(matches!(&outcome, Err(ProjectFileError::TooLarge { .. })), "{outcome:?}");
    }
}

/// The file, the line and the key.
pub async fn a_mistake_is_told_with_its_place(fixture: &impl ProjectFilesFixture) {
    let (repository, path) = with_file(fixture).await;
    let (content, place) = fixture.mistaken();
    std::fs::write(&path, content).expect("a file is written");
    let error = read(fixture, &repository).await.expect_err("a mistake").to_string();
    assert!(error.contains(path.to_str().expect("text")) && error.contains(place), "{error}");
}
