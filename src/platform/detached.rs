//! Starting a process that outlives this one. The process itself takes a session, and so a process group, of its own as its
//! first act ([`leave_session`]): asking for that from outside needs `unsafe` code between fork and exec, and a process that
//! was given only a group of its own could never take a session.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

/// The first descriptor after those of standard input, output and error.
const FIRST_OTHER: i32 = 3;

/// A process to start.
#[derive(Debug)]
pub struct Detached<'a> {
    program: &'a Path,
    args: &'a [OsString],
    env: &'a BTreeMap<String, String>,
    log: &'a Path,
}

impl<'a> Detached<'a> {
    /// A program with its arguments, its complete environment, and the file (made 0600) that its output is added to.
    #[must_use]
    pub fn new(program: &'a Path, args: &'a [OsString], env: &'a BTreeMap<String, String>, log: &'a Path) -> Self {
        Self { program, args, env, log }
    }

    /// Starts it in `/`, with `/dev/null` as standard input. Dropping the [`Child`] does not end it; who goes on for long
    /// should wait for it, so that it does not stay a zombie.
    ///
    /// # Errors
    /// The cause.
    #[expect(clippy::disallowed_methods, reason = "the one place that starts processes that outlive this one")]
    pub fn spawn(&self) -> io::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(self.log)?;
        Command::new(self.program)
            .args(self.args)
            .env_clear()
            .envs(self.env)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    }
}

/// How a child ended; `None` while it runs, or when that cannot be told.
pub fn ended(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().ok().flatten()
}

/// Takes a session of its own, so that neither a closed terminal nor its Ctrl-C reaches this process.
///
/// # Errors
/// When this process leads a process group, as one started from an interactive shell does.
pub fn leave_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Keeps whatever this process was given open, except for its standard input, output and error, from the processes it starts:
/// those that outlive it would hold its caller's locks and pipes. To be called before anything else is opened. (What this
/// program opens itself is kept from them anyway.)
pub fn keep_open_files_from_children() {
    close_fds::set_fds_cloexec(FIRST_OTHER, &[]);
}

/// Becomes another program, with this one's environment and streams, in a session of its own. Comes back only with the cause why not.
#[expect(clippy::disallowed_methods, reason = "no child: this process itself")]
pub fn become_in_session(program: &Path, args: &[&str]) -> io::Error {
    match leave_session() {
        Ok(()) => std::process::Command::new(program).args(args).exec(),
        Err(error) => error,
    }
}
