//! The one place that runs git.
//!
//! Every call: null standard input, `LC_ALL=C` (its messages are read), no prompt of any kind, none of the variables
//! that would point git at another repository, no optional locks. The user's configuration and hooks count: it is the
//! user's git, as the user set it up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::locks;
use crate::platform::child::{ChildError, Output, Program};
use crate::platform::file::find_program;

/// The oldest git that works: `worktree add --reason` (the marker that is there from the first moment) came with 2.33,
/// `add --sparse` (nothing is left out of what is saved) with 2.34.
const MINIMUM: (u32, u32) = (2, 34);

/// Ended calls get this long to take their lock files away.
const GRACE: Duration = Duration::from_secs(2);

/// How git is run.
#[derive(Debug, Clone)]
pub struct GitSettings {
    /// The program: an absolute path, or a name that is looked up in the `PATH` of `env`.
    pub git: PathBuf,
    /// The complete environment git starts from (`PATH` and `HOME` at least); what would misdirect it is taken out.
    pub env: BTreeMap<String, String>,
    /// How long another process's lock on the repository is waited out.
    pub lock_wait: Duration,
    /// How long reading a repository may take.
    pub read_timeout: Duration,
    /// How long a checkout, or the look through one, may take.
    pub checkout_timeout: Duration,
}

impl GitSettings {
    /// `git` from the environment's `PATH`; 30 s for locks, 60 s for reads, 30 minutes for a checkout: trees of
    /// hundreds of thousands of files on slow disks are real, and a bound that is too short destroys a good spawn.
    #[must_use]
    pub fn new(env: BTreeMap<String, String>) -> Self {
        Self {
            git: PathBuf::from("git"),
            env,
            lock_wait: Duration::from_secs(30),
            read_timeout: Duration::from_secs(60),
            checkout_timeout: Duration::from_secs(30 * 60),
        }
    }
}

/// Why git did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum GitError {
    #[error("{0}")]
    Unusable(String),
    #[error("`git {command}` did not finish within {} s", timeout.as_secs_f32())]
    TimedOut { command: String, timeout: Duration },
    #[error("`git {command}` said more than ao takes in")]
    Truncated { command: String },
    #[error("`git {command}` failed: {complaint}")]
    Refused { command: String, complaint: String },
}

impl GitError {
    /// Git's own words, without what was called.
    pub(super) fn complaint(&self) -> String {
        match self {
            Self::Refused { complaint, .. } => complaint.clone(),
            other => other.to_string(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Git {
    settings: Arc<GitSettings>,
    checked: Arc<OnceCell<(PathBuf, String)>>,
}

/// Variables that bind git to a repository, an index or a configuration of somebody else's call
/// (`git rev-parse --local-env-vars`, and those that change what its output looks like).
const MISLEADING: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DEFAULT_HASH",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GRAFT_FILE",
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INDEX_VERSION",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REFLOG_ACTION",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
    "LANGUAGE",
    "SSH_ASKPASS",
];

fn hardened(env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut env = env.clone();
    env.retain(|name, _| !MISLEADING.contains(&name.as_str()) && !name.starts_with("GIT_TRACE"));
    for (name, value) in [
        ("LC_ALL", "C"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_TERMINAL_PROMPT", "0"),
        // Set but empty: git then asks no helper, `core.askPass` included.
        ("GIT_ASKPASS", ""),
        ("SSH_ASKPASS_REQUIRE", "never"),
        ("GCM_INTERACTIVE", "never"),
        ("GIT_PAGER", "cat"),
    ] {
        env.insert(name.to_owned(), value.to_owned());
    }
    env
}

impl Git {
    pub(super) fn new(mut settings: GitSettings) -> Self {
        settings.env = hardened(&settings.env);
        Self { settings: Arc::new(settings), checked: Arc::default() }
    }

    pub(super) fn settings(&self) -> &GitSettings {
        &self.settings
    }

    /// The version, once it is known to be new enough.
    pub(super) async fn version(&self) -> Result<String, GitError> {
        Ok(self.program().await?.1.clone())
    }

    async fn program(&self) -> Result<&(PathBuf, String), GitError> {
        self.checked.get_or_try_init(|| self.check()).await
    }

    async fn check(&self) -> Result<(PathBuf, String), GitError> {
        let name = self.settings.git.to_string_lossy();
        let path = self.settings.env.get("PATH").map_or("", String::as_str);
        let Some(program) = find_program(&name, path) else {
            return Err(GitError::Unusable(format!(
                "cannot find the program {name:?} on PATH: install git {}.{} or newer",
                MINIMUM.0, MINIMUM.1
            )));
        };
        let output = Program::new(&program, self.settings.env.clone(), self.settings.read_timeout)
            .arg("version")
            .run()
            .await
            .map_err(|error| GitError::Unusable(error.to_string()))?;
        let text = output.text();
        match parse_version(&text) {
            Some(version) if output.status.success() && version >= MINIMUM => {
                Ok((program, text.trim_start_matches("git version ").to_owned()))
            }
            Some((major, minor)) if output.status.success() => Err(GitError::Unusable(format!(
                "{} is git {major}.{minor}, and ao needs {}.{} or newer: install a newer git",
                program.display(),
                MINIMUM.0,
                MINIMUM.1
            ))),
            _ => Err(GitError::Unusable(format!(
                "{} does not say which version of git it is (it said {:?}): repair the installation",
                program.display(),
                output.complaint()
            ))),
        }
    }

    /// A call in a directory; git finds the repository from there and checks that it may trust it.
    pub(super) fn at(&self, directory: &Path) -> Call {
        Call {
            git: self.clone(),
            cwd: directory.to_owned(),
            before: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            timeout: self.settings.read_timeout,
            max_output_bytes: None,
        }
    }

    /// A call about a linked worktree, named by its administrative directory: whatever its `.git` file says by now.
    pub(super) fn worktree(&self, admin: &Path, checkout: &Path) -> Call {
        let mut call = self.at(checkout);
        call.before.extend([option("--git-dir=", admin), work_tree(checkout)]);
        // The configuration in reach of an agent must not blind git to changes.
        call.config("core.fsmonitor=false").config("core.untrackedCache=false")
    }
}

/// The argument that tells git the checkout of a [`worktree`](Git::worktree) call.
pub(super) fn work_tree(checkout: &Path) -> OsString {
    option("--work-tree=", checkout)
}

fn option(name: &str, path: &Path) -> OsString {
    let mut text = OsString::from(name);
    text.push(path);
    text
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("git version ")?.split(['.', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// One call of git.
#[derive(Debug, Clone)]
pub(super) struct Call {
    git: Git,
    cwd: PathBuf,
    before: Vec<OsString>,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    timeout: Duration,
    max_output_bytes: Option<usize>,
}

impl Call {
    /// About the repository of this git directory, whatever the directory it runs in belongs to.
    pub(super) fn git_dir(mut self, directory: &Path) -> Self {
        self.before.push(option("--git-dir=", directory));
        self
    }

    /// A configuration value for this call only, as `name=value`.
    pub(super) fn config(mut self, value: &str) -> Self {
        self.before.extend(["-c".into(), value.into()]);
        self
    }

    pub(super) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(super) fn arg(self, arg: impl Into<OsString>) -> Self {
        self.args([arg])
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// For a call that says a lot; see [`Program::max_output_bytes`].
    pub(super) fn max_output_bytes(mut self, max_output_bytes: usize) -> Self {
        self.max_output_bytes = Some(max_output_bytes);
        self
    }

    /// What was called, for people: the arguments up to the first that is long.
    fn command(&self) -> String {
        self.args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    /// Runs it; an exit code other than 0 is no error here.
    pub(super) async fn output(&self) -> Result<Output, GitError> {
        let (program, _) = self.git.program().await?;
        let mut child = Program::new(program, self.git.settings.env.clone(), self.timeout)
            .grace(GRACE)
            .cwd(&self.cwd)
            .args(self.before.iter().cloned())
            .args(self.args.iter().cloned());
        for (name, value) in &self.env {
            child = child.env(name, value);
        }
        if let Some(max_output_bytes) = self.max_output_bytes {
            child = child.max_output_bytes(max_output_bytes);
        }
        child.run().await.map_err(|error| match error {
            ChildError::TimedOut { timeout, .. } => GitError::TimedOut { command: self.command(), timeout },
            other => GitError::Unusable(other.to_string()),
        })
    }

    /// Runs it; gives its output, and anything but success is an error, output that was cut included.
    pub(super) async fn text(&self) -> Result<String, GitError> {
        Ok(self.whole().await?.text())
    }

    /// As [`text`](Self::text), to the byte: names of files need not be text.
    pub(super) async fn bytes(&self) -> Result<Vec<u8>, GitError> {
        Ok(self.whole().await?.stdout)
    }

    async fn whole(&self) -> Result<Output, GitError> {
        let output = self.output().await?;
        if output.status.success() { self.uncut(output) } else { Err(self.refused(&output)) }
    }

    /// Runs it; `None` when it ends with exit code 1 and no complaint, which is how git's questions say no.
    pub(super) async fn answer(&self) -> Result<Option<String>, GitError> {
        let output = self.output().await?;
        match output.status.code() {
            Some(0) => Ok(Some(self.uncut(output)?.text())),
            Some(1) if output.stderr.is_empty() => Ok(None),
            _ => Err(self.refused(&output)),
        }
    }

    /// What is not there because it was cut off must not be taken for absent.
    fn uncut(&self, output: Output) -> Result<Output, GitError> {
        if output.is_truncated { Err(GitError::Truncated { command: self.command() }) } else { Ok(output) }
    }

    /// Runs a call that changes the repository: somebody else's locks are waited out, within the bound.
    pub(super) async fn change(&self) -> Result<Output, GitError> {
        let deadline = tokio::time::Instant::now() + self.git.settings.lock_wait;
        let mut attempt = 0;
        loop {
            let output = self.output().await?;
            if output.status.success() {
                return Ok(output);
            }
            let complaint = output.complaint();
            let Some(lock) = locks::conflict(&complaint) else { return Err(self.refused(&output)) };
            if !locks::wait_out(&lock, attempt, deadline).await {
                let mut refused = self.refused(&output);
                if let GitError::Refused { complaint, .. } = &mut refused {
                    complaint.push_str(&locks::advice(&lock, self.git.settings.lock_wait));
                }
                return Err(refused);
            }
            attempt += 1;
        }
    }

    /// As [`change`](Self::change), and goes on to its end when this future is dropped, keeping `turn` until then: a git
    /// that is killed while it changes references leaves lock files behind, which stop every later change.
    pub(super) async fn change_to_the_end(&self, turn: impl Send + 'static) -> Result<Output, GitError> {
        let call = self.clone();
        let task = tokio::spawn(async move {
            let outcome = call.change().await;
            drop(turn);
            outcome
        });
        task.await.unwrap_or_else(|error| Err(GitError::Unusable(format!("git could not be waited for: {error}"))))
    }

    fn refused(&self, output: &Output) -> GitError {
        let complaint = output.complaint();
        let complaint = if complaint.is_empty() { output.status.to_string() } else { complaint };
        GitError::Refused { command: self.command(), complaint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_every_vendor_are_read() {
        for (text, version) in [
            ("git version 2.47.3", Some((2, 47))),
            ("git version 2.39.5 (Apple Git-154)", Some((2, 39))),
            ("git version 2.33.0.windows.1", Some((2, 33))),
            ("hub version 2", None),
        ] {
            assert_eq!(parse_version(text), version, "{text}");
        }
    }

    #[test]
    fn what_would_misdirect_git_is_taken_out() {
        let env = ["GIT_DIR", "GIT_INDEX_FILE", "GIT_TRACE2_EVENT", "SSH_ASKPASS", "HOME", "GIT_SSH_COMMAND"];
        let env = hardened(&env.map(|name| (name.to_owned(), "x".to_owned())).into());
        let kept: Vec<_> = env.iter().filter(|(_, value)| *value == "x").map(|(name, _)| name.as_str()).collect();
        assert_eq!(kept, ["GIT_SSH_COMMAND", "HOME"]);
        assert_eq!(env["LC_ALL"], "C");
        assert_eq!(env["GIT_TERMINAL_PROMPT"], "0");
    }

    #[tokio::test]
    async fn i05_output_that_was_cut_is_no_answer() {
        let dir = tempfile::tempdir().unwrap();
        let fake = dir.path().join("git");
        crate::executable::write(&fake, "#!/bin/sh\necho git version 2.47.0\n");
        let env = BTreeMap::from([("PATH".to_owned(), dir.path().to_str().unwrap().to_owned())]);
        let call = Git::new(GitSettings::new(env)).at(dir.path()).arg("status");
        assert_eq!(call.text().await.unwrap(), "git version 2.47.0");
        let call = call.max_output_bytes(4);
        assert!(matches!(call.text().await, Err(GitError::Truncated { .. })));
        assert!(matches!(call.bytes().await, Err(GitError::Truncated { .. })));
        assert!(matches!(call.answer().await, Err(GitError::Truncated { .. })));
    }

    #[tokio::test]
    async fn a_git_that_is_too_old_or_missing_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let fake = dir.path().join("git");
        crate::executable::write(&fake, "#!/bin/sh\necho git version 2.30.2\n");
        let env = BTreeMap::from([("PATH".to_owned(), dir.path().to_str().unwrap().to_owned())]);
        let old = Git::new(GitSettings::new(env)).version().await.unwrap_err().to_string();
        assert!(old.contains("2.30") && old.contains("2.34 or newer"), "{old}");
        let none = Git::new(GitSettings::new(BTreeMap::new())).version().await.unwrap_err().to_string();
        assert!(none.contains("install git"), "{none}");
    }
}
