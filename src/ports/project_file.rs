//! What does a repository say about itself to ao?

use std::path::PathBuf;

use async_trait::async_trait;

use super::repo::Repository;
use crate::domain::project_file::ProjectSettings;

/// Why a repository's file cannot be used. The text names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectFileError {
    /// It is there and cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
    /// It is a link, a directory or something else that holds no text of its own.
    #[error("{} is {what}, and ao reads only a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// What it is instead, for example `a symbolic link`.
        what: &'static str,
    },
    /// It is larger than any such file is.
    #[error("{} is larger than {max_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        max_bytes: u64,
    },
    /// There is a mistake in it.
    #[error("{} {mistake}", path.display())]
    Mistake {
        /// The file.
        path: PathBuf,
        /// The line, the key, and what is wrong, for a person.
        mistake: String,
    },
}

/// A repository's file, read once: settings, content and digest are of the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its whole content.
    pub content: String,
    /// The SHA-256 of the content, in hexadecimal.
    pub digest: String,
    /// What it sets.
    pub settings: ProjectSettings,
}

/// Reads the file in which a repository tells ao how its workspaces are set up. Reads only.
///
/// # Contract
/// - The file is the main checkout's, as it is on disk, committed or not; a bare repository's is that of its `HEAD`. What a workspace
///   has in its place does not count: an agent could change it.
/// - No link is followed: neither the file itself nor, in a bare repository, its entry may be one. So it never leads out of the
///   repository.
/// - What cannot be read or understood is an error, never absence, and names the line and the key of a mistake.
/// - Its size is bounded, and whatever stands in its place, reading it ends.
#[async_trait]
pub trait ProjectFiles: Send + Sync {
    /// A repository's file; `Ok(None)` when it has none.
    ///
    /// # Errors
    /// [`ProjectFileError`].
    async fn read(&self, repository: &Repository) -> Result<Option<ProjectFile>, ProjectFileError>;
}
