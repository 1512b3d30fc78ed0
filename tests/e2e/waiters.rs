//! Who waits beside an idle agent: it is begun again however it ends, takes nothing once nobody hears it, and where nobody waits that is said. The
//! agent is a script; its waiter is started as Claude Code does, by the command that stands in its settings.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Child;

use crate::sandbox::{BOUND, Sandbox, signal};

/// An agent, idle as its hooks reported.
async fn idle() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.install(
        "claude",
        "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }\nexec sleep 600\n",
    );
    sandbox.ao(&["spawn", "--runtime", "pty", "--wait", "none", "task"]).await.ok();
    sandbox.until("the agent runs", || !sandbox.running("sleep 600").is_empty()).await;
    for event in ["SessionStart", "Stop"] {
        let mut hook = sandbox.command(&["hook", "claude-code", event]);
        hook.env("AO_SESSION_ID", "app-1");
        sandbox.run(hook).await.ok();
    }
    sandbox.wait_for("app-1", "status", "idle").await;
    sandbox
}

/// Starts a waiter as at the end of a turn, with more in its environment; its shell.
fn wait_beside(sandbox: &Sandbox, env: &[(&str, &str)]) -> Child {
    let settings = std::fs::read(sandbox.session_dir("app-1").join("claude-settings.json")).unwrap();
    let settings: Value = serde_json::from_slice(&settings).unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(settings["hooks"]["Stop"][0]["hooks"][1]["command"].as_str().unwrap());
    shell.current_dir(sandbox.worktree("app-1")).env_clear().envs(&sandbox.env).env("AO_SESSION_ID", "app-1");
    shell.envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    tokio::process::Command::from(shell).spawn().unwrap()
}

/// The process that rests.
fn resting(sandbox: &Sandbox) -> Option<u32> {
    let rests = |(_, command): &(u32, String)| command.contains(" hook claude-code ") && command.contains(" --rest ");
    sandbox.processes().into_iter().find(rests).map(|(pid, _)| pid)
}

/// Insists that a waiter wakes its agent with this text.
async fn wakes(sandbox: &Sandbox, shell: Child, text: &str) {
    let ended = tokio::time::timeout(BOUND, shell.wait_with_output()).await;
    let ended = ended.unwrap_or_else(|_| panic!("it goes on to wait: {:#?}", sandbox.processes())).unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{told}");
    assert!(told.contains(text), "{told}");
}

async fn message(sandbox: &Sandbox) -> Value {
    let run = sandbox.ao(&["messages", "app-1", "--json"]).await;
    run.ok();
    run.json()[0].clone()
}

#[tokio::test]
async fn an_idle_agent_is_waited_for_again_whatever_ended_its_waiter() {
    let sandbox = idle().await;
    let shell = wait_beside(&sandbox, &[]);
    let mut before = None;
    for end in [Signal::TERM, Signal::HUP, Signal::KILL] {
        sandbox.until("it rests", || resting(&sandbox).is_some_and(|pid| Some(pid) != before)).await;
        before = resting(&sandbox);
        // As of all whose command line has its name.
        if end != Signal::KILL {
            signal(shell.id().unwrap(), end);
        }
        signal(before.unwrap(), end);
    }
    sandbox.ao(&["send", "app-1", "MSG-still-heard"]).await.ok();
    wakes(&sandbox, shell, "MSG-still-heard").await;
    assert_eq!(message(&sandbox).await["error"], Value::Null);
}

#[tokio::test]
async fn a_waiter_whose_shell_is_gone_takes_nothing_and_it_is_said_that_nobody_waits() {
    let sandbox = idle().await;
    let mut shell = wait_beside(&sandbox, &[]);
    sandbox.until("it rests", || resting(&sandbox).is_some()).await;
    let waiter = resting(&sandbox).unwrap();
    // Held still meanwhile, so that it finds both at once.
    signal(waiter, Signal::STOP);
    signal(shell.id().unwrap(), Signal::KILL);
    shell.wait().await.unwrap();
    sandbox.ao(&["send", "app-1", "MSG-unheard"]).await.ok();
    signal(waiter, Signal::CONT);
    sandbox.until("it leaves", || !Sandbox::is_running(waiter)).await;
    // Longer than one request waits: it is said before time is up, too.
    let second = sandbox.ao(&["send", "app-1", "--wait", "--timeout", "35s", "MSG-second"]).await;
    let second = second.fails(6, &["is queued, and was not taken in time: nobody waits", "it waits: nobody waits"]);
    assert!(second.stderr.contains("ao attach app-1") && second.stderr.contains("ao restore app-1"), "{second:?}");
    let unheard = message(&sandbox).await;
    assert_eq!((&unheard["state"], &unheard["via"]), (&json!("queued"), &Value::Null), "{unheard:#}");
    assert!(unheard["error"].as_str().is_some_and(|why| why.contains("nobody waits")), "{unheard:#}");
    // The next one that is started has them.
    wakes(&sandbox, wait_beside(&sandbox, &[]), "MSG-unheard").await;
    let started = std::time::Instant::now();
    while message(&sandbox).await["state"] != "injected" {
        assert!(started.elapsed() < BOUND, "{:#}", message(&sandbox).await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(message(&sandbox).await["error"], Value::Null);
}

#[tokio::test]
async fn a_waiter_waits_on_however_often_it_could_not_look_and_leaves_with_its_agent() {
    let sandbox = idle().await;
    let inbox = sandbox.worktree("app-1").join(".ao/inbox");
    std::fs::remove_dir(&inbox).unwrap();
    std::os::unix::fs::symlink("/nowhere", &inbox).unwrap();
    let mut shell = wait_beside(&sandbox, &[("AO_WAITS_FAILED", "1000")]);
    sandbox.until("it rests", || resting(&sandbox).is_some()).await;
    assert_eq!(shell.try_wait().unwrap(), None);
    signal(sandbox.running("sleep 600")[0], Signal::KILL);
    let ended = tokio::time::timeout(BOUND, shell.wait()).await.expect("it waits on").unwrap();
    // Its own agent is this test: what is left of a session's processes is ended with it.
    assert!(ended.code() != Some(2), "{ended}");
    sandbox.until("no waiter is left", || resting(&sandbox).is_none()).await;
}
