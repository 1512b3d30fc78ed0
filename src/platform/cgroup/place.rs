//! Where agents' groups can be made.
//!
//! A group may be divided by whoever it was handed to, and only while no process is in the group itself: so a daemon that was
//! handed one moves into a leaf of it ("daemon") and makes the agents' groups beside that. Where systemd runs, every group is
//! systemd's but those it delegates, and one is asked for. A user's own systemd ends everything in it after the user's last
//! logout, unless the user lingers; agents must not end so, and a daemon that did not live there already stays away then.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};
use tokio::time::Instant;

use super::manager::Manager;
use super::{Group, read_if_there};
use crate::platform::tree::Pause;

/// The leaf that a daemon moves into.
const DAEMON: &str = "daemon";
/// How long systemd may take from its answer until this process is where it was moved to.
const MOVE_BOUND: Duration = Duration::from_secs(5);

/// What the user wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Choice {
    /// Groups where there can be some.
    #[default]
    Auto,
    /// No groups.
    Off,
    /// Groups below this one, which must be writable and have no processes of its own.
    Below(PathBuf),
}

/// Where agents' groups are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The group they are made in.
    pub parent: PathBuf,
    /// Whether memory can be bounded there.
    pub bounds_memory: bool,
}

/// Why there can be no groups.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Absent {
    /// What is missing.
    pub why: String,
    /// What to do about it.
    pub advice: String,
}

impl Absent {
    fn new(why: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { why: why.into(), advice: advice.into() }
    }
}

/// What there is to be done for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Make groups below this one, in which there may be processes: it is the root, or the user vouches for it.
    Below(PathBuf),
    /// Move into a leaf of this group, and make groups in it.
    Divide(PathBuf),
    /// Ask systemd for a group, then divide that.
    Ask,
}

impl Plan {
    /// Whether memory could be bounded then. Systemd hands that on where the machine has it.
    #[must_use]
    pub fn bounds_memory(&self) -> bool {
        match self {
            Self::Below(group) | Self::Divide(group) => lists_memory(group, "cgroup.controllers").unwrap_or(false),
            Self::Ask => true,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(group) | Self::Divide(group) => write!(f, "in {}", group.display()),
            Self::Ask => write!(f, "from systemd"),
        }
    }
}

/// What was found out about this process's surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent observations")]
struct Seen {
    /// The group this process is in, or the one that the agent's group it is in was made in.
    own: Option<PathBuf>,
    /// Whether that is the root of all groups, where processes and groups may be side by side.
    is_root: bool,
    is_writable: bool,
    /// Whether systemd has handed it over.
    is_delegated: bool,
    has_systemd: bool,
}

/// Takes this process out of the group of the agent that it was started by, with which it and all that it starts would end:
/// to beside that group. Does nothing anywhere else. To be done first and whatever the [`Choice`] is, which is about the
/// groups of new agents.
///
/// # Errors
/// When it is still in there, with the cause.
pub fn leave_agents_group() -> io::Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    match refuge(&mounts, &std::fs::read_to_string("/proc/self/cgroup")?)? {
        Some(beside) if is_root(&beside) => Group::at(beside).enter(),
        Some(beside) => {
            let leaf = Group::at(beside.join(DAEMON));
            leaf.create(None)?;
            leaf.enter()
        }
        None => Ok(()),
    }
}

/// The group in which the group of the agent was made that a process is in; `None` when it is in no agent's.
fn refuge(mountinfo: &str, cgroup: &str) -> io::Result<Option<PathBuf>> {
    let Some(agents) = named(cgroup).and_then(agents_group) else { return Ok(None) };
    // In sight it may begin with the mount's own path, but it ends as it is named.
    let seen = directory(mountinfo, cgroup);
    let beside = seen.as_deref().and_then(agents_group).and_then(Path::parent);
    let unseen = || io::Error::other(format!("the agent's control group {} is not to be seen here", agents.display()));
    beside.map(|beside| Some(beside.to_owned())).ok_or_else(unseen)
}

/// Finds out what would have to be done. Changes nothing. `env` is this process's environment.
///
/// # Errors
/// [`Absent`].
pub async fn plan(choice: &Choice, env: &BTreeMap<String, String>) -> Result<Plan, Absent> {
    match choice {
        Choice::Off => Err(Absent::new("turned off by the setting cgroup", "set cgroup = \"auto\"")),
        Choice::Below(path) if is_writable(path) => Ok(Plan::Below(path.clone())),
        Choice::Below(path) => {
            let why = format!("{} is no control group that can be written to", path.display());
            Err(Absent::new(why, "name another one with the setting cgroup, or set it to \"auto\""))
        }
        Choice::Auto => {
            let seen = look().map_err(|error| Absent::new(format!("cannot look at control groups: {error}"), MOUNT))?;
            match decide(&seen)? {
                Plan::Ask => ask_first(&seen, env).await.map(|()| Plan::Ask),
                plan => Ok(plan),
            }
        }
    }
}

/// Carries a plan out: moves this process where it has to be.
///
/// # Errors
/// [`Absent`]; this process is where it was then, or in a scope of its own.
pub async fn settle(plan: Plan, env: &BTreeMap<String, String>) -> Result<Place, Absent> {
    match plan {
        Plan::Below(parent) => {
            let bounds_memory = offers_memory(&parent).unwrap_or(false);
            Ok(Place { parent, bounds_memory })
        }
        Plan::Divide(group) => divide(group).await,
        Plan::Ask => divide(ask(env).await?).await,
    }
}

const MOUNT: &str = "mount it: mount -t cgroup2 none /sys/fs/cgroup";

fn decide(seen: &Seen) -> Result<Plan, Absent> {
    let Some(own) = seen.own.clone() else {
        return Err(Absent::new("control groups (version 2) are not mounted", MOUNT));
    };
    if seen.is_root && seen.is_writable {
        return Ok(Plan::Below(own));
    }
    if seen.is_writable && (seen.is_delegated || !seen.has_systemd) {
        return Ok(Plan::Divide(own));
    }
    if !seen.has_systemd {
        let why = format!("this user may not divide the control group {}", own.display());
        let user = rustix::process::geteuid();
        let advice = if user.is_root() {
            "mount it writable (a container may need to be started so)".to_owned()
        } else {
            format!("hand it over: chown -R {} {}", user.as_raw(), own.display())
        };
        return Err(Absent::new(why, advice));
    }
    if let Some(service) = system_service(&own) {
        return Err(Absent::new(format!("it runs in the service {service}"), format!("set Delegate=yes in {service}")));
    }
    Ok(Plan::Ask)
}

/// The system service that a group is in, if it is; a user's own manager is none.
fn system_service(group: &Path) -> Option<String> {
    let name = group.iter().map(|part| part.to_string_lossy()).find(|part| part.ends_with(".service"))?;
    (!name.starts_with("user@")).then(|| name.into_owned())
}

/// Whether systemd would answer, and whether agents would be safe with it.
async fn ask_first(seen: &Seen, env: &BTreeMap<String, String>) -> Result<(), Absent> {
    let install = "install systemd's busctl";
    let manager = Manager::find(env).ok_or_else(|| Absent::new("busctl is not on PATH", install))?;
    let lives_there =
        seen.own.as_ref().is_some_and(|own| own.iter().any(|part| part.to_string_lossy().starts_with("user@")));
    if manager.is_users_own() && !lives_there && !manager.lingers().await {
        let why = "this user's systemd would end agents after the last logout";
        return Err(Absent::new(why, "let it stay: loginctl enable-linger"));
    }
    let silent = |error| Absent::new(format!("systemd does not answer: {error}"), "see: systemctl --user status");
    manager.answers().await.map_err(silent)
}

async fn ask(env: &BTreeMap<String, String>) -> Result<PathBuf, Absent> {
    let refused = |error: String| Absent::new(format!("systemd gave no group: {error}"), "see: journalctl -e");
    let manager = Manager::find(env).ok_or_else(|| refused("busctl is gone".to_owned()))?;
    let scope = format!("app-ao-{}.scope", uuid::Uuid::new_v4().simple());
    manager.move_to_scope(&scope).await.map_err(refused)?;
    let (deadline, mut pause) = (Instant::now() + MOVE_BOUND, Pause::default());
    loop {
        if let Ok(Some(own)) = own()
            && own.ends_with(&scope)
        {
            return Ok(own);
        }
        if Instant::now() >= deadline {
            return Err(refused(format!("this process was not moved to {scope}")));
        }
        pause.wait().await;
    }
}

/// Moves this process into a leaf of a group, so that the group can be divided.
async fn divide(parent: PathBuf) -> Result<Place, Absent> {
    let leaf = Group::at(parent.join(DAEMON));
    leaf.create(None).and_then(|()| leaf.enter()).map_err(|error| cannot_divide(&parent, &error))?;
    match offers_memory(&parent) {
        Ok(bounds_memory) => Ok(Place { parent, bounds_memory }),
        Err(error) => {
            // Others are in it, so no group below it could bound anything.
            let _ = Group::at(&parent).enter();
            let _ = leaf.remove().await;
            Err(cannot_divide(&parent, &error))
        }
    }
}

fn cannot_divide(group: &Path, error: &io::Error) -> Absent {
    let why = format!("the control group {} cannot be divided: {error}", group.display());
    Absent::new(why, "see that it has no processes of its own, or ask systemd for one that is ao's (Delegate=yes)")
}

/// Hands the control of memory on to the groups below this one. Gives whether it has it.
fn offers_memory(group: &Path) -> io::Result<bool> {
    const HANDED_ON: &str = "cgroup.subtree_control";
    if !lists_memory(group, "cgroup.controllers")? {
        return Ok(false);
    }
    if !lists_memory(group, HANDED_ON)? {
        Group::at(group).write(HANDED_ON, "+memory")?;
    }
    lists_memory(group, HANDED_ON)
}

/// Whether a file of a group that lists controllers has the one of memory.
fn lists_memory(group: &Path, file: &str) -> io::Result<bool> {
    let text = read_if_there(&group.join(file))?.unwrap_or_default();
    Ok(text.split_whitespace().any(|controller| controller == "memory"))
}

fn look() -> io::Result<Seen> {
    let own = own()?.map(|own| match agents_group(&own) {
        Some(agents) => agents.parent().map(Path::to_owned).unwrap_or_default(),
        None if own.ends_with(DAEMON) => own.parent().map(Path::to_owned).unwrap_or_default(),
        None => own,
    });
    let has = |test: &dyn Fn(&Path) -> bool| own.as_deref().is_some_and(test);
    Ok(Seen {
        is_root: has(&is_root),
        is_writable: has(&is_writable),
        is_delegated: has(&is_delegated),
        has_systemd: Path::new("/run/systemd/system").exists(),
        own,
    })
}

/// The agent's group that a group is, or is in: of several the outermost, with which the others end.
pub(super) fn agents_group(group: &Path) -> Option<&Path> {
    let is_agents =
        |part: &&Path| part.file_name().and_then(|name| name.to_str()).is_some_and(Group::is_name_of_agents);
    group.ancestors().filter(is_agents).last()
}

/// Only the root has no type.
fn is_root(group: &Path) -> bool {
    !group.join("cgroup.type").exists()
}

fn is_writable(group: &Path) -> bool {
    let may_write = |path: &Path| access(path, Access::WRITE_OK).is_ok();
    may_write(group) && may_write(&group.join("cgroup.procs"))
}

/// Systemd's mark on what it has handed over (since version 251).
fn is_delegated(group: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0; 1];
        rustix::fs::getxattr(group, *name, &mut value[..]).is_ok_and(|length| value[..length] == *b"1")
    })
}

/// The directory of the group this process is in; `None` when it cannot be seen from here.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn own() -> io::Result<Option<PathBuf>> {
    of("self")
}

/// The agent's group that a process is in; `None` also where that cannot be found out.
#[must_use]
pub fn agents_group_of(pid: u32) -> Option<PathBuf> {
    let group = of(&pid.to_string()).ok().flatten()?;
    agents_group(&group).map(Path::to_owned)
}

fn of(process: &str) -> io::Result<Option<PathBuf>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(directory(&mounts, &std::fs::read_to_string(format!("/proc/{process}/cgroup"))?))
}

/// The directory of a process's group of version 2, from what `/proc` tells of mounts and of the process.
fn directory(mountinfo: &str, cgroup: &str) -> Option<PathBuf> {
    let (point, below) = locate(mountinfo, named(cgroup)?, |file_system| file_system.starts_with("cgroup2 "))?;
    Some(point.join(below))
}

/// Where a group is to be seen in the first mount of such a file system that shows it: the mount's path, and the group's
/// path below that. A file system is what `/proc` tells of it: its kind, its source and its options.
pub(super) fn locate(mountinfo: &str, group: &Path, is_meant: impl Fn(&str) -> bool) -> Option<(PathBuf, PathBuf)> {
    mountinfo.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
        let below = group.strip_prefix(&root).ok()?;
        // What is above the root of this process's namespace has no path here.
        let is_here = is_meant(file_system) && !below.iter().any(|part| part == "..");
        is_here.then(|| (PathBuf::from(point), below.to_owned()))
    })
}

/// A process's group of version 2 as `/proc` names it.
pub(super) fn named(cgroup: &str) -> Option<&Path> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::")).map(Path::new)
}

/// `/proc` writes what would break its lines as three octal digits.
fn unescaped(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(own: &str) -> Seen {
        Seen { own: Some(own.into()), is_root: false, is_writable: true, is_delegated: false, has_systemd: true }
    }

    #[test]
    fn what_was_handed_over_is_divided_and_the_rest_is_asked_for() {
        let own = "/sys/fs/cgroup/user.slice/user-7.slice/user@7.service/app.slice/x.scope";
        assert_eq!(decide(&seen(own)), Ok(Plan::Ask));
        assert_eq!(decide(&Seen { is_delegated: true, ..seen(own) }), Ok(Plan::Divide(own.into())));
        assert_eq!(decide(&Seen { has_systemd: false, ..seen(own) }), Ok(Plan::Divide(own.into())));
        assert_eq!(decide(&Seen { is_root: true, has_systemd: false, ..seen("/c") }), Ok(Plan::Below("/c".into())));
        assert_eq!(decide(&Seen { is_writable: false, ..seen("/c/user.slice/session-3.scope") }), Ok(Plan::Ask));
    }

    #[test]
    fn where_there_can_be_no_groups_it_is_said_what_to_do() {
        let said = |seen: Seen| decide(&seen).unwrap_err();
        assert!(said(Seen { own: None, ..seen("") }).advice.contains("mount -t cgroup2"));
        let foreign = said(Seen { is_writable: false, has_systemd: false, ..seen("/c/x") });
        let what_to_do = if rustix::process::geteuid().is_root() { "writable" } else { "chown" };
        assert!(foreign.why.contains("/c/x") && foreign.advice.contains(what_to_do), "{foreign:?}");
        let service = said(Seen { is_writable: false, ..seen("/c/system.slice/ao.service") });
        assert!(service.advice.contains("Delegate=yes in ao.service"), "{service:?}");
    }

    #[test]
    fn the_group_is_found_where_it_is_mounted() {
        let hybrid = "30 25 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
                      31 25 0:27 / /sys/fs/cgroup/un\\040ified rw,relatime - cgroup2 none rw\n";
        let cgroup = "4:memory:/elsewhere\n0::/a/b.scope\n";
        assert_eq!(directory(hybrid, cgroup), Some("/sys/fs/cgroup/un ified/a/b.scope".into()));
        let part = "31 25 0:27 /a /c rw - cgroup2 none rw\n";
        assert_eq!(directory(part, cgroup), Some("/c/b.scope".into()));
        assert_eq!(directory(part, "0::/other\n"), None, "not to be seen from here");
        assert_eq!(directory(hybrid, "0::/../x\n"), None, "out of its namespace");
        assert_eq!(directory("", cgroup), None);
        assert_eq!(directory(hybrid, "4:memory:/\n"), None, "version 1 only");
    }

    #[test]
    fn a_daemon_that_an_agent_started_does_not_belong_to_that_agents_group() {
        let nested = Path::new("/c/ao-app-1-0f3a99c2/inner/ao-other-2-11112222/x");
        assert_eq!(agents_group(nested), Some(Path::new("/c/ao-app-1-0f3a99c2")), "the outermost takes the rest along");
        for of_people in ["/c/app-ao-77.scope/daemon", "/c/ao-host.slice/x", "/c/ao-1/daemon"] {
            assert_eq!(agents_group(Path::new(of_people)), None);
        }
    }

    #[test]
    fn the_way_out_of_an_agents_group_is_beside_it() {
        let mounts = "31 25 0:27 / /c rw - cgroup2 none rw\n";
        let inside = "4:memory:/elsewhere\n0::/a/ao-app-1-0f3a99c2/inner\n";
        assert_eq!(refuge(mounts, inside).unwrap(), Some("/c/a".into()));
        assert_eq!(refuge(mounts, "0::/ao-app-1-0f3a99c2\n").unwrap(), Some("/c".into()));
        assert_eq!(refuge(mounts, "0::/a/daemon\n").unwrap(), None);
        assert_eq!(refuge("", "4:memory:/\n").unwrap(), None);
        for blind in ["", "31 25 0:27 /a/ao-app-1-0f3a99c2 /c rw - cgroup2 none rw\n"] {
            let said = refuge(blind, inside).unwrap_err().to_string();
            assert!(said.contains("/a/ao-app-1-0f3a99c2 is not to be seen"), "{said}");
        }
    }
}
