//! Open files of whoever calls: what outlives the call must not keep them, for a lock or a pipe would stay held.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use crate::sandbox::{Sandbox, signal};
use crate::tools::{RUNTIMES, has_runtime};

/// A shell that holds a lock on `~/lock` while it runs a script with `$AO`.
fn with_a_lock(sandbox: &Sandbox, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec 9>\"$HOME/lock\" && flock 9 && {script}")]);
    command.current_dir(sandbox.repo()).env_clear().envs(&sandbox.env).env("AO", env!("CARGO_BIN_EXE_ao"));
    command
}

#[tokio::test]
async fn a_lock_of_who_called_is_free_when_the_call_is_over() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        let spawn = format!("\"$AO\" spawn --agent command --runtime {runtime} -- sleep 600");
        sandbox.run(with_a_lock(&sandbox, &spawn)).await.ok();
        let lock = std::fs::File::open(sandbox.path("home/lock")).unwrap();
        let taken = flock(&lock, FlockOperation::NonBlockingLockExclusive);
        assert!(taken.is_ok(), "{runtime}: held by one of {:#?}", sandbox.processes());
        assert_eq!(sandbox.running("sleep 600").len(), 1, "{runtime}");
        sandbox.ao(&["kill", "app-1"]).await.ok();
    }
}

#[tokio::test]
async fn what_a_daemon_in_the_foreground_was_given_open_does_not_reach_its_agents() {
    let sandbox = Sandbox::new();
    let mut daemon = with_a_lock(&sandbox, "exec \"$AO\" daemon").stderr(Stdio::null()).spawn().unwrap();
    sandbox.until("it serves", || sandbox.path("data/run/daemon.sock").exists()).await;
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "600"]).await.ok();
    let lock = sandbox.path("home/lock");
    let holding = sandbox.processes().into_iter().filter(|(pid, _)| has_open(*pid, &lock)).map(|(pid, _)| pid);
    assert_eq!(holding.collect::<Vec<_>>(), [daemon.id()], "{:#?}", sandbox.processes());
    signal(daemon.id(), rustix::process::Signal::TERM);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

fn has_open(pid: u32, path: &Path) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|entry| entry.path().read_link().ok()).any(|open| open == path)
}
