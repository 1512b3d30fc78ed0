//! A project's commands, run by `sh`.
//!
//! # Theory of operation
//!
//! A command is a child of this process, in a kernel session of its own, and so without a terminal: the child is `ao setup-shell`, which
//! takes the session and becomes the shell. Both of its output streams are one pipe, which is read into the stage's log. Everything it
//! starts inherits a variable that names the session's directory. By that and by the kernel session all of it is found and ended: in the
//! background when the command has ended, as a whole when its time is up, and by a later process when this one was killed.
//!
//! Where there are control groups, the child enters one made for the session's commands before it becomes the shell: it bounds their memory
//! as it bounds the agent's, and what clears its environment and takes a kernel session is found all the same. A command that cannot
//! be bounded runs all the same, and its log says so.
//!
//! Files in the session's directory, 0600:
//!
//! | File | Says |
//! | --- | --- |
//! | `setup.log`, `setup.old.log` | what the setup's commands printed, at most 4 MiB together: the end |
//! | `teardown.log`, `teardown.old.log` | the same of the teardown's |
//! | `setup.finished` | the stage that was finished last |
//! | `setup.group` | the control group of what runs, or could not be ended |

mod confine;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use async_trait::async_trait;

use crate::fault::{self, Point};
use crate::platform::bounded_log::{BoundedLog, LogWriter};
use crate::platform::cgroup::Group;
use crate::platform::child::{ChildError, Program, Running};
use crate::platform::tree::{self, Family};
use crate::platform::{detached, file, process};
use crate::ports::runtime::Confinement;
use crate::ports::setup::{SETUP_VARIABLE, SetupCommand, SetupError, SetupRunner, Stage};

/// How long commands get to end by themselves when they are to end.
const GRACE: Duration = Duration::from_secs(2);
/// How much of a stage's output is kept, in bytes.
const MAX_LOG_BYTES: u64 = 4 * 1024 * 1024;

/// Runs commands by `/bin/sh`.
#[derive(Debug, Clone)]
pub struct ShellSetup {
    ao_program: PathBuf,
    confinement: Option<Confinement>,
}

impl ShellSetup {
    /// Runs them by way of this `ao`.
    #[must_use]
    pub fn new(ao_program: PathBuf) -> Self {
        Self { ao_program, confinement: None }
    }

    /// Bounds commands as agents are.
    #[must_use]
    pub fn within(self, confinement: Option<Confinement>) -> Self {
        Self { confinement, ..self }
    }

    /// The group for a command; `None`, told in its log, where none can be made.
    fn group(&self, session_dir: &Path, log: &mut LogWriter) -> Option<Group> {
        let made = confine::make(session_dir, self.confinement.as_ref()?);
        made.inspect_err(|error| {
            let _ = log.append(format!("ao: nothing bounds the memory of this: {error}\n").as_bytes());
        })
        .ok()
    }
}

/// Takes this process into the control group of a project's commands.
///
/// # Errors
/// The cause; it is where it was.
pub fn enter_group(group: &Path) -> io::Result<()> {
    Group::at(group).enter()
}

/// Becomes the shell that runs a project's command, in a kernel session of its own. Comes back only with the cause why not.
pub fn become_shell(command: &str) -> io::Error {
    if let Err(injected) = fault::reach(Point::SetupShellBegun) {
        return injected.into();
    }
    detached::become_in_session(Path::new("/bin/sh"), &["-c", command])
}

fn log(stage: Stage) -> BoundedLog {
    BoundedLog { name: stage.as_str(), max_bytes: MAX_LOG_BYTES }
}

fn broken(action: impl Into<String>) -> impl FnOnce(io::Error) -> SetupError {
    move |error| SetupError::Broken { action: action.into(), cause: error.to_string() }
}

/// All processes of a session's commands.
fn family(session_dir: &Path) -> io::Result<Family> {
    let marker = Some(format!("{SETUP_VARIABLE}={}", session_dir.display()));
    Ok(Family { marker, group: confine::on_record(session_dir)?, ..Family::default() })
}

#[async_trait]
impl SetupRunner for ShellSetup {
    async fn begin(&self, session_dir: &Path, stage: Stage) -> Result<(), SetupError> {
        self.end(session_dir).await?;
        let begun = || {
            log(stage).create(session_dir)?;
            file::remove_if_there(&session_dir.join(FINISHED))
        };
        begun().map_err(broken(format!("keep the output of the {stage} in {}", session_dir.display())))
    }

    async fn run(&self, command: &SetupCommand) -> Result<(), SetupError> {
        let SetupCommand { stage, command: line, session_dir, .. } = command;
        let cannot_run = |cause: String| SetupError::Broken { action: format!("run {stage} command `{line}`"), cause };
        let mut log = log(*stage).go_on(session_dir).map_err(|error| cannot_run(error.to_string()))?;
        let _ = log.append(format!("$ {line}\n").as_bytes());
        let group = self.group(session_dir, &mut log);
        // Of a group that an earlier command left something in.
        let kills_before = group.as_ref().map_or(0, |group| group.out_of_memory_kills().unwrap_or(0));
        let enters = group.iter().flat_map(|group| [OsString::from("--group"), group.path().into()]);
        let program = Program::new(&self.ao_program, command.env.clone(), command.timeout)
            .arg("setup-shell")
            .args(enters)
            .args(["--", line])
            .takes_session()
            .env(SETUP_VARIABLE, session_dir.display().to_string())
            .cwd(&command.workspace);
        let mut running = program.start().map_err(|error: ChildError| cannot_run(error.to_string()))?;
        // Here it can only die: what runs already does not fail for want of room.
        let _ = fault::reach(Point::SetupCommandStarted);
        let leader = running.id().and_then(|pid| process::identity(pid).ok().flatten());
        // Output that cannot be kept (a full disk) is no reason to stop what works.
        let outcome =
            tokio::time::timeout(command.timeout, running.to_its_end(|output| drop(log.append(output)))).await;
        let cannot_end = || broken(format!("end what {stage} command `{line}` left running"));
        let mut family = family(session_dir).map_err(cannot_end())?;
        family.roots.extend(leader);
        // Led by the shell, which this process collects or has just collected: what bears its number is of it.
        family.sessions.extend(leader.map(|leader| leader.pid));
        family.end(leader, GRACE).await.map_err(cannot_end())?;
        let memory_max_bytes = self.confinement.as_ref().and_then(|confinement| confinement.memory_max_bytes);
        let starved = group.and_then(|group| group.ran_out_of_memory(kills_before, memory_max_bytes));
        confine::settle(session_dir).await;
        fault::reach(Point::SetupCommandEnded).map_err(|injected| cannot_run(injected.into()))?;
        if let Some(ended) = starved {
            return Err(SetupError::Failed { stage: *stage, command: line.clone(), ended });
        }
        settled(command, outcome, running).await
    }

    async fn finish(&self, session_dir: &Path, stage: Stage) -> Result<(), SetupError> {
        file::write_atomically(&session_dir.join(FINISHED), stage.as_str().as_bytes(), 0o600)
            .map_err(broken(format!("record that the {stage} is finished")))
    }

    async fn finished(&self, session_dir: &Path) -> Result<Option<Stage>, SetupError> {
        let content = file::read_if_there(&session_dir.join(FINISHED)).map_err(broken("read what is finished"))?;
        let is = |stage: &Stage| content.as_deref() == Some(stage.as_str().as_bytes());
        Ok([Stage::Setup, Stage::Teardown].into_iter().find(is))
    }

    async fn end(&self, session_dir: &Path) -> Result<(), SetupError> {
        let cannot_end = || broken("end a project's commands");
        family(session_dir).map_err(cannot_end())?.end(None, GRACE).await.map_err(cannot_end())?;
        confine::settle(session_dir).await;
        Ok(())
    }

    async fn running(&self, session_dirs: &[PathBuf]) -> Result<Vec<PathBuf>, SetupError> {
        let session_dirs = session_dirs.to_vec();
        let look = move || {
            let marked = tree::values_of(SETUP_VARIABLE)?.into_iter().map(PathBuf::from);
            // What cleared its environment is in the group all the same.
            let recorded = session_dirs.into_iter().filter(|directory| confine::is_on_record(directory));
            Ok(marked.chain(recorded).collect::<BTreeSet<_>>())
        };
        let found = tokio::task::spawn_blocking(look).await;
        let found = found.map_err(io::Error::other).flatten().map_err(broken("look for a project's commands"))?;
        Ok(found.into_iter().collect())
    }

    fn logs(&self) -> Vec<String> {
        [Stage::Setup, Stage::Teardown].iter().flat_map(|stage| log(*stage).files()).collect()
    }

    async fn output(&self, session_dir: &Path, stage: Stage, lines: usize) -> Result<Option<String>, SetupError> {
        let output = log(stage).read(session_dir).map_err(broken(format!("read the output of the {stage}")))?;
        Ok((!output.is_empty()).then(|| last_lines(&output, lines)))
    }
}

const FINISHED: &str = "setup.finished";

async fn settled(
    command: &SetupCommand,
    outcome: Result<io::Result<ExitStatus>, tokio::time::error::Elapsed>,
    running: Running,
) -> Result<(), SetupError> {
    let SetupCommand { stage, command, .. } = command.clone();
    match outcome {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(SetupError::Failed { stage, command, ended: ended(status) }),
        Ok(Err(error)) => Err(broken(format!("watch {stage} command `{command}`"))(error)),
        Err(_elapsed) => {
            running.collect().await;
            Err(SetupError::TimedOut { stage, command })
        }
    }
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exited with code {code}"),
        None => format!("was ended: {status}"),
    }
}

/// The last lines of what was printed. Of a line that was written over (a progress bar) what stood there in the end.
fn last_lines(output: &[u8], lines: usize) -> String {
    let text = String::from_utf8_lossy(output);
    let all: Vec<&str> =
        text.lines().map(|line| line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or("")).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_written_over_show_what_stood_there_in_the_end() {
        assert_eq!(last_lines(b"one\r\n 10 %\r 50 %\r100 %\nthree\r\r\n\xff\n", 10), "one\n100 %\nthree\n\u{fffd}");
        assert_eq!(last_lines(b"one\ntwo\nthree\n", 2), "two\nthree");
        assert_eq!(last_lines(b"", 2), "");
    }
}
