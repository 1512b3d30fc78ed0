//! The process between a multiplexer's pane and the agent: `ao supervise --session-dir DIR`.
//!
//! A multiplexer tells little about how its pane's program ended, starts it in its own environment, and may offer to run it
//! again. So the pane runs this instead: it takes the launch (once, ever), starts the agent in the foreground of the same terminal with
//! exactly the recorded environment, and records its start and its end. It never reads from the terminal and never writes to it.
//!
//! What the keyboard sends (`SIGINT`, `SIGQUIT`, `SIGTSTP`) reaches the agent from the terminal itself and is survived here, as
//! in a shell; what is sent to this process (`SIGTERM`, `SIGHUP`) is passed on to the agent. Either way the agent's end, not the
//! signal, ends the supervisor. An agent that ends when its terminal is gone was lost: its exit is recorded as unknown. One that
//! works on is ended: nobody can see or reach it any more.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::launch::{self, Claim, LaunchSpec};
use crate::domain::exit::Exit;
use crate::domain::session::ProcessIdentity;
use crate::fault::{self, Point};
use crate::platform::process;
use crate::platform::tree::{self, Family};

/// Runs the launch on record in `session_dir` to its end, in this process's terminal, and gives how it ended. The end is on
/// record before this returns. `ready` is waited for before the agent is started, for a terminal that is not ready when its
/// program starts; its error is that of a start that failed.
///
/// # Errors
/// When there is no launch or it was taken before (nothing ran), when the agent could not be started (which is on record then), or when its end
/// could not be recorded.
pub fn run(session_dir: &Path, ready: impl AsyncFnOnce(&LaunchSpec) -> io::Result<()>) -> io::Result<Exit> {
    let (spec, me) = take(session_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the start: a signal in between must not end this process and leave the agent alone.
        let mut signals = Signals::listen()?;
        let mut child = match ready(&spec).await.and_then(|()| launch::start(session_dir, &spec, || start(&spec))) {
            Ok(child) => child,
            Err(error) => {
                launch::record_failure(session_dir, &error.to_string())?;
                return Err(error);
            }
        };
        let agent = started(session_dir, &mut child, me).await?;
        fault::reach(Point::LaunchStartRecorded)?;
        let exit = loop {
            tokio::select! {
                status = child.wait() => break if is_terminal_gone() { Exit::Unknown } else { known_exit(status) },
                passed_on = signals.next() => {
                    if let Err(error) = tree::send(agent.process, passed_on) {
                        // Whoever sent it sees that the agent goes on, and can insist.
                        tracing::warn!(%error, "a signal could not be passed on to the agent");
                    }
                    if passed_on == Signal::HUP && is_terminal_gone() {
                        end_without_terminal(&spec, &mut child, agent, me).await;
                    }
                }
            }
        };
        end_rest(session_dir, &spec, agent, me).await;
        fault::reach(Point::LaunchRestEnded)?;
        launch::record_exit(session_dir, exit).await?;
        fault::reach(Point::LaunchEndRecorded)?;
        Ok(exit)
    })
}

/// Takes the launch on record for this process.
///
/// # Errors
/// When there is none, it is of an earlier boot, or it was taken or called off before.
pub(super) fn take(session_dir: &Path) -> io::Result<(LaunchSpec, ProcessIdentity)> {
    let mut spec = LaunchSpec::read(session_dir)?
        .ok_or_else(|| io::Error::other(format!("there is no launch in {}", session_dir.display())))?;
    let me = process::identity(std::process::id())?.ok_or(io::ErrorKind::NotFound)?;
    if spec.boot != process::boot_id()? {
        return Err(io::Error::other("this launch is of an earlier boot"));
    }
    // Before the claim: after it, anybody may remove it.
    let environment = spec.read_environment(session_dir)?;
    if !launch::claim(session_dir, &Claim::Supervisor(me))? {
        return Err(io::Error::other("this launch already ran or was called off; it never runs again"));
    }
    fault::reach(Point::LaunchClaimed)?;
    match environment {
        Some(environment) => spec.env = environment,
        None => return Err(cannot_take(session_dir, "its environment is not on record")?),
    }
    if let Err(error) = spec.forget_environment(session_dir) {
        return Err(cannot_take(session_dir, &format!("its environment cannot be removed from the disk: {error}"))?);
    }
    fault::reach(Point::LaunchEnvironmentRemoved)?;
    Ok((spec, me))
}

/// Puts on record that the launch, which was taken, cannot be started; gives the same as an error.
fn cannot_take(session_dir: &Path, cause: &str) -> io::Result<io::Error> {
    launch::record_failure(session_dir, cause)?;
    Ok(io::Error::other(cause.to_owned()))
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts an agent in a multiplexer's pane")]
fn start(spec: &LaunchSpec) -> io::Result<Child> {
    check_directory(spec)?;
    let mut command = tokio::process::Command::new(&spec.command.program);
    command.args(&spec.command.args).env_clear().envs(&spec.env).current_dir(&spec.cwd);
    if let Some(stdin) = open_stdin(spec)? {
        command.stdin(stdin);
    }
    command.spawn().map_err(|error| cannot_run(spec, &error))
}

/// The recorded standard input, opened; `None` when it is the terminal.
pub(super) fn open_stdin(spec: &LaunchSpec) -> io::Result<Option<Stdio>> {
    let Some(path) = &spec.command.stdin else { return Ok(None) };
    let file = File::open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("standard input: {error}: {}", path.display())))?;
    Ok(Some(file.into()))
}

/// Refuses a missing working directory by name: the system's own error would be taken for the program's.
pub(super) fn check_directory(spec: &LaunchSpec) -> io::Result<()> {
    match std::fs::metadata(&spec.cwd) {
        Ok(directory) if directory.is_dir() => Ok(()),
        Ok(_) => Err(io::Error::other(format!("the working directory is no directory: {}", spec.cwd.display()))),
        Err(error) => {
            Err(io::Error::new(error.kind(), format!("the working directory: {error}: {}", spec.cwd.display())))
        }
    }
}

/// The refusal to run the program, with its name.
pub(super) fn cannot_run(spec: &LaunchSpec, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{error}: {}", spec.command.program.display()))
}

/// Whether this process's terminal was taken away from it and its agent, because the multiplexer died. The hang-up, which not
/// only this process is told of, ends most agents: then it is the terminal that was lost, whatever the agent made of it.
fn is_terminal_gone() -> bool {
    // Other standard input than a terminal gives another error.
    rustix::termios::tcgetwinsize(rustix::stdio::stdin()) == Err(rustix::io::Errno::IO)
}

/// Ends an agent that was told that its terminal is gone, unless it does so itself.
async fn end_without_terminal(spec: &LaunchSpec, child: &mut Child, agent: Agent, me: ProcessIdentity) {
    if timeout(HANG_UP_GRACE, child.wait()).await.is_ok() {
        return;
    }
    tracing::warn!(pid = agent.process.pid, "the agent works on without a terminal, and is ended");
    if let Err(error) = family(spec, agent, me).end(Some(agent.process), REST_GRACE).await {
        tracing::warn!(%error, "the agent could not be ended");
    }
}

/// How long an agent whose terminal is gone may take to end by itself.
const HANG_UP_GRACE: Duration = Duration::from_secs(5);

/// How the agent ended; an error to find that out must not keep its end from being recorded.
pub(super) fn known_exit(status: io::Result<ExitStatus>) -> Exit {
    status.map_or_else(
        |error| {
            tracing::warn!(%error, "how the agent ended cannot be found out");
            Exit::Unknown
        },
        launch::exit_of,
    )
}

/// An agent that was started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agent {
    pub(super) process: ProcessIdentity,
    /// Whether it led a kernel session of its own when it was started. Asked then, because its number says nothing once it was waited for.
    leads_session: bool,
}

impl Agent {
    /// The kernel session that is its own, to be ended as a whole.
    pub(super) fn session(self) -> Option<u32> {
        self.leads_session.then_some(self.process.pid)
    }
}

/// Records the start. An agent that could not be recorded is ended: nobody would know of it.
pub(super) async fn started(session_dir: &Path, child: &mut Child, me: ProcessIdentity) -> io::Result<Agent> {
    let recorded = identify(child).and_then(|agent| {
        fault::reach(Point::LaunchAgentStarted)?;
        launch::record_start(session_dir, agent.process, me)?;
        Ok(agent)
    });
    if let Err(error) = &recorded {
        child.kill().await?;
        launch::record_failure(session_dir, &format!("the start could not be recorded: {error}"))?;
    }
    recorded
}

/// The child. It was not waited for, so its number is still its own, even when it has ended.
fn identify(child: &Child) -> io::Result<Agent> {
    let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
    let stat = process::stat(pid)?.ok_or(io::ErrorKind::NotFound)?;
    Ok(Agent { process: stat.identity, leads_session: stat.session == pid })
}

/// Ends what the agent left behind (background jobs, waiters), its control group too: nothing of a session works on after its
/// end is on record.
pub(super) async fn end_rest(session_dir: &Path, spec: &LaunchSpec, agent: Agent, me: ProcessIdentity) {
    // What cannot be ended (it hangs in the kernel, or became another user's) must not keep the agent's end from being recorded.
    if let Err(error) = family(spec, agent, me).end(None, REST_GRACE).await {
        tracing::warn!(%error, "what the agent left behind could not be ended");
        launch::add_remark(session_dir, format!("what its agent left running could not be ended: {error}"));
    }
    launch::settle(session_dir, spec).await;
}

/// The agent and all it started, without the supervisor.
fn family(spec: &LaunchSpec, agent: Agent, me: ProcessIdentity) -> Family {
    let sessions = agent.session().into_iter().chain(process::leads_session(me.pid).then_some(me.pid)).collect();
    // After its end the agent itself only counts where it could not be waited for.
    Family { roots: vec![agent.process], sessions, except: Some(me), ..spec.family() }
}

/// How long what the agent left behind may take to end in order.
const REST_GRACE: Duration = Duration::from_secs(1);

/// The signals this process survives.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
    stop: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            stop: signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next one that the agent must be told of.
    async fn next(&mut self) -> Signal {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.quit.recv() => {}
                _ = self.stop.recv() => {}
                _ = self.terminate.recv() => return Signal::TERM,
                _ = self.hang_up.recv() => return Signal::HUP,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "an agent as a multiplexer's pane has it, and as the holder has it")]
    async fn only_an_agent_that_leads_a_kernel_session_has_one_to_be_ended() {
        let start = |program: &str| {
            let mut command = tokio::process::Command::new(program);
            command.args(["/bin/sleep", "600"][usize::from(program.ends_with("sleep"))..].iter());
            command.kill_on_drop(true).spawn().unwrap()
        };
        let plain = start("/bin/sleep");
        assert_eq!(identify(&plain).unwrap().session(), None);
        let leader = start("/usr/bin/setsid");
        let pid = leader.id().unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while identify(&leader).unwrap().session() != Some(pid) {
            assert!(tokio::time::Instant::now() < deadline, "it leads no session");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[test]
    fn an_end_that_cannot_be_found_out_is_still_an_end() {
        assert_eq!(known_exit(Err(io::ErrorKind::Other.into())), Exit::Unknown);
    }
}
