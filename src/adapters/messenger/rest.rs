//! Resting until there may be something for an idle agent: told by the file system and by the agent's process, and nothing is polled.
//!
//! One process rests for each agent for as long as that is idle, so it is small: nothing here needs an executor, JSON or the time.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

use super::boxes::{Boxes, WAITER};
use super::directory::Lock;
use crate::domain::session::ProcessIdentity;
use crate::platform::process_end;
use crate::ports::messenger::MessengerError;

/// How long the process that rested for an earlier agent may take to leave.
const WAITER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it is at most between two looks while something waits: what changed since the last one was not seen.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long it is at least then: an agent at work and those who write to it change much, and each look costs the start of a program.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// What a rest came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rested {
    /// There may be something: look.
    Look,
    /// The agent has ended.
    AgentEnded,
    /// Another process rests for this agent.
    IsDoneElsewhere,
}

/// Rests until there may be something for an agent that works in a workspace, it has ended, or for about `at_most`; that is `None` when nothing
/// waited at the last look. What has come since that look is noticed.
///
/// # Errors
/// [`MessengerError`]; also when what was watched has been taken away.
pub fn rest(workspace: &Path, agent: ProcessIdentity, at_most: Option<Duration>) -> Result<Rested, MessengerError> {
    let failed = |source: io::Error| MessengerError::File { action: "watch", path: workspace.to_owned(), source };
    let Some(agents_end) = process_end::handle(agent).map_err(failed)? else { return Ok(Rested::AgentEnded) };
    let boxes = Boxes::make(workspace)?;
    let Some(_lock) = only_one(&boxes, agent)? else { return Ok(Rested::IsDoneElsewhere) };
    let changes = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC);
    let changes = changes.map_err(|errno| failed(errno.into()))?;
    for directory in [&boxes.ao, &boxes.inbox, &boxes.taken] {
        directory.watch(&changes)?;
    }
    let at_most = at_most.map(|at_most| at_most.min(LOOK_INTERVAL));
    if at_most.is_some() {
        std::thread::sleep(LOOK_PAUSE);
    }
    loop {
        // Where nothing waited, what does now is new. The agent's hooks change other things, and often.
        if at_most.is_none() && !boxes.are_quiet()? {
            return Ok(Rested::Look);
        }
        match wait(&changes, &agents_end, at_most).map_err(failed)? {
            Woken::Ended => return Ok(Rested::AgentEnded),
            Woken::TimeIsUp => return Ok(Rested::Look),
            // An agent may take all that git ignores away, and with it what is watched. What comes then comes elsewhere.
            Woken::Changed if !boxes.are_in(workspace) => return Err(failed(io::ErrorKind::NotFound.into())),
            Woken::Changed if at_most.is_some() => return Ok(Rested::Look),
            Woken::Changed => {}
        }
    }
}

/// The right to rest for this agent; `None` when another process has it.
fn only_one(boxes: &Boxes, agent: ProcessIdentity) -> Result<Option<Lock>, MessengerError> {
    let whose = format!("{} {}", agent.pid, agent.start_ticks);
    let is_held = |error: &MessengerError| matches!(error, MessengerError::File { source, .. } if source.kind() == io::ErrorKind::WouldBlock);
    let lock = match boxes.ao.lock(WAITER, Duration::ZERO) {
        // For this agent, or for the one before, whose end it will notice.
        Err(error) if is_held(&error) && boxes.ao.read(WAITER, 64)?.is_some_and(|held| held == whose.as_bytes()) => {
            return Ok(None);
        }
        Err(error) if is_held(&error) => boxes.ao.lock(WAITER, WAITER_TIMEOUT)?,
        lock => lock?,
    };
    lock.write(whose.as_bytes()).map_err(|source| MessengerError::File {
        action: "write to the lock in",
        path: boxes.ao.path().to_owned(),
        source,
    })?;
    Ok(Some(lock))
}

enum Woken {
    Changed,
    Ended,
    TimeIsUp,
}

fn wait(changes: &OwnedFd, agents_end: &OwnedFd, at_most: Option<Duration>) -> io::Result<Woken> {
    let at_most = at_most.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    let mut handles = [PollFd::new(agents_end, PollFlags::IN), PollFd::new(changes, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut handles, at_most.as_ref()))?;
    if !handles[0].revents().is_empty() {
        return Ok(Woken::Ended);
    }
    if handles[1].revents().is_empty() {
        return Ok(Woken::TimeIsUp);
    }
    // What came is found by looking; it has only to be taken off the queue.
    let mut room = [0; 4096];
    while rustix::io::read(changes, &mut room).is_ok_and(|bytes| bytes > 0) {}
    Ok(Woken::Changed)
}

#[cfg(test)]
#[path = "rest_tests.rs"]
mod tests;
