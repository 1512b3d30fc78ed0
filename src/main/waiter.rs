//! `ao hook --wait`: the process that waits for an idle agent's messages.
//!
//! It looks, and when there is nothing it becomes the one that [rests](ao::adapters::messenger::rest), which becomes the one that looks again when
//! something came. One process all the time for who started it; and while it rests, for hours, next to nothing of this program is in memory.
//! The input goes from one to the next as a file on standard input.

use std::ffi::{OsStr, OsString};
use std::io::{self, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ao::adapters::cli::hook::WAIT_PAUSE;
use ao::adapters::messenger::rest::{Rested, rest};
use ao::domain::Timestamp;
use ao::domain::session::ProcessIdentity;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::edge::Edge;

/// How often who cannot rest tries again: an agent without a waiter hears nothing while it is idle.
const ATTEMPTS: usize = 600;

/// Tells the one that looks since when is waited, in milliseconds of the epoch.
const BEGUN: &str = "AO_WAITS_SINCE_MS";
/// This program, whatever has become of its file.
const OURSELVES: &str = "/proc/self/exe";

/// The process between two looks.
pub(crate) struct Waiter {
    /// The hook that waits: agent and event.
    pub(crate) hook: [String; 2],
    /// Since when, in milliseconds of the epoch.
    pub(crate) begun_ms: i64,
    /// How long to rest.
    pub(crate) at_most: Option<Duration>,
    /// The agent.
    pub(crate) agent: ProcessIdentity,
    /// What looks: an upgrade may have put another ao there meanwhile.
    pub(crate) program: PathBuf,
    /// Where the agent works.
    pub(crate) workspace: PathBuf,
}

impl Waiter {
    /// What this process is to do, if it is to rest.
    pub(crate) fn of_this_process() -> Option<Self> {
        let mut args = std::env::args_os().skip(1);
        let mut text = || args.next()?.into_string().ok();
        let is_ours = text()? == "hook";
        let hook = [text()?, text()?];
        if !is_ours || text()? != "--rest" {
            return None;
        }
        let begun_ms = text()?.parse().ok()?;
        let at_most = text()?;
        let at_most = if at_most == "-" { None } else { Some(Duration::from_millis(at_most.parse().ok()?)) };
        let agent = ProcessIdentity { pid: text()?.parse().ok()?, start_ticks: text()?.parse().ok()? };
        let (program, workspace) = (args.next()?.into(), args.next()?.into());
        Some(Self { hook, begun_ms, at_most, agent, program, workspace })
    }

    /// Becomes the one that rests; gives why it cannot.
    pub(crate) fn become_resting(&self, input: &[u8]) -> io::Error {
        match keep_as_input(input) {
            Ok(()) => self.become_one(OURSELVES.as_ref(), &self.to_rest()),
            Err(error) => error,
        }
    }

    /// Rests, and becomes the one that looks; gives the exit code when nobody has to look any more.
    pub(crate) fn rest(&self) -> u8 {
        for _ in 0..ATTEMPTS {
            match rest(&self.workspace, self.agent, self.at_most) {
                Ok(Rested::AgentEnded | Rested::IsDoneElsewhere) => return 0,
                Ok(Rested::Look) => {
                    let _ = self.become_one(&self.program, &self.to_look());
                    let _ = self.become_one(OURSELVES.as_ref(), &self.to_look());
                }
                // Somebody had the messages locked for long, or something stands in their place.
                Err(_) => {}
            }
            std::thread::sleep(WAIT_PAUSE);
        }
        0
    }

    fn to_rest(&self) -> Vec<OsString> {
        let at_most = self.at_most.map_or_else(|| "-".to_owned(), |at_most| at_most.as_millis().to_string());
        let [agent, event] = &self.hook;
        let ProcessIdentity { pid, start_ticks } = self.agent;
        let begun_ms = self.begun_ms.to_string();
        let words = ["hook", agent, event, "--rest", &begun_ms, &at_most, &pid.to_string(), &start_ticks.to_string()];
        let mut args: Vec<OsString> = words.map(OsString::from).into();
        args.extend([self.program.clone().into(), self.workspace.clone().into()]);
        args
    }

    /// The call by which agents' settings have it: every ao knows that one.
    fn to_look(&self) -> Vec<OsString> {
        let [agent, event] = &self.hook;
        ["hook", agent, event, "--wait"].map(OsString::from).into()
    }

    /// When the waiter began that this process goes on with.
    pub(crate) fn begun_before(edge: &Edge) -> Option<Timestamp> {
        Timestamp::from_millisecond(edge.var(BEGUN)?.parse().ok()?).ok()
    }

    /// Becomes another program, under this one's name; gives why that cannot be.
    #[expect(clippy::disallowed_methods, reason = "no process is started")]
    fn become_one(&self, program: &Path, args: &[OsString]) -> io::Error {
        let name = std::env::args_os().next();
        let name = name.as_deref().unwrap_or(OsStr::new("ao"));
        Command::new(program).arg0(name).args(args).env(BEGUN, self.begun_ms.to_string()).exec()
    }
}

/// Makes this the standard input, from its beginning.
fn keep_as_input(input: &[u8]) -> io::Result<()> {
    let mut file = std::fs::File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(input)?;
    file.rewind()?;
    Ok(rustix::stdio::dup2_stdin(&file)?)
}
