//! Running a program to its end: without standard input unless it is given one, in a process group of its own, bounded in time and
//! output. One whose output is followed while it runs is [`Running`].

mod followed;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

pub use self::followed::Running;

/// At most this much of each output stream is kept unless asked otherwise, in bytes; the rest is read and dropped.
const MAX_OUTPUT_BYTES: usize = 8 * 1024 * 1024;

/// Once the program has ended, its output is read for this long at most: what it wrote is there by then, and a process
/// that it left in the background may hold the pipes open for hours.
const DRAIN: Duration = Duration::from_millis(200);

/// A program to run.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    cwd: Option<PathBuf>,
    env: BTreeMap<String, String>,
    stdin: Vec<u8>,
    timeout: Duration,
    grace: Duration,
    max_output_bytes: usize,
    takes_session: bool,
}

/// What a program that ran to its end left.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Whether there was more standard output than is kept: what is missing here may have been there.
    pub is_truncated: bool,
}

impl Output {
    /// Standard output as text, trailing white space cut off.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// What it said about its failure: standard error, else standard output, trimmed.
    #[must_use]
    pub fn complaint(&self) -> String {
        let stderr = String::from_utf8_lossy(&self.stderr).trim().to_owned();
        if stderr.is_empty() { self.text().trim().to_owned() } else { stderr }
    }
}

/// Why a program did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It could not be started.
    #[error("cannot run {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Its output could not be read.
    #[error("cannot read the output of {}: {source}", program.display())]
    Read {
        /// The program.
        program: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It took too long, and was killed with all its children.
    #[error("{} did not finish within {} ms", program.display(), timeout.as_millis())]
    TimedOut {
        /// The program.
        program: PathBuf,
        /// The bound.
        timeout: Duration,
    },
}

impl Program {
    /// A program by absolute path (or looked up on `env`'s `PATH` by the system), with its complete environment.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, env: BTreeMap<String, String>, timeout: Duration) -> Self {
        Self {
            path: path.into(),
            args: Vec::new(),
            cwd: None,
            env,
            stdin: Vec::new(),
            timeout,
            grace: Duration::ZERO,
            max_output_bytes: MAX_OUTPUT_BYTES,
            takes_session: false,
        }
    }

    /// Says that its first act is to take a kernel session, and so a process group, of its own: it gets no group here, for who leads one
    /// may not.
    #[must_use]
    pub fn takes_session(mut self) -> Self {
        self.takes_session = true;
        self
    }

    /// Keeps up to this much of each output stream, in bytes; without it 8 MiB.
    #[must_use]
    pub fn max_output_bytes(mut self, max_output_bytes: usize) -> Self {
        self.max_output_bytes = max_output_bytes;
        self
    }

    /// Asks with SIGTERM first when the time is up, and kills only what is still there after `grace`: for programs that
    /// clean up after themselves. Without it there is no asking.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs it in a directory.
    #[must_use]
    pub fn cwd(mut self, cwd: &Path) -> Self {
        self.cwd = Some(cwd.to_owned());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Gives it this to read as its standard input. One that ends without having read all of it is not complained about.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Runs it to its end. Dropping the future kills it with its children. What it leaves in the background when it ends
    /// is left alone; its pipes are closed.
    ///
    /// # Errors
    /// [`ChildError`]; an exit code other than 0 is no error here.
    pub async fn run(self) -> Result<Output, ChildError> {
        let input = if self.stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
        let mut child = self.spawn(input, Stdio::piped(), Stdio::piped())?;
        let Self { path: program, stdin, timeout, grace, max_output_bytes, .. } = self;
        let mut group = GroupGuard::of(child.id());
        let run = to_its_end(&mut child, &stdin, max_output_bytes);
        tokio::pin!(run);
        match tokio::time::timeout(timeout, &mut run).await {
            Ok(Ok(output)) => {
                group.forget();
                Ok(output)
            }
            Ok(Err(source)) => Err(ChildError::Read { program, source }),
            Err(_elapsed) => {
                if !grace.is_zero() {
                    group.ask();
                    let _ = tokio::time::timeout(grace, &mut run).await;
                }
                Err(ChildError::TimedOut { program, timeout })
            }
        }
    }
}

impl Program {
    #[expect(clippy::disallowed_methods, reason = "the one place that runs helper programs")]
    fn spawn(&self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Child, ChildError> {
        let mut command = tokio::process::Command::new(&self.path);
        command
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true);
        if !self.takes_session {
            command.process_group(0);
        }
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        command.spawn().map_err(|source| ChildError::Start { program: self.path.clone(), source })
    }
}

async fn to_its_end(child: &mut Child, stdin: &[u8], max_output_bytes: usize) -> io::Result<Output> {
    let (mut stdout, mut stderr) = (Kept::up_to(max_output_bytes), Kept::up_to(max_output_bytes));
    let pipes = (child.stdout.take(), child.stderr.take());
    let input = child.stdin.take();
    let status = {
        let feeding = async {
            feed(input, stdin).await;
            Ok(())
        };
        let reading = async { tokio::try_join!(stdout.read(pipes.0), stderr.read(pipes.1), feeding) };
        tokio::pin!(reading);
        tokio::select! {
            read = &mut reading => {
                read?;
                child.wait().await?
            }
            status = child.wait() => {
                // No end within the bound means that somebody else holds the pipes.
                tokio::time::timeout(DRAIN, reading).await.unwrap_or(Ok(((), (), ())))?;
                status?
            }
        }
    };
    Ok(Output { status, stdout: stdout.bytes, stderr: stderr.bytes, is_truncated: stdout.is_truncated })
}

/// Writes all of it, as far as it is read, and closes it.
async fn feed(input: Option<ChildStdin>, bytes: &[u8]) {
    if let Some(mut input) = input {
        // Who does not read it to its end has its reasons, and an exit code.
        let _ = input.write_all(bytes).await;
    }
}

/// What is kept of an output stream.
struct Kept {
    bytes: Vec<u8>,
    max_bytes: usize,
    is_truncated: bool,
}

impl Kept {
    fn up_to(max_bytes: usize) -> Self {
        Self { bytes: Vec::new(), max_bytes, is_truncated: false }
    }

    async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) -> io::Result<()> {
        let Some(mut stream) = stream else { return Ok(()) };
        let mut chunk = vec![0; 16 * 1024];
        loop {
            let count = stream.read(&mut chunk).await?;
            if count == 0 {
                return Ok(());
            }
            let room = self.max_bytes.saturating_sub(self.bytes.len()).min(count);
            self.bytes.extend_from_slice(&chunk[..room]);
            self.is_truncated |= room < count;
        }
    }
}

/// Kills a process group when dropped, unless its leader was waited for.
struct GroupGuard(Option<Pid>);

impl GroupGuard {
    fn of(pid: Option<u32>) -> Self {
        Self(pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw))
    }

    fn ask(&self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // It may be gone already, which is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Its leader was waited for: the number may be another's by now.
    fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for GroupGuard {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn shell(script: &str, timeout: Duration) -> Program {
        Program::new("/bin/sh", BTreeMap::new(), timeout).args(["-c", script])
    }

    #[tokio::test]
    async fn output_and_exit_code_come_back() {
        let output = shell("echo out; echo err >&2; exit 3", Duration::from_secs(10)).run().await.unwrap();
        assert_eq!(output.text(), "out");
        assert_eq!(output.complaint(), "err");
        assert_eq!(output.status.code(), Some(3));
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "measures its own bound")]
    async fn a_program_that_hangs_is_ended_with_its_children() {
        let started = Instant::now();
        let result = shell("sleep 600 & sleep 600", Duration::from_millis(200)).run().await;
        assert!(matches!(result, Err(ChildError::TimedOut { .. })), "{result:?}");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn a_program_with_a_grace_may_clean_up() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("lock");
        let script = format!("trap 'rm {0}; exit' TERM; touch {0}; sleep 600 & wait", lock.display());
        let result =
            shell(&script, Duration::from_millis(300)).env("PATH", "/usr/bin:/bin").grace(Duration::from_secs(10));
        assert!(matches!(result.run().await, Err(ChildError::TimedOut { .. })));
        assert!(!lock.exists());
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "measures its own bound")]
    async fn what_it_leaves_in_the_background_is_neither_waited_for_nor_ended() {
        let started = Instant::now();
        let script = "sleep 600 & echo $!; echo err >&2; exit 3";
        let output = shell(script, Duration::from_secs(30)).run().await.unwrap();
        let pid: u32 = output.text().parse().unwrap();
        let left = crate::platform::process::identity(pid).unwrap();
        if left.is_some() {
            rustix::process::kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
        }
        assert!(left.is_some(), "it was ended");
        assert_eq!((output.status.code(), output.complaint().as_str()), (Some(3), "err"));
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn output_that_was_cut_says_so() {
        for (script, kept, is_truncated) in [("printf 12345678", 8, false), ("printf 123456789; echo >&2", 8, true)] {
            let output = shell(script, Duration::from_secs(10)).max_output_bytes(8).run().await.unwrap();
            assert_eq!((output.stdout.len(), output.is_truncated), (kept, is_truncated), "{script}");
        }
        let output = shell("head -c 9000000 /dev/zero", Duration::from_secs(60)).env("PATH", "/usr/bin:/bin");
        let output = output.run().await.unwrap();
        assert_eq!((output.stdout.len(), output.is_truncated), (MAX_OUTPUT_BYTES, true));
    }

    #[tokio::test]
    async fn standard_input_is_what_was_given_and_else_empty() {
        let input = vec![7; 300_000];
        let run = |script: &str| shell(script, Duration::from_secs(20)).env("PATH", "/usr/bin:/bin");
        assert!(run("cat").stdin(input.clone()).run().await.unwrap().stdout == input, "it arrived changed");
        assert_eq!(run("cat").run().await.unwrap().stdout, b"");
        let unread = run("exit 3").stdin(input).run().await.unwrap();
        assert_eq!(unread.status.code(), Some(3), "what is not read is no trouble");
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let result = Program::new("/no/such/program", BTreeMap::new(), Duration::from_secs(1)).run().await;
        assert!(result.unwrap_err().to_string().contains("/no/such/program"));
    }
}
