//! A place of its own for one test: home, data directory, repository, and every process started there. Dropping it ends
//! them all, also when the test fails.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a cold start on a loaded machine with two cores stays within.
pub(crate) const BOUND: Duration = Duration::from_secs(90);

/// How a run of `ao` went.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Insists that it succeeded; gives its standard output, trimmed.
    #[track_caller]
    pub(crate) fn ok(&self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.stdout.trim_end().to_owned()
    }

    /// Insists on an exit code and on words in what it said; gives itself.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not said: {self:#?}");
        }
        self
    }

    /// Its standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

pub(crate) struct Sandbox {
    root: tempfile::TempDir,
    pub(crate) env: BTreeMap<String, String>,
}

impl Sandbox {
    /// A home, and a repository `app` with one commit.
    pub(crate) fn new() -> Self {
        Self::with_env(BTreeMap::new())
    }

    /// The same, with more environment variables.
    pub(crate) fn with_env(more: BTreeMap<String, String>) -> Self {
        // Short, so that sockets fit below it.
        let root = tempfile::Builder::new().prefix("ao").tempdir_in("/tmp").unwrap();
        let mut env: BTreeMap<String, String> = crate::inherited::environment().into_iter().collect();
        let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        env.insert("HOME".into(), path("home"));
        env.insert("AO_DATA_DIR".into(), path("data"));
        env.insert("LANG".into(), "C.UTF-8".into());
        env.insert("TERM".into(), "xterm-256color".into());
        // Whatever machine this is: the tests of the limit set their own.
        env.insert("AO_MAX_LIVE_AGENTS".into(), "100".into());
        // A killed sandbox would leave groups on the machine: the tests of groups remove their own.
        env.insert("AO_CGROUP".into(), "off".into());
        env.extend(more);
        let sandbox = Self { root, env };
        std::fs::create_dir_all(sandbox.path("home")).unwrap();
        std::fs::write(sandbox.path("home/.gitconfig"), "[user]\nname = Tester\nemail = tester@example.invalid\n")
            .unwrap();
        sandbox.make_repository("app");
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.path("app")
    }

    pub(crate) fn worktree(&self, session: &str) -> PathBuf {
        self.path("data/worktrees/app").join(session)
    }

    pub(crate) fn session_dir(&self, session: &str) -> PathBuf {
        self.path("data/sessions").join(session)
    }

    pub(crate) fn make_repository(&self, name: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        self.git(&path, &["init", "--quiet", "--initial-branch=main"]);
        std::fs::write(path.join("README"), "hello\n").unwrap();
        self.git(&path, &["add", "."]);
        self.git(&path, &["commit", "--quiet", "--message=init"]);
    }

    /// Runs git and gives what it printed, trimmed.
    #[track_caller]
    pub(crate) fn git(&self, directory: &Path, args: &[&str]) -> String {
        let output =
            Command::new("git").args(args).current_dir(directory).env_clear().envs(&self.env).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The branches of the repository.
    pub(crate) fn branches(&self) -> Vec<String> {
        self.git(&self.repo(), &["for-each-ref", "--format=%(refname:short)", "refs/heads"])
            .lines()
            .map(Into::into)
            .collect()
    }

    /// Puts an executable script on the front of `PATH`.
    pub(crate) fn install(&mut self, name: &str, script: &str) {
        let bin = self.path("bin");
        std::fs::create_dir_all(&bin).unwrap();
        crate::executable::write(bin.join(name), script);
        let path = &self.env["PATH"];
        let front = format!("{}:", bin.display());
        if !path.starts_with(&front) {
            let path = format!("{front}{path}");
            self.env.insert("PATH".into(), path);
        }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ao"));
        command.args(args).current_dir(self.repo()).env_clear().envs(&self.env).stdin(Stdio::null());
        command
    }

    /// Runs `ao` in the repository, bounded in time.
    pub(crate) async fn ao(&self, args: &[&str]) -> Run {
        self.run(self.command(args)).await
    }

    /// Runs a command, bounded in time.
    pub(crate) async fn run(&self, command: Command) -> Run {
        self.run_within(command, BOUND).await
    }

    /// Runs a command that may take so long.
    pub(crate) async fn run_within(&self, command: Command, bound: Duration) -> Run {
        let shown = format!("{command:?}");
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
        // This ends when nobody holds the pipes any more: a daemon that it started must not.
        let child = command.spawn().unwrap();
        let output = tokio::time::timeout(bound, child.wait_with_output()).await;
        let output =
            output.unwrap_or_else(|_| panic!("{shown} did not end; processes: {:#?}", self.processes())).unwrap();
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// A session as JSON.
    pub(crate) async fn show(&self, session: &str) -> Value {
        let run = self.ao(&["show", session, "--json"]).await;
        run.ok();
        run.json()
    }

    /// Waits until a session's field has a value; gives the session.
    pub(crate) async fn wait_for(&self, session: &str, field: &str, value: &str) -> Value {
        let started = Instant::now();
        loop {
            let shown = self.show(session).await;
            if shown[field] == value {
                return shown;
            }
            assert!(started.elapsed() < BOUND, "{session} never had {field} {value}: {shown:#}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let started = Instant::now();
        while !condition() {
            assert!(started.elapsed() < BOUND, "never: {what}\n{:#?}\n{}", self.processes(), self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a session's output has these words: an agent may report before the last of its screen is drawn.
    pub(crate) async fn until_output(&self, session: &str, words: &str) {
        let started = Instant::now();
        loop {
            let output = self.ao(&["output", session]).await.ok();
            if output.contains(words) {
                return;
            }
            assert!(started.elapsed() < BOUND, "{session} does not print {words:?}: {output}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The daemon's log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("data/daemon.log")).unwrap_or_default()
    }

    /// The daemon's process id.
    pub(crate) async fn daemon_pid(&self) -> u32 {
        let run = self.ao(&["status", "--json"]).await;
        run.ok();
        u32::try_from(run.json()["pid"].as_u64().unwrap()).unwrap()
    }

    /// The running processes that were started in this sandbox: process id and command line.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        let mark = format!("HOME={}", self.env["HOME"]).into_bytes();
        processes_with(|variable| variable == mark)
    }

    /// Those and zellij's servers, whose home is another: one that was being started when its client was killed ends with
    /// nobody.
    fn everything(&self) -> Vec<(u32, String)> {
        let root = self.root.path().as_os_str().as_bytes();
        processes_with(|variable| variable.windows(root.len()).any(|part| part == root))
    }

    /// The processes in this sandbox that run a command, told by its program's name and its arguments.
    pub(crate) fn running(&self, command: &str) -> Vec<u32> {
        let is_it =
            |shown: &str| shown == command || shown.ends_with(&format!("/{command}")) && !shown.contains(" -- ");
        self.processes().into_iter().filter(|(_, shown)| is_it(shown)).map(|(pid, _)| pid).collect()
    }

    /// Whether a process is running (and not merely waiting to be collected).
    pub(crate) fn is_running(pid: u32) -> bool {
        ao::platform::process::identity(pid).unwrap().is_some()
    }
}

/// The processes one of whose environment variables is such: process id and command line.
fn processes_with(is_mark: impl Fn(&[u8]) -> bool) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if !environment.split(|byte| *byte == 0).any(&is_mark) {
            continue;
        }
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command: Vec<_> = command.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        found.push((pid, command.join(" ").trim().to_owned()));
    }
    found
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, signal);
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Twice: what is being started while the first round ends shows up in the second.
        for _ in 0..2 {
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(10) {
                let left = self.everything();
                if left.is_empty() {
                    break;
                }
                for (pid, _) in left {
                    signal(pid, rustix::process::Signal::KILL);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
