//! What `ao attach` does with single bytes: those before the key that leaves, those of pastes, and those that a terminal's modes are set with.

use rustix::process::Signal;

use crate::glass::Glass;
use crate::sandbox::{Sandbox, signal};
use crate::tools::{RUNTIMES, has_runtime};

const SIZE: (u16, u16) = (80, 20);
const READY: &str = "agent 1 ready";

/// An agent that writes down what it reads, byte by byte.
async fn spawn(sandbox: &Sandbox, runtime: &str, begin: &str) {
    let script = format!("stty raw -echo; printf '{begin}{READY}'; exec cat > got");
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", runtime, "--", "sh", "-c", &script]).await.ok();
    sandbox.until_output("app-1", READY).await;
}

async fn until_got(sandbox: &Sandbox, bytes: &[u8]) {
    let file = sandbox.worktree("app-1").join("got");
    let got = || std::fs::read(&file).unwrap_or_default();
    sandbox.until(&format!("the agent reads {:?}", bytes.escape_ascii().to_string()), || got().ends_with(bytes)).await;
    assert_eq!(got().escape_ascii().to_string(), bytes.escape_ascii().to_string());
}

fn runtimes() -> impl Iterator<Item = &'static str> {
    RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime))
}

#[tokio::test]
async fn what_was_typed_before_the_key_that_leaves_reaches_the_agent() {
    for runtime in runtimes() {
        let sandbox = Sandbox::new();
        spawn(&sandbox, runtime, "").await;
        let mut all = Vec::new();
        for typed in [&b"one"[..], b"two\r", b"", b"\x1b[A"] {
            let mut glass = Glass::attach(&sandbox, SIZE, &[], READY).await;
            glass.type_bytes(&[typed, b"\x1cbehind"].concat()).await;
            assert_eq!(glass.ended().await, 0, "{runtime}");
            glass.is_given_back("detached from app-1").await;
            all.extend_from_slice(typed);
            until_got(&sandbox, &all).await;
        }
    }
}

#[tokio::test]
async fn only_a_key_leaves_and_not_what_is_pasted() {
    for runtime in runtimes() {
        for (begin, pasted) in [("", &b"a\x1cb"[..]), ("\\033[?2004h", b"\x1b[200~a\x1cb\x1b[201~")] {
            let sandbox = Sandbox::new();
            spawn(&sandbox, runtime, begin).await;
            let mut glass = Glass::attach(&sandbox, SIZE, &[], READY).await;
            glass.type_bytes(b"\x1b[200~a\x1cb\x1b[201~").await;
            until_got(&sandbox, pasted).await;
            // Escape is a key, also where pastes begin with it.
            glass.type_bytes(b"\x1b").await;
            until_got(&sandbox, &[pasted, b"\x1b"].concat()).await;
            glass.type_bytes(b"\x1c").await;
            assert_eq!(glass.ended().await, 0, "{runtime}");
        }
    }
}

#[tokio::test]
async fn another_key_leaves_where_somebody_wants_that() {
    for runtime in runtimes() {
        let sandbox = Sandbox::new();
        spawn(&sandbox, runtime, "").await;
        let mut glass = Glass::attach(&sandbox, SIZE, &["--detach-key", "ctrl-]"], READY).await;
        glass.type_bytes(b"a\x1cb").await;
        until_got(&sandbox, b"a\x1cb").await;
        glass.type_bytes(b"\x1d").await;
        assert_eq!(glass.ended().await, 0, "{runtime}");
    }
    let sandbox = Sandbox::new();
    sandbox.ao(&["attach", "app-1", "--detach-key", "ctrl-["]).await.fails(2, &["Esc"]);
}

#[tokio::test]
async fn every_mode_that_an_agent_sets_is_given_back() {
    // Of keys, pastes, the mouse and its wheel, the cursor and colours, on a screen of its own.
    const MODES: &str = "\\033[?1049h\\033[?1h\\033=\\033[?2004h\\033[?1003h\\033[?1006h\\033[?1004h\\033[?1007h\\033[4 q\\033[?25l\\033[1;31;44m";
    let mut sandbox = Sandbox::new();
    let faults = sandbox.path("faults");
    std::fs::create_dir(&faults).unwrap();
    sandbox.env.insert("AO_FAULT_DIR".into(), faults.to_str().unwrap().into());
    spawn(&sandbox, "pty", MODES).await;
    for end in ["a key", "a panic", "SIGTERM", "SIGHUP", "the daemon's end", "the daemon's death", "the agent's end"] {
        let mut glass = Glass::attach(&sandbox, SIZE, &["--reconnect", "0"], READY).await;
        let (code, said) = match end {
            "a key" => (0, "detached from app-1"),
            "SIGTERM" | "SIGHUP" => (0, "before"),
            "the agent's end" => (0, "app-1 is over"),
            "a panic" => (101, "injected at attach.shown"),
            _ => (3, "the daemon is gone"),
        };
        match end {
            "a key" => glass.type_bytes(b"\x1c").await,
            "a panic" => {
                std::fs::write(faults.join("armed"), "attach.shown:panic").unwrap();
                glass.resize((SIZE.0 - 1, SIZE.1));
            }
            "SIGTERM" => signal(glass.pid(), Signal::TERM),
            "SIGHUP" => signal(glass.pid(), Signal::HUP),
            "the daemon's end" => drop(sandbox.ao(&["stop"]).await.ok()),
            "the daemon's death" => signal(sandbox.daemon_pid().await, Signal::KILL),
            _ => drop(sandbox.ao(&["kill", "app-1"]).await.ok()),
        }
        assert_eq!(glass.ended().await, code, "{end}");
        glass.is_given_back(said).await;
        let written = glass.written();
        let at = |within: &[u8], sequence: &[u8]| within.windows(sequence.len()).rposition(|part| part == sequence);
        let (aside, back) = (at(&written, b"\x1b[?1007s"), at(&written, b"\x1b[?1007h\x1b[?1007r"));
        // By the agent, before it was given back.
        let set = at(&written[..back.unwrap_or(0)], b"\x1b[?1007h");
        assert!(aside.is_some() && aside < set && set < back, "{end}: {aside:?} {set:?} {back:?}");
        sandbox.ao(&["start"]).await.ok();
    }
}

#[tokio::test]
async fn it_comes_back_with_the_daemon() {
    for runtime in runtimes() {
        let sandbox = Sandbox::new();
        spawn(&sandbox, runtime, "").await;
        let agent = sandbox.running("cat");
        let mut glass = Glass::attach(&sandbox, SIZE, &[], READY).await;
        for end in ["stop", "kill"] {
            if end == "stop" {
                sandbox.ao(&["stop"]).await.ok();
            } else {
                signal(sandbox.daemon_pid().await, Signal::KILL);
            }
            glass.until("the daemon is gone; the agent goes on").await;
            // For nobody, and the terminal stays taken.
            glass.type_bytes(b"lost").await;
            sandbox.ao(&["start"]).await.ok();
            sandbox.until("it is painted over", || !glass.screen().contains("the daemon is gone")).await;
            glass.until(READY).await;
        }
        glass.type_bytes(b"heard").await;
        until_got(&sandbox, b"heard").await;
        assert_eq!(sandbox.running("cat"), agent, "{runtime}");
        sandbox.ao(&["stop"]).await.ok();
        glass.until("the daemon is gone").await;
        glass.type_bytes(b"\x1c").await;
        assert_eq!(glass.ended().await, 0);
        glass.is_given_back("detached from app-1").await;
    }
}

#[tokio::test]
async fn an_agent_that_ended_while_the_daemon_was_away_is_not_come_back_to() {
    for runtime in runtimes() {
        let sandbox = Sandbox::new();
        spawn(&sandbox, runtime, "").await;
        let mut glass = Glass::attach(&sandbox, SIZE, &[], READY).await;
        signal(sandbox.daemon_pid().await, Signal::KILL);
        glass.until("the daemon is gone").await;
        let agent = sandbox.running("cat");
        assert_eq!(agent.len(), 1, "{:?}", sandbox.processes());
        signal(agent[0], Signal::KILL);
        sandbox.until("the agent is gone", || sandbox.running("cat").is_empty()).await;
        sandbox.ao(&["start"]).await.ok();
        assert_eq!(glass.ended().await, 5, "{runtime}");
        glass.is_given_back("before").await;
    }
}

#[tokio::test]
async fn a_daemon_that_stays_away_is_not_waited_for_for_ever() {
    let sandbox = Sandbox::new();
    spawn(&sandbox, "pty", "").await;
    let mut glass = Glass::attach(&sandbox, SIZE, &["--reconnect", "1"], READY).await;
    sandbox.ao(&["stop"]).await.ok();
    assert_eq!(glass.ended().await, 3);
    glass.is_given_back("come back with: ao attach app-1").await;
}
