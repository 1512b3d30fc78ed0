//! Work that was in nobody's commit when its workspace had to go.

use serde::{Deserialize, Serialize};

/// Uncommitted work that was saved as commits in the session's repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreservedWork {
    /// The reference that holds it, for example `refs/ao/preserved/app-1`.
    pub reference: String,
    /// The commit it is.
    pub commit: String,
}
