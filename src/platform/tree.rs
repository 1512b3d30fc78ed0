//! Finding and ending every process that belongs to one program, also those that changed their parent. Linux only: `/proc`,
//! pidfds.
//!
//! A process belongs to a [`Family`] when it is one of its roots, when it is in a kernel session or a control group the family
//! owns or whose leader bears the family's marker, when its environment holds that marker, or when its parent belongs and it did not step out on purpose.
//! Stepping out takes both a kernel session of its own and an environment without the marker, and where the family has a
//! control group, leaving that: that is how a service started from inside (for example a daemon, which other families depend
//! on) stays alive.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::Instant;

use super::cgroup::Group;
use super::process::{self, ProcessStat};
use crate::domain::session::ProcessIdentity;

/// How long to wait before processes that are waited for are looked at again: first and at most. A look reads all of `/proc`.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// How long processes get to obey a `SIGTERM` once their leader is gone.
const REST_GRACE: Duration = Duration::from_secs(1);
/// How long after `SIGKILL` a process may stay before that is an error (it hangs in the kernel).
const KILL_BOUND: Duration = Duration::from_secs(5);

/// What makes a process one of a program's.
#[derive(Debug, Clone, Default)]
pub struct Family {
    /// Processes known to belong.
    pub roots: Vec<ProcessIdentity>,
    /// Kernel sessions that belong as a whole. The caller vouches that the numbers are not somebody else's by now.
    pub sessions: Vec<u32>,
    /// An entry `NAME=value` in the environment of every process that belongs, unique to this family.
    pub marker: Option<String>,
    /// A control group that belongs as a whole: nothing steps out of it by accident, and it can be killed at once.
    pub group: Option<Group>,
    /// A process that is never counted, for example the one that supervises.
    pub except: Option<ProcessIdentity>,
}

impl Family {
    /// Every running process that belongs, in no order.
    ///
    /// # Errors
    /// When `/proc` cannot be listed.
    pub fn members(&self) -> io::Result<Vec<ProcessIdentity>> {
        let all = running()?;
        let mut children: HashMap<u32, Vec<&ProcessStat>> = HashMap::new();
        for stat in &all {
            children.entry(stat.parent).or_default().push(stat);
        }
        let grouped: HashSet<u32> = match &self.group {
            Some(group) => group.members()?.into_iter().collect(),
            None => HashSet::new(),
        };
        let leads = |stat: &&ProcessStat| stat.session == stat.identity.pid && self.is_marked(stat.identity.pid);
        let led: HashSet<u32> = all.iter().filter(leads).map(|stat| stat.session).collect();
        let is_seed = |stat: &ProcessStat| {
            self.roots.contains(&stat.identity)
                || grouped.contains(&stat.identity.pid)
                || self.sessions.contains(&stat.session)
                || led.contains(&stat.session)
                || self.is_marked(stat.identity.pid)
        };
        let mut found = HashSet::new();
        let mut todo: Vec<&ProcessStat> = all.iter().filter(|stat| is_seed(stat)).collect();
        while let Some(stat) = todo.pop() {
            if self.except == Some(stat.identity) || !found.insert(stat.identity) {
                continue;
            }
            // Marked ones are seeds already: left are those that share their parent's session.
            let below = children.get(&stat.identity.pid).into_iter().flatten();
            todo.extend(below.copied().filter(|child| child.session == stat.session));
        }
        Ok(found.into_iter().collect())
    }

    fn is_marked(&self, pid: u32) -> bool {
        let Some(marker) = &self.marker else { return false };
        environment(pid).split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes())
    }

    /// Ends every process that belongs: asks `leader` with `SIGTERM` and waits for at most `grace`; once it is gone asks the
    /// others, who get the rest of `grace` but no more than a second; then kills. Returns when none is left. Nothing to end
    /// is success.
    ///
    /// The others are not asked at first because a leader that ends in order may still start some (an agent runs its end
    /// hook).
    ///
    /// One that this user may not signal (it became another's, as with `sudo`) keeps none of the others alive.
    ///
    /// # Errors
    /// When `/proc` cannot be read, or a process is still there five seconds after it was killed. All the others have ended
    /// then, and the message names those that have not.
    pub async fn end(mut self, leader: Option<ProcessIdentity>, grace: Duration) -> io::Result<()> {
        let deadline = Instant::now() + grace;
        let mut refusals = Refusals::default();
        self.remember().await?;
        if let Some(leader) = leader
            && refusals.send(leader, Signal::TERM)?
        {
            let mut pause = Pause::default();
            while process::is_running(leader)? && Instant::now() < deadline {
                pause.wait().await;
            }
        }
        let deadline = deadline.min(Instant::now() + REST_GRACE);
        let (mut asked, mut pause) = (HashSet::new(), Pause::default());
        while Instant::now() < deadline {
            let left = self.remember().await?;
            if left.is_empty() {
                return Ok(());
            }
            for process in left {
                if asked.insert(process) {
                    refusals.send(process, Signal::TERM)?;
                }
            }
            pause.wait().await;
        }
        self.kill(refusals).await
    }

    async fn kill(&mut self, mut refusals: Refusals) -> io::Result<()> {
        let (deadline, mut pause) = (Instant::now() + KILL_BOUND, Pause::default());
        loop {
            let left = self.remember().await?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let left: Vec<String> = left.iter().map(|process| refusals.describe(*process)).collect();
                return Err(io::Error::other(format!("still there after being killed: {}", left.join(", "))));
            }
            if let Some(group) = self.group.as_ref().filter(|_| !self.spares_one_in_its_group()) {
                // At once, so that nothing that starts others faster than it is found goes on for ever. It also reaches
                // those that may not be signalled. Where it fails, whoever is still there in the end says so.
                let _ = group.kill();
            }
            for process in left {
                refusals.send(process, Signal::KILL)?;
            }
            pause.wait().await;
        }
    }

    /// Whether the process that is never counted is in the group.
    fn spares_one_in_its_group(&self) -> bool {
        let Some((group, except)) = self.group.as_ref().zip(self.except) else { return false };
        group.members().is_ok_and(|members| members.contains(&except.pid))
    }

    /// The members now, kept as roots: one found once is still known when what tied it to the family is gone.
    async fn remember(&mut self) -> io::Result<Vec<ProcessIdentity>> {
        let family = self.clone();
        let members = tokio::task::spawn_blocking(move || family.members()).await.map_err(io::Error::other)??;
        self.roots.clone_from(&members);
        Ok(members)
    }
}

/// The processes that this user may not signal.
#[derive(Debug, Default)]
struct Refusals(HashSet<ProcessIdentity>);

impl Refusals {
    /// Sends a signal; false when that is not allowed, which is remembered.
    fn send(&mut self, process: ProcessIdentity, signal: Signal) -> io::Result<bool> {
        match send(process, signal) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.0.insert(process);
                Ok(false)
            }
            sent => sent.map(|()| true),
        }
    }

    /// A process for a person, who may have to end it.
    fn describe(&self, process: ProcessIdentity) -> String {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap_or_default();
        let why = if self.0.contains(&process) { ", which this user may not signal" } else { "" };
        format!("process {} ({}){why}", process.pid, name.trim())
    }
}

/// The pauses between looks at processes that are waited for: from 10 ms, doubling, to 100 ms.
#[derive(Debug)]
pub struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pause {
    /// Waits until the next look.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

/// The values that a variable has in the environments of running processes, each once. What is no text is left out.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn values_of(variable: &str) -> io::Result<BTreeSet<String>> {
    let mut values = BTreeSet::new();
    for stat in running()? {
        let environment = environment(stat.identity.pid);
        let entries = environment.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
        let named = entries.filter_map(|entry| entry.strip_prefix(variable)?.strip_prefix('='));
        values.extend(named.map(str::to_owned));
    }
    Ok(values)
}

/// The entry `NAME=value` of a variable in the environment that a process was started with; `None` when there is none, or it
/// cannot be read.
#[must_use]
pub fn entry_of(pid: u32, variable: &str) -> Option<String> {
    let environment = environment(pid);
    let mut entries = environment.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
    entries.find(|entry| entry.strip_prefix(variable).is_some_and(|rest| rest.starts_with('='))).map(str::to_owned)
}

/// Empty for another user's process, or one that just ended: neither is of interest.
fn environment(pid: u32) -> Vec<u8> {
    std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

/// Sends a signal to exactly this process; success when it is gone.
///
/// # Errors
/// When it may not be signalled.
pub fn send(process: ProcessIdentity, signal: Signal) -> io::Result<()> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    // The handle is opened first and the identity checked second, so that the number cannot pass to another in between.
    let sent = pidfd_open(pid, PidfdFlags::empty()).and_then(|handle| {
        if matches!(process::is_running(process), Ok(true)) { pidfd_send_signal(handle, signal) } else { Ok(()) }
    });
    match sent {
        // For Linux 6.1 a process that is just being collected is no valid argument for a handle.
        Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Every process that runs, zombies left out.
fn running() -> io::Result<Vec<ProcessStat>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that cannot be read is gone, or none of ours.
        if let Ok(Some(stat)) = process::stat(pid)
            && !stat.is_zombie
        {
            all.push(stat);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `test` as a user who may not signal this test's own children. False when this user may not become another.
    fn as_nobody(test: impl AsyncFnOnce() + Send) -> bool {
        let nobody = rustix::process::Uid::from_raw(65534);
        std::thread::scope(|scope| {
            // The kernel knows users by thread; those that this one starts have its user.
            let thread = scope.spawn(move || {
                if rustix::thread::set_thread_res_uid(nobody, nobody, nobody).is_err() {
                    return false;
                }
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(test());
                true
            });
            thread.join().unwrap()
        })
    }

    #[expect(clippy::disallowed_methods, reason = "a process to be ended")]
    fn sleeper() -> std::process::Child {
        std::process::Command::new("/bin/sleep").arg("600").spawn().unwrap()
    }

    fn identity(child: &std::process::Child) -> ProcessIdentity {
        process::identity(child.id()).unwrap().unwrap()
    }

    #[test]
    fn one_that_may_not_be_signalled_keeps_none_of_the_others_alive_and_is_named() {
        let mut foreign = sleeper();
        let forbidden = identity(&foreign);
        let ran = as_nobody(async || {
            let mut mine = [sleeper(), sleeper()];
            let [leader, other] = [identity(&mine[0]), identity(&mine[1])];
            let family = Family { roots: vec![forbidden, leader, other], ..Family::default() };
            let ended = family.end(Some(leader), Duration::from_millis(100)).await;
            let left = [leader, other].map(|process| process::is_running(process).unwrap());
            for child in &mut mine {
                let _ = child.kill();
                let _ = child.wait();
            }
            assert_eq!(left, [false, false]);
            let said = ended.unwrap_err().to_string();
            let named = format!("process {} (sleep), which this user may not signal", forbidden.pid);
            assert!(said.ends_with(&named) && !said.contains(&leader.pid.to_string()), "{said}");
        });
        let survived = process::is_running(forbidden).unwrap();
        let _ = foreign.kill();
        let _ = foreign.wait();
        assert!(survived);
        if !ran {
            let _ = io::Write::write_all(&mut io::stderr(), b"skipped: only root can become another user\n");
        }
    }
}
