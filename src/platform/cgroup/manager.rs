//! Asking systemd, which owns the groups where it runs, for one that this process may divide. Through `busctl`, which comes
//! with it: what systemd offers as a command (`systemd-run`) starts programs, and cannot take in one that runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::platform::child::Program;
use crate::platform::file;

/// How long systemd may take to answer.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: [&str; 3] = [SYSTEMD, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];

/// The system's manager, or the user's own.
#[derive(Debug, Clone)]
pub(super) struct Manager {
    busctl: PathBuf,
    env: BTreeMap<String, String>,
    user: u32,
}

impl Manager {
    /// The manager of this user, the system's for root. `None` without `busctl`.
    pub(super) fn find(env: &BTreeMap<String, String>) -> Option<Self> {
        let path = env.get("PATH").map(String::as_str).unwrap_or_default();
        let busctl = file::find_program("busctl", path)?;
        let user = rustix::process::geteuid().as_raw();
        let mut env = env.clone();
        // A cron job has none; where there is a manager, its bus is there.
        env.entry("XDG_RUNTIME_DIR".to_owned()).or_insert_with(|| format!("/run/user/{user}"));
        Some(Self { busctl, env, user })
    }

    /// Whether it answers.
    pub(super) async fn answers(&self) -> Result<(), String> {
        self.call(self.bus(), &[&["get-property"], &MANAGER[..], &["Version"]].concat()).await.map(drop)
    }

    /// Whether the user's manager stays when the user's last login ends.
    pub(super) async fn lingers(&self) -> bool {
        let user = format!("/org/freedesktop/login1/user/_{}", self.user);
        let args = ["get-property", "org.freedesktop.login1", &user, "org.freedesktop.login1.User", "Linger"];
        self.call("--system", &args).await.is_ok_and(|answer| answer.trim() == "b true")
    }

    /// Asks for a scope with this process in it, which it may divide.
    pub(super) async fn move_to_scope(&self, name: &str) -> Result<(), String> {
        let pid = std::process::id().to_string();
        let properties = ["Description", "s", "ao and its agents", "Delegate", "b", "true", "PIDs", "au", "1", &pid];
        let order = ["StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail", "3"];
        self.call(self.bus(), &[&["call"], &MANAGER[..], &order, &properties, &["0"]].concat()).await.map(drop)
    }

    pub(super) fn is_users_own(&self) -> bool {
        self.user != 0
    }

    fn bus(&self) -> &'static str {
        if self.is_users_own() { "--user" } else { "--system" }
    }

    async fn call(&self, bus: &str, args: &[&str]) -> Result<String, String> {
        let program = Program::new(&self.busctl, self.env.clone(), ANSWER_BOUND).arg(bus).args(args.iter().copied());
        let output = program.run().await.map_err(|error| error.to_string())?;
        if output.status.success() { Ok(output.text()) } else { Err(output.complaint()) }
    }
}
