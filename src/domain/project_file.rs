//! What a repository's `ao.toml` sets.

use serde::{Deserialize, Serialize};

use super::id::AgentKind;
use super::permission::PermissionMode;
use super::setup::ProjectSetup;

/// The settings of a repository, as its `ao.toml` says them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectSettings {
    /// What branches start from.
    pub base: Option<String>,
    /// What the names of branches begin with.
    pub branch_prefix: Option<String>,
    /// The agent of a spawn that names none.
    pub agent: Option<AgentKind>,
    /// The permission mode of a spawn that names none.
    pub permission_mode: Option<PermissionMode>,
    /// What is done in each new workspace.
    pub setup: ProjectSetup,
}

impl ProjectSettings {
    /// Whether a person has to accept the file before it takes effect: it says what runs on their machine, in which environment, with
    /// which of their files, or how much an agent may do unasked. What branches are called and start from harms nobody.
    #[must_use]
    pub fn needs_acceptance(&self) -> bool {
        self.agent.is_some() || self.permission_mode.is_some() || !self.setup.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rule::{Rule, RuleVerdict};

    #[test]
    fn only_what_can_harm_needs_acceptance() {
        let harmless = ProjectSettings {
            base: Some("develop".into()),
            branch_prefix: Some("bot/".into()),
            setup: ProjectSetup { timeout_s: 5, teardown_timeout_s: 5, ..ProjectSetup::default() },
            ..ProjectSettings::default()
        };
        assert!(!harmless.needs_acceptance());
        let one = || vec!["x".to_owned()];
        let setups = [
            ProjectSetup { setup: one(), ..ProjectSetup::default() },
            ProjectSetup { teardown: one(), ..ProjectSetup::default() },
            ProjectSetup { copy: vec!["x".into()], ..ProjectSetup::default() },
            ProjectSetup { link: vec!["x".into()], ..ProjectSetup::default() },
            ProjectSetup {
                rules: vec![Rule { tool: "Bash".into(), input: None, decide: RuleVerdict::Allow, reason: None }],
                ..ProjectSetup::default()
            },
            ProjectSetup { env: [("X".to_owned(), String::new())].into(), ..ProjectSetup::default() },
        ];
        for setup in setups {
            assert!(ProjectSettings { setup, ..harmless.clone() }.needs_acceptance());
        }
        assert!(ProjectSettings { agent: Some("command".parse().unwrap()), ..harmless.clone() }.needs_acceptance());
        assert!(ProjectSettings { permission_mode: Some(PermissionMode::Plan), ..harmless }.needs_acceptance());
    }
}
