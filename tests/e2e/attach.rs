//! `ao attach`, in real terminals: panes of private tmux servers.

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::pane::Pane;
use crate::sandbox::{Sandbox, signal};
use crate::tools::has_runtime;

/// Says how large its terminal is whenever that changes, and repeats what it is told.
const AGENT: &str = "trap 'stty size | tr \" \" x' WINCH; printf '\\033[1;35magent %s ready\\033[0m\\n' 1; \
                     while :; do read -r line && echo \"got $line\" && [ \"$line\" = finish ] && exit 3; done";

async fn spawn(sandbox: &Sandbox, runtime: &str) {
    let args = ["spawn", "--agent", "command", "--runtime", runtime, "--", "sh", "-c", AGENT];
    sandbox.ao(&args).await.ok();
    sandbox.until_output("app-1", "agent 1 ready").await;
}

fn attach(pane: &Pane<'_>) {
    pane.enter(&format!("{} attach app-1 --reconnect 0; echo left-$?", env!("CARGO_BIN_EXE_ao")));
}

async fn sits_down(pane: &Pane<'_>) {
    attach(pane);
    pane.until("what was shown before is there", |screen| screen.contains("agent 1 ready")).await;
}

async fn pane_with_something<'a>(sandbox: &'a Sandbox, socket: &'a str, size: (u16, u16)) -> Pane<'a> {
    let pane = Pane::open(sandbox, socket, size).await;
    pane.enter("echo before");
    pane.until("it echoes", |screen| screen.matches("before").count() == 2).await;
    pane
}

async fn people_share_a_terminal(runtime: &str) {
    if !has_runtime("tmux") || !has_runtime(runtime) {
        return;
    }
    let sandbox = Sandbox::new();
    spawn(&sandbox, runtime).await;
    let first = pane_with_something(&sandbox, "first.sock", (70, 12)).await;
    sits_down(&first).await;
    first.until("it has the size of the only viewer", |screen| screen.contains("12x70")).await;
    assert!(first.tmux(&["capture-pane", "-p", "-e"]).contains("\u{1b}[1m\u{1b}[35magent"), "in its colours");
    first.enter("hello");
    first.until("it is typed", |screen| screen.contains("got hello")).await;

    let second = pane_with_something(&sandbox, "second.sock", (50, 14)).await;
    sits_down(&second).await;
    for pane in [&first, &second] {
        pane.until("both see that it fits both", |screen| screen.contains("12x50") && screen.contains("got hello"))
            .await;
    }
    second.enter("from the second");
    first.until("both type", |screen| screen.contains("got from the second")).await;
    first.tmux(&["set-option", "window-size", "manual"]);
    first.tmux(&["resize-window", "-x", "40", "-y", "9"]);
    second.until("a window becomes smaller", |screen| screen.contains("9x40")).await;
    first.until("and shows that", |screen| screen.contains("9x40")).await;
    first.tmux(&["resize-window", "-x", "60", "-y", "13"]);
    second.until("and larger", |screen| screen.contains("13x50")).await;

    // Ctrl-C is the agent's; Ctrl-\ is not.
    second.tmux(&["send-keys", "C-\\"]);
    second.until("it says so", |screen| screen.contains("detached from app-1")).await;
    second.given_back("agent 1 ready", "left-0").await;
    first.until("the other one has its room again", |screen| screen.contains("13x60")).await;

    // Killed outright, a viewer is gone for the agent too.
    sits_down(&second).await;
    first.until("it comes again", |screen| screen.matches("13x50").count() == 2).await;
    signal(*sandbox.running("ao attach app-1 --reconnect 0").iter().max().unwrap(), Signal::KILL);
    first.until("it went", |screen| screen.matches("13x60").count() == 2).await;
    first.enter("still here");
    first.until("the agent goes on", |screen| screen.contains("got still here")).await;
    assert_eq!(sandbox.show("app-1").await["status"], "working");

    first.enter("finish");
    first.until("it says how it ended", |screen| screen.contains("app-1 is over: its agent exited with 3")).await;
    first.given_back("got hello", "left-0").await;
}

#[tokio::test]
async fn people_share_a_terminal_of_the_built_in_runtime() {
    people_share_a_terminal("pty").await;
}

#[tokio::test]
async fn an_agent_comes_to_no_terminal() {
    if !has_runtime("tmux") {
        return;
    }
    let sandbox = Sandbox::new();
    spawn(&sandbox, "pty").await;
    // From within another session's agent, on a terminal of its own, and from who only says so.
    let ao = env!("CARGO_BIN_EXE_ao");
    let within = format!("until [ -e go ]; do sleep 0.1; done; {ao} attach app-1; echo left-$?; sleep 600");
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", &within]).await.ok();
    std::fs::write(sandbox.worktree("app-2").join("go"), "").unwrap();
    sandbox.until_output("app-2", "left-").await;
    let shown = sandbox.ao(&["output", "app-2"]).await.ok();
    assert!(shown.contains("left-5") && shown.contains("this is the agent of app-2"), "{shown}");
    let pane = pane_with_something(&sandbox, "pane.sock", (100, 12)).await;
    let data = sandbox.path("data");
    pane.enter(&format!("AO_SESSION_ID=app-2 AO_DATA_DIR={} {ao} attach app-1; echo left-$?", data.display()));
    pane.until("it is refused", |screen| screen.contains("left-5")).await;
}

#[tokio::test]
async fn the_terminal_is_given_back_however_it_ends() {
    if !has_runtime("tmux") {
        return;
    }
    let sandbox = Sandbox::new();
    spawn(&sandbox, "pty").await;
    let pane = pane_with_something(&sandbox, "pane.sock", (70, 12)).await;
    for end in [Signal::TERM, Signal::HUP, Signal::QUIT] {
        sits_down(&pane).await;
        signal(sandbox.running("ao attach app-1 --reconnect 0")[0], end);
        pane.given_back("agent 1 ready", "left-0").await;
    }
    sits_down(&pane).await;
    sandbox.ao(&["stop"]).await.ok();
    pane.until("it says why", |screen| screen.contains("the daemon is gone")).await;
    pane.given_back("agent 1 ready", "left-3").await;

    sandbox.ao(&["start"]).await.ok();
    sits_down(&pane).await;
    signal(sandbox.daemon_pid().await, Signal::KILL);
    pane.until("it says why", |screen| screen.contains("the daemon is gone")).await;
    pane.given_back("agent 1 ready", "left-3").await;

    sandbox.ao(&["start"]).await.ok();
    sits_down(&pane).await;
    sandbox.ao(&["kill", "app-1"]).await.ok();
    pane.until("it says why", |screen| screen.contains("app-1 is over")).await;
    pane.given_back("agent 1 ready", "left-0").await;

    attach(&pane);
    pane.until("it fails as any command", |screen| screen.contains("left-5")).await;
    assert_eq!(pane.ask("#{alternate_on}"), "0");
    let refused = sandbox.ao(&["attach", "app-1"]).await;
    refused.fails(2, &["must be a terminal", "ao output app-1"]);
}

#[tokio::test]
async fn people_share_a_terminal_of_tmux() {
    people_share_a_terminal("tmux").await;
}

#[tokio::test]
async fn people_share_a_terminal_of_zellij() {
    people_share_a_terminal("zellij").await;
}

/// A viewer who asks for everything and takes nothing of it.
async fn stuck_viewer(sandbox: &Sandbox) -> tokio::net::UnixStream {
    let mut stream = tokio::net::UnixStream::connect(sandbox.path("data/run/daemon.sock")).await.unwrap();
    let request = "GET /api/v1/sessions/app-1/terminal HTTP/1.1\r\nhost: ao\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: YW8gYXR0YWNoZXMgaGVyZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
    stream
}

#[tokio::test]
async fn viewers_who_take_nothing_hold_up_neither_the_agent_nor_another_one() {
    if !has_runtime("tmux") {
        return;
    }
    for runtime in ["pty", "tmux", "zellij"].into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        let script = "echo agent 1 ready; read -r go; n=0; while [ $n -lt 40 ]; do seq 1 2000; n=$((n + 1)); done; \
                      touch printed; echo all of it; exec sleep 600";
        sandbox.ao(&["spawn", "--agent", "command", "--runtime", runtime, "--", "sh", "-c", script]).await.ok();
        sandbox.until_output("app-1", "agent 1 ready").await;
        let mut stuck = Vec::new();
        for _ in 0..3 {
            stuck.push(stuck_viewer(&sandbox).await);
        }
        let pane = pane_with_something(&sandbox, "pane.sock", (70, 12)).await;
        sits_down(&pane).await;
        pane.enter("go");
        sandbox.until("the agent goes on", || sandbox.worktree("app-1").join("printed").exists()).await;
        pane.until("another one sees it", |screen| screen.contains("all of it")).await;
        drop(stuck);
        pane.tmux(&["send-keys", "C-\\"]);
        pane.given_back("all of it", "left-0").await;
    }
}
