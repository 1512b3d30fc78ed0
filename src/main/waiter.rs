//! `ao hook --wait`: the process that waits for an idle agent's messages.
//!
//! It looks, and when there is nothing it becomes the one that [rests](ao::adapters::messenger::rest), which becomes the one that looks again when
//! something came. One process all the time for who started it; and while it rests, for hours, next to nothing of this program is in memory.
//!
//! The one that looks prepares the rest: what wakes it goes over as standard input, open as are the hook's own input and the lock. So the one that
//! rests has only to wait, and touches few pages of this program: they are what it has in memory.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use ao::adapters::cli::hook::{AGAIN, HookCall, Looked};
use ao::adapters::messenger::rest::{Rest, Rested, Told, Watch, give_up, wait};
use ao::domain::Timestamp;
use ao::domain::session::ProcessIdentity;
use ao::platform::process;
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use rustix::stdio::dup2_stdin;

use crate::edge::Edge;

/// Tells the one that looks since when is waited, in milliseconds of the epoch.
const BEGUN: &str = "AO_WAITS_SINCE_MS";
/// Tells it how many looks before it failed, one after the other.
const FAILED: &str = "AO_WAITS_FAILED";
/// Tells it which process hands on what it prints, by number and start: the shell that an agent's settings start it with, which gives its number only.
const UNDER: &str = "AO_WAITS_UNDER";
/// Stands for a number that there is none of.
const NONE: &str = "-";
/// This program, whatever has become of its file.
const OURSELVES: &str = "/proc/self/exe";

/// How long it is at least between two looks while something waits: an agent at work and those who write to it change much, and each look costs the
/// start of a program.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How long messages that cannot be got at are left alone at first; twice as long after each further look that fails, until it is a minute.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often who rested tries to become the one that looks, and how long it is between two tries: an agent without a waiter hears nothing while it is idle.
const RETURNS: usize = 600;
const RETURN_PAUSE: Duration = Duration::from_secs(1);

/// The process that looks.
pub(crate) struct Waiter {
    /// The hook that waits: agent and event.
    hook: [String; 2],
    begun: Timestamp,
    /// How many looks before this one failed.
    failed: u32,
    /// Whom the agent hears it through; `None` when that is gone.
    under: Option<ProcessIdentity>,
    /// What looks next: an upgrade may have put another ao there meanwhile.
    program: PathBuf,
}

impl Waiter {
    /// The waiter for a call; it may go on with what another process began.
    pub(crate) fn of(edge: &Edge, call: &HookCall) -> Self {
        let number = |name| edge.var(name)?.parse::<i64>().ok();
        Self {
            hook: [call.agent.to_string(), call.event.clone()],
            begun: number(BEGUN).and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(call.at),
            failed: number(FAILED).and_then(|looks| looks.try_into().ok()).unwrap_or(0),
            under: starter(edge.var(UNDER)),
            program: edge.data_dir.program(),
        }
    }

    /// When this wait began.
    pub(crate) fn begun(&self) -> Timestamp {
        self.begun
    }

    /// Whether what this process prints reaches the agent. It goes on after a shell that was killed, and then wakes nobody.
    pub(crate) fn is_heard(&self) -> bool {
        self.under.is_some_and(|under| process::is_running(under).unwrap_or(true))
    }

    /// Looks, and becomes the one that rests when there is nothing; gives the exit code when it does not wait any more: [`AGAIN`] where another one
    /// must. `agent` is only asked for by who goes on waiting.
    pub(crate) fn wait(
        mut self,
        workspace: &Path,
        input: &[u8],
        look: impl Fn(&Self) -> Looked,
        agent: impl FnOnce() -> Option<ProcessIdentity>,
    ) -> u8 {
        if !self.is_heard() {
            return AGAIN;
        }
        // Before it is watched, as whoever ends has to wait for the end of a watch.
        if let Looked::Over(code) = look(&self) {
            return code;
        }
        let watch = Watch::begin(workspace);
        let (told, at_most) = match look(&self) {
            Looked::Over(code) => return code,
            Looked::Rest(None) => (Told::Arrivals, None),
            Looked::Rest(at_most) => (Told::Changes, at_most),
            Looked::Failed => (Told::Nothing, None),
        };
        // Nobody waits for an agent whose end would not be noticed.
        let Some(agent) = agent() else { return AGAIN };
        let rest = watch.and_then(|watch| watch.rest(agent, told));
        let has_failed = told == Told::Nothing || rest.is_err();
        let at_most = if has_failed { Some(pause_after(self.failed)) } else { at_most };
        self.failed = if has_failed { self.failed.saturating_add(1) } else { 0 };
        // However often it fails: nobody else looks while the agent is idle.
        let Ok(rest) = rest.or_else(|_| Rest::unwatched(workspace, agent)) else { return AGAIN };
        // The agent has ended, or another one waits for it.
        let Some(mut rest) = rest else { return 0 };
        if self.under.is_some_and(|under| matches!(rest.end_with(under), Ok(true))) {
            let _ = self.become_resting(&rest, at_most, input);
        }
        AGAIN
    }

    /// Becomes the one that rests; gives why it cannot.
    fn become_resting(&self, rest: &Rest, at_most: Option<Duration>, input: &[u8]) -> io::Result<Infallible> {
        let mut file = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
        file.write_all(input)?;
        let file = OwnedFd::from(file);
        for handle in rest.handles().chain([&file]) {
            fcntl_setfd(handle, FdFlags::empty())?;
        }
        dup2_stdin(rest.wakes())?;
        let or_none = |number: Option<String>| number.unwrap_or_else(|| NONE.to_owned());
        let at_most = or_none(at_most.map(|at_most| at_most.as_millis().to_string()));
        let [agent, event] = &self.hook;
        let mut command = become_one(OURSELVES.as_ref(), &["hook", agent, event, "--rest", &at_most]);
        command.arg(file.as_raw_fd().to_string());
        command.arg(or_none(rest.changes().map(|changes| changes.as_raw_fd().to_string())));
        command.arg(&self.program);
        command.env(BEGUN, self.begun.as_millisecond().to_string()).env(FAILED, self.failed.to_string());
        command.envs(self.under.map(|under| (UNDER, format!("{} {}", under.pid, under.start_ticks))));
        Err(command.exec())
    }
}

/// Who hands on what this process prints: its parent, unless another one is told. `None` when that does not run any more.
fn starter(told: Option<&str>) -> Option<ProcessIdentity> {
    let mut told = told.unwrap_or_default().split_whitespace();
    let pid = told.next().map_or_else(|| Some(parent_id()), |pid| pid.parse().ok())?;
    let found = process::identity(pid).ok()??;
    told.next().is_none_or(|start| start == found.start_ticks.to_string()).then_some(found)
}

/// How long to leave messages alone after a look that failed, when so many before it did.
fn pause_after(failed: u32) -> Duration {
    FAILED_PAUSE.saturating_mul(2_u32.saturating_pow(failed)).min(LONGEST_PAUSE)
}

/// The process between two looks.
pub(crate) struct Resting {
    hook: [String; 2],
    at_most: Option<Duration>,
    /// The descriptor of the hook's input.
    input: String,
    /// That of what tells of changes, if anything does.
    changes: Option<i32>,
    program: PathBuf,
}

impl Resting {
    /// What this process is to do, if it is to rest.
    pub(crate) fn of_this_process() -> Option<Self> {
        let mut args = std::env::args_os().skip(1);
        let mut text = || args.next()?.into_string().ok();
        let is_ours = text()? == "hook";
        let hook = [text()?, text()?];
        if !is_ours || text()? != "--rest" {
            return None;
        }
        let at_most = text()?;
        let at_most = if at_most == NONE { None } else { Some(Duration::from_millis(at_most.parse().ok()?)) };
        Some(Self { hook, at_most, input: text()?, changes: text()?.parse().ok(), program: args.next()?.into() })
    }

    /// Rests, and becomes the one that looks; gives the exit code when nobody has to look any more.
    pub(crate) fn rest(&self) -> u8 {
        if self.at_most.is_some() {
            thread::sleep(LOOK_PAUSE);
        }
        match wait(rustix::stdio::stdin(), self.at_most) {
            Ok(Rested::Over) => return 0,
            Ok(Rested::Look) => {}
            Err(_) => thread::sleep(RETURN_PAUSE),
        }
        // Stays open for the one that looks.
        let _changes = self.give_up();
        if let Ok(input) =
            open(format!("/proc/self/fd/{}", self.input), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        {
            let _ = dup2_stdin(input);
        }
        let [agent, event] = &self.hook;
        // The call by which agents' settings have it: every ao knows that one.
        let call = ["hook", agent, event, "--wait"];
        for _ in 0..RETURNS {
            let _ = become_one(&self.program, &call).exec();
            let _ = become_one(OURSELVES.as_ref(), &call).exec();
            thread::sleep(RETURN_PAUSE);
        }
        AGAIN
    }

    /// Gives up to be told of changes, and keeps what told of them open for what this process becomes. `None` where that cannot be done: who
    /// looks waits for it then.
    fn give_up(&self) -> Option<OwnedFd> {
        let ourselves = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
        let changes = pidfd_getfd(ourselves, self.changes?, PidfdGetfdFlags::empty()).ok()?;
        give_up(&changes);
        fcntl_setfd(&changes, FdFlags::empty()).ok()?;
        Some(changes)
    }
}

/// What this process is to become, under the name it has.
#[expect(clippy::disallowed_methods, reason = "no process is started")]
fn become_one(program: &Path, args: &[&str]) -> Command {
    let name = std::env::args_os().next();
    let mut command = Command::new(program);
    command.arg0(name.as_deref().unwrap_or(OsStr::new("ao"))).args(args);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_failing_is_looked_at_more_and_more_rarely() {
        let pauses = [0, 1, 2, 5, 6, u32::MAX].map(|failed| pause_after(failed).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60]);
    }
}
