//! A registered git repository.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::id::ProjectId;

/// A registered git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// The id, unique on this machine.
    pub id: ProjectId,
    /// The repository's main checkout, or the repository itself when it is bare. Absolute, links resolved.
    pub path: PathBuf,
    /// When it was registered.
    pub created_at: Timestamp,
}
