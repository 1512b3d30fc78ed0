//! What a project wants done in each new workspace, as its `ao.toml` said when the session was spawned.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::rule::Rule;

/// Commands, files and variables for a session's workspace. Recorded with the session: a restore and the teardown use what
/// was accepted when it was spawned, whatever the file says by then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectSetup {
    /// Shell commands that run in the workspace before the agent starts, one after the other.
    #[serde(default)]
    pub setup: Vec<String>,
    /// Shell commands that run in the workspace before it is removed.
    #[serde(default)]
    pub teardown: Vec<String>,
    /// Files and directories of the main checkout that are copied into the workspace, relative to both.
    #[serde(default)]
    pub copy: Vec<PathBuf>,
    /// Files and directories of the main checkout that are linked into the workspace, relative to both.
    #[serde(default)]
    pub link: Vec<PathBuf>,
    /// Environment variables for the commands and the agent.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What is decided about its agent's requests for permissions; the first rule that matches counts.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// How long the setup may take as a whole, in seconds.
    pub timeout_s: u64,
    /// How long the teardown may take as a whole, in seconds.
    #[serde(default = "default_teardown_timeout_s")]
    pub teardown_timeout_s: u64,
}

/// How long a setup may take, in seconds, where the project does not say.
pub const DEFAULT_SETUP_TIMEOUT_S: u64 = 600;
/// How long a teardown may take, in seconds, where the project does not say.
pub const DEFAULT_TEARDOWN_TIMEOUT_S: u64 = 60;

fn default_teardown_timeout_s() -> u64 {
    DEFAULT_TEARDOWN_TIMEOUT_S
}

impl ProjectSetup {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { setup, teardown, copy, link, env, rules, timeout_s: _, teardown_timeout_s: _ } = self;
        let is_none = setup.is_empty() && teardown.is_empty() && copy.is_empty() && link.is_empty();
        is_none && env.is_empty() && rules.is_empty()
    }
}

/// A file or directory of the main checkout that may be brought into a workspace: relative to both, without `.`, inside,
/// and neither git's nor ao's own, in whatever case a file system may take these for the same.
///
/// # Errors
/// What is wrong with the path, to be said after it.
pub fn inner_path(path: &Path) -> Result<PathBuf, &'static str> {
    let mut inner = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                let is = |own: &str| name.eq_ignore_ascii_case(own);
                let is_first = inner.as_os_str().is_empty();
                if is(".git") || is_first && is(".ao") || name.as_encoded_bytes().contains(&0) {
                    return Err("cannot be brought into a workspace");
                }
                inner.push(name);
            }
            Component::CurDir => {}
            _ => return Err("leads out of the repository: give a path relative to its root, without .."),
        }
    }
    if inner.as_os_str().is_empty() { Err("names no file") } else { Ok(inner) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_inside_and_nobodys_own_is_brought() {
        for (path, inner) in
            [(".env", ".env"), ("./a//b/.", "a/b"), ("a/.env", "a/.env"), ("a/.ao", "a/.ao"), (".gitx", ".gitx")]
        {
            assert_eq!(inner_path(Path::new(path)), Ok(PathBuf::from(inner)), "{path}");
        }
        let own = [".git/config", ".GIT", "a/.git", "a/.Git/hooks", ".ao/inbox", "./.AO", "a\0b"];
        let outside = ["/etc/passwd", "..", "a/../..", "../a", "a/../b"];
        for (paths, why) in
            [(&own[..], "cannot be brought"), (&outside, "leads out"), (&["", ".", "./."], "names no file")]
        {
            for path in paths {
                let refused = inner_path(Path::new(path)).unwrap_err();
                assert!(refused.contains(why), "{path:?} {refused}");
            }
        }
    }
}
