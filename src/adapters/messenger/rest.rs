//! Resting until there may be something for an idle agent: told by the file system and by the agent's process, and nothing is polled.
//!
//! A [`Watch`] is begun before a look, so that nothing is missed that comes after. When there is nothing it becomes a [`Rest`], whose handles can be
//! handed to another program: to [`wait`] with them that one needs next to nothing. One process waits for each agent for as long as that is idle.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::fs::inotify::{self, WatchFlags};

use super::boxes::{Boxes, WAITER};
use super::directory::Lock;
use crate::domain::session::ProcessIdentity;
use crate::platform::process_end;
use crate::ports::messenger::MessengerError;

/// How long the process that rested for an earlier agent may take to leave.
const WAITER_TIMEOUT: Duration = Duration::from_secs(3);

/// The directories that a [`Watch`] watches; the kernel numbers what is watched from 1.
const WATCHED: std::ops::RangeInclusive<i32> = 1..=3;

/// How long another one is asked whether it has the right to rest: who only looks whether anybody has it holds it for a moment.
const PROBED: Duration = Duration::from_millis(100);

/// What an event of a [`Rest`] tells.
const ENDED: u64 = 0;
const CHANGED: u64 = 1;

/// What a rest is to be told of, beside what ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Of messages that arrive. Where nothing waits nothing else matters, and the agent's hooks change other things often.
    Arrivals,
    /// Of whatever changes in the messages: something waits, and that may be taken, or become free to be handed over.
    Changes,
    /// Of nothing: a look that failed makes changes of its own.
    Nothing,
}

/// Whether something can be watched at all: the kernel gives each user so many handles for that.
///
/// # Errors
/// Why not.
pub fn try_to_watch() -> io::Result<()> {
    Ok(inotify::init(inotify::CreateFlags::CLOEXEC).map(drop)?)
}

/// What changes in a workspace's messages is noticed from here on.
pub struct Watch {
    boxes: Boxes,
    changes: OwnedFd,
}

impl Watch {
    /// Begins to watch, after making the directories that are not there.
    ///
    /// # Errors
    /// [`MessengerError`].
    pub fn begin(workspace: &Path) -> Result<Self, MessengerError> {
        let boxes = Boxes::make(workspace)?;
        let changes = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC);
        let changes = changes.map_err(|errno| failed(workspace, errno.into()))?;
        let any = WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::DELETE;
        for directory in [&boxes.ao, &boxes.inbox, &boxes.taken] {
            directory.watch(&changes, any)?;
        }
        // An agent may have taken all that git ignores away meanwhile. What comes then comes elsewhere.
        if !boxes.are_in(workspace) {
            return Err(failed(workspace, io::ErrorKind::NotFound.into()));
        }
        Ok(Self { boxes, changes })
    }

    /// Takes the right to rest for this agent; `None` when it has ended, or another process has the right.
    ///
    /// # Errors
    /// [`MessengerError`].
    pub fn rest(self, agent: ProcessIdentity, told: Told) -> Result<Option<Rest>, MessengerError> {
        let Self { boxes, changes } = self;
        let failed = |source| failed(boxes.ao.path(), source);
        let Some(mut rest) = Rest::beside(agent).map_err(failed)? else { return Ok(None) };
        let Some(lock) = only_one(&boxes, agent)? else { return Ok(None) };
        rest.lock = Some(lock);
        if told == Told::Arrivals {
            boxes.ao.watch(&changes, WatchFlags::empty())?;
            boxes.taken.watch(&changes, WatchFlags::empty())?;
            boxes.inbox.watch(&changes, WatchFlags::MOVED_TO)?;
        }
        if told != Told::Nothing {
            rest.add(&changes, CHANGED).map_err(failed)?;
        }
        rest.changes = Some(changes);
        Ok(Some(rest))
    }
}

/// The right to rest, and what wakes who does.
pub struct Rest {
    wakes: OwnedFd,
    /// Of the agent, and of what else ends it.
    ends: Vec<OwnedFd>,
    changes: Option<OwnedFd>,
    lock: Option<Lock>,
}

impl Rest {
    /// To be woken by the end of an agent only; `None` when it does not run.
    ///
    /// # Errors
    /// When the kernel cannot tell.
    pub fn beside(agent: ProcessIdentity) -> io::Result<Option<Self>> {
        let wakes = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut rest = Self { wakes, ends: Vec::new(), changes: None, lock: None };
        Ok(rest.end_with(agent)?.then_some(rest))
    }

    /// The right to rest where nothing can be watched, for example since this user has all the watches that the kernel gives one: only time and the
    /// agent's end wake. `None` when that has ended, or another process has the right.
    ///
    /// # Errors
    /// When the kernel cannot tell.
    pub fn unwatched(workspace: &Path, agent: ProcessIdentity) -> io::Result<Option<Self>> {
        let Some(mut rest) = Self::beside(agent)? else { return Ok(None) };
        // Where not even that right can be had, several rest side by side until it can.
        match Boxes::make(workspace).and_then(|boxes| only_one(&boxes, agent)) {
            Ok(None) => return Ok(None),
            Ok(lock) => rest.lock = lock,
            Err(_) => {}
        }
        Ok(Some(rest))
    }

    /// Makes the end of this process one of the rest; `false` when it does not run.
    ///
    /// # Errors
    /// When the kernel cannot tell.
    pub fn end_with(&mut self, process: ProcessIdentity) -> io::Result<bool> {
        let Some(end) = process_end::handle(process)? else { return Ok(false) };
        self.add(&end, ENDED)?;
        self.ends.push(end);
        Ok(true)
    }

    fn add(&self, source: &OwnedFd, tells: u64) -> io::Result<()> {
        Ok(epoll::add(&self.wakes, source, EventData::new_u64(tells), EventFlags::IN)?)
    }

    /// What to [`wait`] on.
    #[must_use]
    pub fn wakes(&self) -> &OwnedFd {
        &self.wakes
    }

    /// What has to stay open for as long as is waited: what wakes, and the right to rest.
    pub fn handles(&self) -> impl Iterator<Item = &OwnedFd> {
        self.ends.iter().chain(&self.changes).chain(self.lock.as_ref().map(Lock::handle))
    }

    /// What is to be [given up](give_up) once the rest is over, if anything.
    #[must_use]
    pub fn changes(&self) -> Option<&OwnedFd> {
        self.changes.as_ref()
    }
}

/// Gives up to be told of changes. The kernel takes some 16 ms for that, in which the last one who closes the handle has to wait: so it is begun
/// here, and the handle stays open while there is something else to do.
pub fn give_up(changes: impl AsFd) {
    for watched in WATCHED {
        // One whose directory is gone is gone already.
        let _ = inotify::remove_watch(&changes, watched);
    }
}

/// What a rest came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rested {
    /// There may be something: look.
    Look,
    /// The agent has ended, or another process [with which the rest ends](Rest::end_with).
    Over,
}

/// Waits on what a [`Rest`] is woken by until there may be something, it is over, or for `at_most`; `None` for as long as it takes.
///
/// # Errors
/// When the kernel cannot tell.
pub fn wait(wakes: impl AsFd, at_most: Option<Duration>) -> io::Result<Rested> {
    let at_most = at_most.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    let mut events: Vec<Event> = Vec::with_capacity(2);
    rustix::io::retry_on_intr(|| epoll::wait(&wakes, spare_capacity(&mut events), at_most.as_ref()))?;
    let has_ended = events.iter().any(|event| event.data.u64() == ENDED);
    Ok(if has_ended { Rested::Over } else { Rested::Look })
}

/// The right to rest for this agent; `None` when another process has it.
fn only_one(boxes: &Boxes, agent: ProcessIdentity) -> Result<Option<Lock>, MessengerError> {
    let whose = format!("{} {}", agent.pid, agent.start_ticks);
    let is_held = |error: &MessengerError| matches!(error, MessengerError::File { source, .. } if source.kind() == io::ErrorKind::WouldBlock);
    let lock = match boxes.ao.lock(WAITER, PROBED) {
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

fn failed(path: &Path, source: io::Error) -> MessengerError {
    MessengerError::File { action: "watch", path: path.to_owned(), source }
}

#[cfg(test)]
#[path = "rest_tests.rs"]
mod tests;
