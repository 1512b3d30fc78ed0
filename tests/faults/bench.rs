//! A sandbox whose processes pass fault points, and the switches for them.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::sandbox::{Run, Sandbox, signal};

/// How long anything may take to become as it should be.
pub(crate) const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// How often that is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// The process dies at once.
    Kill,
    /// The step fails.
    Error,
    /// The process stops until it is told to go on.
    Stop,
}

impl Action {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Error => "error",
            Self::Stop => "stop",
        }
    }
}

/// A sandbox with switches. Every process started in it, and theirs, bears its directory's name in the environment.
pub(crate) struct Bench {
    sandbox: Sandbox,
    /// How many agents there may be at once.
    pub(crate) places: usize,
}

impl Deref for Bench {
    type Target = Sandbox;
    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl Bench {
    /// With room for so many agents.
    pub(crate) fn new(max_live_agents: usize) -> Self {
        let limit = ("AO_MAX_LIVE_AGENTS".to_owned(), max_live_agents.to_string());
        let mut sandbox = Sandbox::with_env(BTreeMap::from([limit]));
        let directory = sandbox.path("fault");
        fs::create_dir(&directory).unwrap();
        sandbox.env.insert("AO_FAULT_DIR".to_owned(), directory.to_str().unwrap().to_owned());
        Self { sandbox, places: max_live_agents }
    }

    /// Puts an executable script on the front of `PATH`.
    pub(crate) fn install(&mut self, name: &str, script: &str) {
        self.sandbox.install(name, script);
    }

    pub(crate) fn switch(&self, name: &str) -> PathBuf {
        self.path("fault").join(name)
    }

    /// The branch that an agent went to, if one did, which it says in its home.
    pub(crate) fn gone_to(&self) -> Option<String> {
        Some(fs::read_to_string(self.path("home/gone-to")).ok()?.trim().to_owned())
    }

    /// Makes something happen at the next passage of a point, in whatever process.
    pub(crate) fn arm(&self, point: &str, action: Action) {
        let _ = fs::remove_file(self.switch("fired"));
        let next = self.switch("next");
        fs::write(&next, format!("{point}:{}", action.as_str())).unwrap();
        fs::rename(next, self.switch("armed")).unwrap();
    }

    /// Nothing happens any more that has not happened.
    pub(crate) fn disarm(&self) {
        let _ = fs::remove_file(self.switch("armed"));
    }

    /// The process it happened to, if it happened.
    pub(crate) fn fired(&self) -> Option<u32> {
        let text = fs::read_to_string(self.switch("fired")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    }

    /// The points that were passed, in order.
    pub(crate) fn passed(&self) -> Vec<String> {
        let trace = fs::read_to_string(self.switch("trace")).unwrap_or_default();
        trace.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect()
    }

    /// Every running process of this sandbox, zellij's servers included.
    pub(crate) fn everything(&self) -> Vec<Process> {
        let mark = format!("AO_FAULT_DIR={}", self.env["AO_FAULT_DIR"]);
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
            let environment = String::from_utf8_lossy(&environment).into_owned();
            if !environment.split('\0').any(|variable| variable == mark) {
                continue;
            }
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let args = String::from_utf8_lossy(&command).split('\0').map(str::to_owned).collect();
            let Ok(Some(stat)) = ao::platform::process::stat(pid) else { continue };
            if !stat.is_zombie {
                found.push(Process { pid, parent: stat.parent, args, environment });
            }
        }
        found
    }

    /// The running daemon, whether it answers or not.
    pub(crate) fn daemon(&self) -> Option<u32> {
        let is_daemon = |process: &&Process| process.args.iter().any(|arg| arg == "--background");
        self.everything().iter().find(is_daemon).map(|process| process.pid)
    }

    /// Kills the daemon, if one runs, and waits until it is gone.
    pub(crate) async fn kill_daemon(&self) {
        if let Some(daemon) = self.daemon() {
            signal(daemon, Signal::KILL);
            self.gone(daemon).await;
        }
    }

    /// Waits until a process is gone.
    pub(crate) async fn gone(&self, pid: u32) {
        self.sandbox.until("a killed process is gone", || !Sandbox::is_running(pid)).await;
    }

    /// Waits until something holds; false when it never does.
    pub(crate) async fn comes_true(&self, bound: Duration, condition: impl Fn() -> bool) -> bool {
        let started = Instant::now();
        while !condition() {
            if started.elapsed() > bound {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// Starts a daemon that is ready when this returns.
    pub(crate) async fn start(&self) -> Run {
        self.ao(&["start"]).await
    }

    /// A command agent, spawned by the daemon that runs.
    pub(crate) async fn spawn(&self, runtime: &str, wait: &str, command: &[&str]) -> Run {
        self.spawn_with(runtime, &["--wait", wait], command).await
    }

    /// The same, with other options.
    pub(crate) async fn spawn_with(&self, runtime: &str, options: &[&str], command: &[&str]) -> Run {
        let spawn = ["spawn", "--agent", "command", "--runtime", runtime, "--no-start"];
        self.ao(&[&spawn, options, &["--"], command].concat()).await
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for _ in 0..200 {
            let left = self.everything();
            if left.is_empty() {
                return;
            }
            for process in left {
                signal(process.pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A running process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) args: Vec<String>,
    environment: String,
}

impl Process {
    /// A variable it was started with.
    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.environment.split('\0').find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='))
    }

    pub(crate) fn shown(&self) -> String {
        format!("process {} ({})", self.pid, self.args.join(" ").trim())
    }
}
