//! How much an agent may do without asking.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much an agent may do without asking, in the words users of coding agents know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PermissionMode {
    /// The agent's own default: it asks before anything with effects.
    #[default]
    Default,
    /// File edits need no question, other tools do.
    AcceptEdits,
    /// The agent decides for itself what needs a question.
    Auto,
    /// The agent only plans.
    Plan,
    /// Nothing is asked.
    BypassPermissions,
}

impl PermissionMode {
    /// Every mode.
    pub const ALL: [Self; 5] = [Self::Default, Self::AcceptEdits, Self::Auto, Self::Plan, Self::BypassPermissions];

    /// The mode's name on the command line, in configuration and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::AcceptEdits => "accept-edits",
            Self::Auto => "auto",
            Self::Plan => "plan",
            Self::BypassPermissions => "bypass-permissions",
        }
    }
}

impl fmt::Display for PermissionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Text that names no permission mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a permission mode: use default, accept-edits, auto, plan or bypass-permissions")]
pub struct UnknownPermissionMode(pub String);

impl FromStr for PermissionMode {
    type Err = UnknownPermissionMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| UnknownPermissionMode(text.to_owned()))
    }
}
