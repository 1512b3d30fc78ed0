//! Being told that a process ended, by the kernel and at once. Linux only: pidfd.

use std::io;
use std::os::fd::OwnedFd;

use crate::domain::session::ProcessIdentity;

/// Waits until exactly this process has ended, whosever child it is; returns at once when it does not run. It may still have
/// to be collected by its parent. Nothing is polled, and waiting costs a file handle.
///
/// # Errors
/// When the kernel cannot tell.
#[cfg(target_os = "linux")]
pub async fn ended(process: ProcessIdentity) -> io::Result<()> {
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    let Some(handle) = handle(process)? else { return Ok(()) };
    #[allow(deprecated, reason = "sound for a handle that is owned here; what replaces it is for others, and unsafe")]
    let handle = AsyncFd::with_interest(handle, Interest::READABLE)?;
    handle.readable().await.map(drop)
}

/// A handle that can be read from once exactly this process has ended; `None` when it does not run.
///
/// # Errors
/// When the kernel cannot tell.
#[cfg(target_os = "linux")]
pub fn handle(process: ProcessIdentity) -> io::Result<Option<OwnedFd>> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        handle => handle?,
    };
    // The handle is of whoever has the number now. While it is open the number's owner can only be that one: when it is the
    // right one at this moment, it was when the handle was made.
    Ok(super::process::is_running(process)?.then_some(handle))
}

/// Elsewhere nothing tells.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn handle(_process: ProcessIdentity) -> io::Result<Option<OwnedFd>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Elsewhere nothing tells.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub async fn ended(_process: ProcessIdentity) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::platform::process;

    #[expect(clippy::disallowed_methods, reason = "a process that ends when the test says so")]
    fn cat() -> tokio::process::Child {
        let mut command = tokio::process::Command::new("/bin/cat");
        command.stdin(std::process::Stdio::piped()).kill_on_drop(true).spawn().unwrap()
    }

    #[tokio::test]
    async fn an_end_is_told_when_it_comes_and_not_before() {
        let mut child = cat();
        let process = process::identity(child.id().unwrap()).unwrap().unwrap();
        let waiting = ended(process);
        tokio::pin!(waiting);
        let early = tokio::time::timeout(Duration::from_millis(100), &mut waiting).await;
        assert!(early.is_err(), "told before the end");
        // It is not collected, as an agent is not by us.
        drop(child.stdin.take());
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("never told").unwrap();
        child.wait().await.unwrap();
    }

    #[tokio::test]
    async fn a_process_that_does_not_run_has_ended() {
        let child = cat();
        let process = process::identity(child.id().unwrap()).unwrap().unwrap();
        let namesake = ProcessIdentity { start_ticks: process.start_ticks + 1, ..process };
        tokio::time::timeout(Duration::from_secs(30), ended(namesake)).await.expect("told at once").unwrap();
    }
}
