//! Doctor: what on this machine works, what does not, and what to do about it.

use serde::{Deserialize, Serialize};

use super::Application;
use super::error::AppError;
use crate::ports::agent::{Agent, AgentError};
use crate::ports::runtime::Runtime;
use crate::ports::workspace::Workspace;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It works.
    Ok,
    /// It does not, and ao can be used without it.
    Absent,
    /// It does not, and that must be mended.
    Broken,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at, for example `git`.
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do, when something is to be done.
    pub advice: Option<String>,
}

impl Check {
    /// A check that went well.
    #[must_use]
    pub fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    /// A check that did not.
    #[must_use]
    pub fn failed(name: impl Into<String>, verdict: Verdict, error: &AppError) -> Self {
        Self { name: name.into(), verdict, found: error.message.clone(), advice: error.hint.clone() }
    }
}

impl Application {
    /// Looks at git, the runtimes and the agents that this application is composed of. Changes nothing.
    pub async fn examine(&self) -> Vec<Check> {
        let runtimes: Vec<&dyn Runtime> = self.shared.runtimes.iter().map(AsRef::as_ref).collect();
        let agents: Vec<&dyn Agent> = self.shared.agents.values().map(AsRef::as_ref).collect();
        examine(&*self.shared.workspace, &runtimes, &agents).await
    }
}

/// Looks at git, the runtimes and the agents. Changes nothing and needs no daemon.
pub async fn examine(workspace: &dyn Workspace, runtimes: &[&dyn Runtime], agents: &[&dyn Agent]) -> Vec<Check> {
    let mut checks = vec![match workspace.check_tools().await {
        Ok(version) => Check::ok("git", version),
        Err(error) => Check::failed("git", Verdict::Broken, &error.into()),
    }];
    for runtime in runtimes {
        let name = format!("runtime {}", runtime.kind());
        checks.push(match runtime.preflight().await {
            Ok(version) => Check::ok(name, version.unwrap_or_else(|| "built in".to_owned())),
            Err(error) => Check::failed(name, Verdict::Absent, &error.into()),
        });
    }
    for agent in agents {
        let name = format!("agent {}", agent.kind());
        checks.push(match agent.preflight(&[]).await {
            Ok(installation) => {
                let version = installation.version.unwrap_or_default();
                Check::ok(name, format!("{version} at {}", installation.program.display()).trim_start().to_owned())
            }
            // Nothing is missing: this one is told what to run by each spawn.
            Err(AgentError::Refused(_)) if !agent.reports() => {
                Check::ok(name, "runs any program: ao spawn --agent command -- make -k")
            }
            Err(error) => Check::failed(name, Verdict::Absent, &error.into()),
        });
    }
    checks
}
