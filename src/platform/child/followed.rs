//! A program whose output is followed while it runs.

use std::io;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::Child;

use super::{ChildError, DRAIN, GroupGuard, Program};

impl Program {
    /// Starts it with both output streams in one, for [`Running`]. The time it may take is the caller's to bound.
    ///
    /// # Errors
    /// [`ChildError::Start`].
    pub fn start(self) -> Result<Running, ChildError> {
        let failed = |source| ChildError::Start { program: self.path.clone(), source };
        let (output, stdout) = io::pipe().map_err(failed)?;
        let stderr = stdout.try_clone().map_err(failed)?;
        let output = pipe::Receiver::from_owned_fd(output.into()).map_err(failed)?;
        let child = self.spawn(Stdio::null(), stdout.into(), stderr.into())?;
        let group = GroupGuard::of(child.id());
        Ok(Running { child, output, group })
    }
}

/// A program that was started, its output in one stream. Dropping it kills its process group.
pub struct Running {
    child: Child,
    output: pipe::Receiver,
    group: GroupGuard,
}

impl Running {
    /// Its process id, until its end was seen.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end and hands on what it prints until then, in the order it came. What it leaves in the background is left alone.
    ///
    /// # Errors
    /// When it could not be waited for, or its output not be read.
    pub async fn to_its_end(&mut self, mut sink: impl FnMut(&[u8])) -> io::Result<ExitStatus> {
        let mut follow = async || {
            let mut chunk = vec![0; 16 * 1024];
            loop {
                let count = self.output.read(&mut chunk).await?;
                if count == 0 {
                    return Ok::<_, io::Error>(());
                }
                sink(&chunk[..count]);
            }
        };
        let following = follow();
        tokio::pin!(following);
        let status = tokio::select! {
            read = &mut following => {
                read?;
                self.child.wait().await?
            }
            status = self.child.wait() => {
                // No end within the bound means that somebody else holds the pipe.
                tokio::time::timeout(DRAIN, following).await.unwrap_or(Ok(()))?;
                status?
            }
        };
        self.group.forget();
        Ok(status)
    }

    /// Kills it with its process group, and collects it.
    pub async fn collect(mut self) {
        self.group.kill();
        // It was killed: whatever it is called, its end is all that is waited for.
        let _ = self.child.wait().await;
        self.group.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal, kill_process_group};
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn shell(script: &str) -> Program {
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        Program::new("/bin/sh", env, Duration::from_secs(10)).args(["-c", script])
    }

    #[tokio::test]
    async fn both_streams_of_a_followed_program_come_in_order() {
        let script = "for n in 1 2 3; do echo out $n; echo err $n >&2; done; sleep 600 & exit 3";
        let program = shell(script);
        let mut running = program.start().unwrap();
        let group = running.group.0.unwrap();
        let mut output = Vec::new();
        let status = running.to_its_end(|chunk| output.extend_from_slice(chunk)).await.unwrap();
        assert_eq!((status.code(), running.id()), (Some(3), None));
        assert_eq!(String::from_utf8(output).unwrap(), "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n");
        kill_process_group(group, Signal::KILL).expect("what it left in the background is left alone");
    }

    #[tokio::test]
    async fn dropping_a_followed_program_kills_its_group() {
        let program = shell("sleep 600 & echo $!; wait");
        let mut running = program.start().unwrap();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let printed = tokio::select! {
            ended = running.to_its_end(|chunk| sender.send(chunk.to_vec()).unwrap()) => panic!("{ended:?}"),
            printed = receiver.recv() => printed.unwrap(),
        };
        let pid: u32 = String::from_utf8(printed).unwrap().trim().parse().unwrap();
        drop(running);
        let mut pause = crate::platform::tree::Pause::default();
        let gone = async {
            while crate::platform::process::identity(pid).unwrap().is_some() {
                pause.wait().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("it was killed");
    }
}
