//! Work that was in nobody's commit when its workspace had to go.

use serde::{Deserialize, Serialize};

use super::id::SessionId;

/// Uncommitted work that was saved as commits in the session's repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreservedWork {
    /// The reference that holds it, for example `refs/ao/preserved/app-1`.
    pub reference: String,
    /// The commit it is.
    pub commit: String,
}

impl PreservedWork {
    /// The reference that holds a session's saved work, unless a session of that name in another data directory has it.
    #[must_use]
    pub fn reference_of(session: &SessionId) -> String {
        format!("refs/ao/preserved/{session}")
    }
}
