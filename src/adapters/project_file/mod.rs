//! `ao.toml` in a repository.
//!
//! | Module | Holds |
//! | --- | --- |
//! | `read` | getting at the bytes, past no link |
//! | `parse` | what they set, or the line and key of a mistake |
//! | `value` | the values that have rules of their own |

mod parse;
#[cfg(test)]
mod parse_tests;
mod read;
mod value;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::ports::project_file::{ProjectFile, ProjectFileError, ProjectFiles};
use crate::ports::repo::Repository;

/// The file's name, in the root of the repository.
const NAME: &str = "ao.toml";

/// The most that is read, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// Reads `ao.toml` from the main checkout, or from `HEAD` where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct AoToml;

#[async_trait]
impl ProjectFiles for AoToml {
    async fn read(&self, repository: &Repository) -> Result<Option<ProjectFile>, ProjectFileError> {
        let path = repository.path.join(NAME);
        let repository = repository.clone();
        let reading = tokio::task::spawn_blocking(move || read(&repository));
        reading.await.unwrap_or_else(|error| Err(ProjectFileError::Unreadable { path, cause: error.to_string() }))
    }
}

#[cfg(feature = "fuzzing")]
pub(crate) use parse::parse;

fn read(repository: &Repository) -> Result<Option<ProjectFile>, ProjectFileError> {
    let path = repository.path.join(NAME);
    let content = if repository.is_bare { read::from_head(repository) } else { read::from_checkout(repository) };
    let Some(content) = content.map_err(|refusal| refusal.of(&path))? else { return Ok(None) };
    let mistaken = |mistake: String| ProjectFileError::Mistake { path: path.clone(), mistake };
    let settings = parse::parse(&content).map_err(|mistake| mistaken(mistake.to_string()))?;
    let digest = format!("{:x}", Sha256::digest(&content));
    // What was parsed is text.
    let content = String::from_utf8(content).map_err(|error| mistaken(error.to_string()))?;
    Ok(Some(ProjectFile { path, content, digest, settings }))
}
