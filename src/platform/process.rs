//! Identity and liveness of processes. Linux only: `/proc`.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::domain::session::ProcessIdentity;
use crate::domain::text::printable;

/// What `/proc/<pid>/stat` tells about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStat {
    /// Which process.
    pub identity: ProcessIdentity,
    /// Its parent's process id.
    pub parent: u32,
    /// Its session's id.
    pub session: u32,
    /// Whether it has ended and only waits to be collected.
    pub is_zombie: bool,
}

/// Looks at a process; `Ok(None)` when there is none of that number.
///
/// # Errors
/// When `/proc` cannot be read or understood.
pub fn stat(pid: u32) -> io::Result<Option<ProcessStat>> {
    let text = match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // The process ended between the open and the read.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => return Ok(None),
        Err(error) => return Err(error),
    };
    stat_of(pid, &text)
}

fn stat_of(pid: u32, text: &str) -> io::Result<Option<ProcessStat>> {
    let fields = fields(text);
    // It is being collected this moment: it has no group and no session any more.
    if fields.get(SESSION) == Some(&"-1") {
        return Ok(None);
    }
    let stat = parse_stat(pid, &fields);
    stat.map(Some).ok_or_else(|| io::Error::other(format!("cannot read /proc/{pid}/stat: {text:?}")))
}

/// Where the session's id is among the [`fields`].
const SESSION: usize = 3;

/// The fields after the program's name, which is in parentheses and may itself hold spaces and parentheses.
fn fields(text: &str) -> Vec<&str> {
    text.rsplit_once(')').map_or_else(Vec::new, |(_, fields)| fields.split_whitespace().collect())
}

fn parse_stat(pid: u32, fields: &[&str]) -> Option<ProcessStat> {
    Some(ProcessStat {
        identity: ProcessIdentity { pid, start_ticks: fields.get(19)?.parse().ok()? },
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(SESSION)?.parse().ok()?,
        is_zombie: matches!(*fields.first()?, "Z" | "X"),
    })
}

/// The identity of a running process; `Ok(None)` when it does not run.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn identity(pid: u32) -> io::Result<Option<ProcessIdentity>> {
    Ok(stat(pid)?.filter(|stat| !stat.is_zombie).map(|stat| stat.identity))
}

/// Whether exactly this process runs: not a later one with the same number, and not a zombie.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn is_running(process: ProcessIdentity) -> io::Result<bool> {
    Ok(identity(process.pid)? == Some(process))
}

/// How many lines and columns the terminal has that is a process's standard input; `None` when it does not run, or has none.
#[must_use]
pub fn terminal_size(process: ProcessIdentity) -> Option<(u16, u16)> {
    use rustix::fs::{Mode, OFlags};
    if !is_running(process).unwrap_or(false) {
        return None;
    }
    // Opened only for that long, and so that neither the opening waits nor the terminal becomes this process's.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(format!("/proc/{}/fd/0", process.pid), flags, Mode::empty()).ok()?;
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some((size.ws_row, size.ws_col))
}

/// Whether every thread of a process waits for something; one that cannot be seen does.
#[must_use]
pub fn is_at_rest(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let text = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        !matches!(fields(&text).first(), Some(&("R" | "D")))
    })
}

/// Whether a process leads a kernel session. False when that cannot be seen.
#[must_use]
pub fn leads_session(pid: u32) -> bool {
    matches!(stat(pid), Ok(Some(stat)) if stat.session == pid)
}

/// The id of the running boot: process numbers and start times of another one mean nothing.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// What a person calls this process: the file name of its program.
#[must_use]
pub fn own_name() -> String {
    let program = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // The kernel says so of one that was replaced since it began.
    let name = printable(name.strip_suffix(" (deleted)").unwrap_or(&name)).replace('\n', " ");
    if name.is_empty() { "a program".to_owned() } else { name }
}

/// The running processes of this one's user with all of these among their arguments, each in full. Those whose arguments cannot
/// be read, and those that have ended meanwhile, do not count.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn with_arguments(arguments: &[&[u8]]) -> io::Result<Vec<ProcessIdentity>> {
    of_user_with_arguments(rustix::process::geteuid().as_raw(), arguments)
}

fn of_user_with_arguments(user: u32, arguments: &[&[u8]]) -> io::Result<Vec<ProcessIdentity>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let directory = entry?.path();
        let Some(pid) = directory.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        // Anybody can start a process with any arguments.
        if !std::fs::metadata(&directory).is_ok_and(|process| process.uid() == user) {
            continue;
        }
        // The number may pass to another in between, which has not these arguments.
        if let Ok(Some(process)) = identity(pid)
            && has_all(&directory, arguments)
        {
            found.push(process);
        }
    }
    Ok(found)
}

/// Whether this process was started with all of these among its arguments, each in full. False when that cannot be read.
#[must_use]
pub fn has_arguments(pid: u32, arguments: &[&[u8]]) -> bool {
    has_all(&PathBuf::from(format!("/proc/{pid}")), arguments)
}

fn has_all(directory: &Path, arguments: &[&[u8]]) -> bool {
    let Ok(command) = std::fs::read(directory.join("cmdline")) else { return false };
    arguments.iter().all(|argument| command.split(|&byte| byte == 0).any(|given| given == *argument))
}

/// Whether this process may do everything.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_found_by_their_arguments() {
        let mine = std::env::args_os().next().unwrap();
        let mine = std::os::unix::ffi::OsStrExt::as_bytes(mine.as_os_str());
        let me = identity(std::process::id()).unwrap().unwrap();
        assert!(with_arguments(&[mine]).unwrap().contains(&me));
        assert_eq!(with_arguments(&[mine, b"no such argument"]).unwrap(), []);
        let another = rustix::process::geteuid().as_raw() + 1;
        assert_eq!(of_user_with_arguments(another, &[mine]).unwrap(), []);
    }

    #[test]
    fn this_process_runs_and_a_later_namesake_does_not() {
        let me = identity(std::process::id()).unwrap().unwrap();
        assert!(is_running(me).unwrap());
        assert!(!is_running(ProcessIdentity { start_ticks: me.start_ticks + 1, ..me }).unwrap());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "processes of which one waits and one works")]
    fn one_is_at_rest_while_all_of_it_waits() {
        let mut waits = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut works = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        for _ in 0..4000 {
            if is_at_rest(waits.id()) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let seen = (is_at_rest(waits.id()), is_at_rest(works.id()));
        for child in [&mut waits, &mut works] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(seen, (true, false));
        assert!(is_at_rest(waits.id()), "nothing is going on in one that is gone");
    }

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let text = "7 (a) b (c) S 1 7 9 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        let stat = stat_of(7, text).unwrap().unwrap();
        assert_eq!((stat.parent, stat.session, stat.identity.start_ticks, stat.is_zombie), (1, 9, 4242, false));
    }

    #[test]
    fn one_that_is_being_collected_is_gone() {
        let seen = "7 (agent) X 0 -1 -1 0 -1 4227084 64 0 0 0 0 0 0 0 20 0 0 0 4234252 0 0";
        assert_eq!(stat_of(7, seen).unwrap(), None);
        stat_of(7, "7 (agent) X 0").unwrap_err();
    }
}
