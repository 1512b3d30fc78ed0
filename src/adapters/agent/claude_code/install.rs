//! Finding Claude Code and its version.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::id::AgentKind;
use crate::platform::child::Program;
use crate::platform::file::{find_program, is_executable};
use crate::ports::agent::{AgentError, AgentInstallation};

use super::ClaudeCodeSettings;

/// The oldest version that was seen to do everything ao relies on: the prompt from standard input, the hooks, the trust of
/// single directories. An older one may do so too, but nobody looked, and Claude Code updates itself.
const OLDEST: Version = Version(2, 1, 197);

/// A cold start of its 250 MB binary from a slow disk stays well within this.
const VERSION_TIMEOUT: Duration = Duration::from_secs(30);

const INSTALL_HINT: &str = "install it with `npm install -g @anthropic-ai/claude-code`, or set `program` under [agents.claude-code] in config.toml";
const UPDATE_HINT: &str = "update it with `claude update`";

/// `major.minor.patch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u64, u64, u64);

impl Version {
    /// Reads what `claude --version` says, for example `2.1.197 (Claude Code)`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().next()?.split(['-', '+']).next()?.split('.').map(str::parse);
        let version = Self(numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Finds the program.
pub(super) fn locate(agent: &AgentKind, settings: &ClaudeCodeSettings) -> Result<PathBuf, AgentError> {
    let name = settings.program.as_deref().unwrap_or(Path::new("claude"));
    let on_path = || name.to_str().and_then(|name| find_program(name, &settings.path_var));
    let found = if name.is_absolute() { is_executable(name).then(|| name.to_owned()) } else { on_path() };
    let mut searched: Vec<PathBuf> = match name.parent().filter(|_| name.is_absolute()) {
        Some(directory) => vec![directory.to_owned()],
        None => std::env::split_paths(&settings.path_var).filter(|directory| directory.is_absolute()).collect(),
    };
    if let Some(found) = found.filter(|found| found.is_absolute()) {
        return Ok(found);
    }
    if settings.program.is_none() {
        let known = known_directories(&settings.home);
        if let Some(found) = known.iter().map(|directory| directory.join(name)).find(|path| is_executable(path)) {
            return Ok(found);
        }
        searched.extend(known);
    }
    let program = name.file_name().unwrap_or(name.as_os_str()).to_string_lossy().into_owned();
    Err(AgentError::NotFound { agent: agent.clone(), program, searched, hint: INSTALL_HINT.to_owned() })
}

/// Where Claude Code's installers and common package managers put it, for a daemon whose `PATH` is not a login shell's.
fn known_directories(home: &Path) -> Vec<PathBuf> {
    let in_home = [".local/bin", ".claude/local", ".npm-global/bin", ".bun/bin", ".volta/bin"];
    let of_system = ["/usr/local/bin", "/opt/homebrew/bin"];
    in_home.iter().map(|directory| home.join(directory)).chain(of_system.iter().map(PathBuf::from)).collect()
}

/// Finds the program and asks it for its version.
pub(super) async fn check(agent: &AgentKind, settings: &ClaudeCodeSettings) -> Result<AgentInstallation, AgentError> {
    let program = locate(agent, settings)?;
    let broken = |cause: String| AgentError::Broken { program: program.clone(), cause };
    let run = Program::new(&program, settings.env.clone(), VERSION_TIMEOUT).arg("--version").run().await;
    let output = run.map_err(|error| broken(error.to_string()))?;
    if !output.status.success() {
        let complaint = last_chars(&output.complaint(), 500);
        return Err(broken(format!("`--version` ended with {}: {complaint}", output.status)));
    }
    let text = output.text();
    let Some(version) = Version::parse(&text) else {
        return Err(broken(format!("`--version` does not name a version: {:?}", last_chars(&text, 500))));
    };
    if version < OLDEST {
        return Err(AgentError::TooOld {
            agent: agent.clone(),
            program,
            found: version.to_string(),
            needed: OLDEST.to_string(),
            hint: UPDATE_HINT.to_owned(),
        });
    }
    Ok(AgentInstallation { program, version: Some(version.to_string()) })
}

fn last_chars(text: &str, count: usize) -> String {
    let skipped = text.chars().count().saturating_sub(count);
    text.chars().skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn program(directory: &Path, name: &str, script: &str) -> PathBuf {
        std::fs::create_dir_all(directory).unwrap();
        let path = directory.join(name);
        crate::executable::write(&path, format!("#!/bin/sh\n{script}\n"));
        path
    }

    fn settings(root: &Path) -> ClaudeCodeSettings {
        ClaudeCodeSettings {
            program: None,
            path_var: root.join("bin").to_str().unwrap().to_owned(),
            home: root.join("home"),
            config_dir: None,
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            is_root: false,
        }
    }

    async fn checked(settings: &ClaudeCodeSettings) -> Result<AgentInstallation, AgentError> {
        check(&AgentKind::new("claude-code").unwrap(), settings).await
    }

    #[test]
    fn versions_are_read_and_compared() {
        assert_eq!(Version::parse("2.1.197 (Claude Code)\n"), Some(Version(2, 1, 197)));
        assert_eq!(Version::parse("2.2.0-beta.1 (Claude Code)"), Some(Version(2, 2, 0)));
        for text in ["", "Claude Code", "2.1", "2.1.x", "2.1.3.4"] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
        assert!(Version(2, 1, 99) < OLDEST && Version(2, 10, 0) > OLDEST);
    }

    #[tokio::test]
    async fn the_program_on_the_path_comes_before_the_known_places() {
        let root = tempfile::tempdir().unwrap();
        let settings = settings(root.path());
        let known = program(&root.path().join("home/.local/bin"), "claude", "echo 3.0.0");
        assert_eq!(checked(&settings).await.unwrap().program, known);
        let on_path = program(&root.path().join("bin"), "claude", "echo '2.1.200 (Claude Code)'");
        let found = checked(&settings).await.unwrap();
        assert_eq!(found, AgentInstallation { program: on_path, version: Some("2.1.200".to_owned()) });
    }

    #[tokio::test]
    async fn a_configured_program_is_never_replaced_by_another() {
        let root = tempfile::tempdir().unwrap();
        program(&root.path().join("bin"), "claude", "echo 3.0.0");
        let missing = root.path().join("else/claude-beta");
        let settings = ClaudeCodeSettings { program: Some(missing), ..settings(root.path()) };
        let error = checked(&settings).await.unwrap_err();
        assert!(matches!(&error, AgentError::NotFound { program, .. } if program == "claude-beta"), "{error}");
        assert!(error.to_string().contains("else"), "{error}");
    }

    #[tokio::test]
    async fn each_fault_is_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let mut settings = settings(root.path());
        let missing = checked(&settings).await.unwrap_err();
        assert!(matches!(missing, AgentError::NotFound { .. }) && missing.hint().is_some());

        settings.program = Some(program(root.path(), "old", "echo '2.1.196 (Claude Code)'"));
        let old = checked(&settings).await.unwrap_err();
        assert!(matches!(&old, AgentError::TooOld { found, .. } if found == "2.1.196") && old.hint().is_some());

        settings.program = Some(program(root.path(), "broken", "echo no library >&2; exit 127"));
        let broken = checked(&settings).await.unwrap_err();
        assert!(broken.to_string().contains("no library"), "{broken}");

        settings.program = Some(program(root.path(), "other", "echo a tool of the same name"));
        assert!(matches!(checked(&settings).await.unwrap_err(), AgentError::Broken { .. }));
    }
}
