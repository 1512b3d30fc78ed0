//! `ao output -f`.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::sandbox::{BOUND, Sandbox};
use crate::tools::{RUNTIMES, has_runtime};

#[tokio::test]
async fn output_is_followed_line_by_line_through_restarts_to_the_end_of_the_session() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        let script = "seq 1 9; until [ -e go ]; do sleep 0.05; done; seq 10 300; echo again; echo again; printf 'no end'; \
                      until [ -e end ]; do sleep 0.05; done; echo ' of line'; printf last; exit 3";
        sandbox.ao(&["spawn", "--agent", "command", "--runtime", runtime, "--", "sh", "-c", script]).await.ok();
        sandbox.until_output("app-1", "9").await;
        let mut command = tokio::process::Command::from(sandbox.command(&["output", "app-1", "-f", "--tail", "2"]));
        let mut follower = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        let mut next = async || {
            let line = tokio::time::timeout(BOUND, lines.next_line()).await;
            line.unwrap_or_else(|_| panic!("{runtime}: nothing comes: {}", sandbox.log())).unwrap().unwrap()
        };
        assert_eq!([next().await, next().await], ["8", "9"], "{runtime}");
        sandbox.ao(&["stop"]).await.ok();
        std::fs::write(sandbox.worktree("app-1").join("go"), "").unwrap();
        sandbox.ao(&["start"]).await.ok();
        for n in 10..=300 {
            assert_eq!(next().await, n.to_string(), "{runtime}");
        }
        assert_eq!([next().await, next().await, next().await], ["again", "again", "no end"], "{runtime}");
        std::fs::write(sandbox.worktree("app-1").join("end"), "").unwrap();
        assert_eq!([next().await, next().await], ["no end of line", "last"], "{runtime}");
        let mut rest = String::new();
        lines.into_inner().read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "", "{runtime}");
        let ended = tokio::time::timeout(BOUND, follower.wait()).await.expect("it ends").unwrap();
        assert_eq!(ended.code(), Some(0));
    }
}

/// A program that prints nothing until it is told to, and then as many lines at once as no terminal keeps.
const FLOOD: &str =
    "until [ -e go ]; do sleep 0.05; done; seq 1 30000; until [ -e end ]; do sleep 0.05; done; echo END";

#[tokio::test]
async fn every_line_of_a_flood_comes_once_and_in_order_where_the_terminal_is_ours() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", FLOOD]).await.ok();
    let follower = follow(&sandbox, &["app-1", "-f"]);
    std::fs::write(sandbox.worktree("app-1").join("go"), "").unwrap();
    sandbox.until_output("app-1", "30000").await;
    // Who comes later, and asks for more than a terminal keeps, has what was kept on the disk.
    let late = sandbox.ao(&["output", "app-1", "--tail", "20000"]).await.ok();
    let expected: Vec<String> = (10_001..=30_000).map(|n| n.to_string()).collect();
    assert!(late.lines().eq(expected.iter()), "{} lines, from {:?}", late.lines().count(), late.lines().next());
    std::fs::write(sandbox.worktree("app-1").join("end"), "").unwrap();
    let ended = tokio::time::timeout(BOUND, follower).await.expect("it ends").unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    let mut expected: Vec<String> = (1..=30_000).map(|n| n.to_string()).collect();
    expected.push("END".to_owned());
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(told.lines().eq(expected.iter()), "{} lines, from {:?}", told.lines().count(), told.lines().next());
    assert_eq!(ended.status.code(), Some(0));
    // The same after the end, and by who follows what is over.
    for more in [&["--tail", "20001"][..], &["-f", "--tail", "20001"]] {
        let all = sandbox.ao(&[&["output", "app-1"], more].concat()).await.ok();
        assert!(all.lines().eq(expected[10_000..].iter()), "{more:?}: {} lines", all.lines().count());
    }
}

#[tokio::test]
async fn lines_that_a_multiplexer_forgot_are_said_to_be_missing() {
    for runtime in ["tmux", "zellij"].into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        sandbox.ao(&["spawn", "--agent", "command", "--runtime", runtime, "--", "sh", "-c", FLOOD]).await.ok();
        let follower = follow(&sandbox, &["app-1", "-f"]);
        // It has looked once, so that it can miss something.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        std::fs::write(sandbox.worktree("app-1").join("go"), "").unwrap();
        sandbox.until_output("app-1", "30000").await;
        std::fs::write(sandbox.worktree("app-1").join("end"), "").unwrap();
        let ended = tokio::time::timeout(BOUND, follower).await.expect("it ends").unwrap().unwrap();
        let told = String::from_utf8_lossy(&ended.stdout).into_owned();
        let numbers: Vec<u32> = told.lines().filter_map(|line| line.parse().ok()).collect();
        assert!(numbers.is_sorted() && numbers.last() == Some(&30_000), "{runtime}: {:?}", numbers.last());
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let is_whole = numbers.len() == 30_000;
        assert_eq!(said.contains("lines of app-1 may have gone by unseen"), !is_whole, "{runtime}: {said}");
        assert!(!is_whole, "{runtime}: it was slower than looks, and this test showed nothing");
        assert_eq!(ended.status.code(), Some(0));
    }
}

/// `ao output` with these arguments, to its end.
fn follow(sandbox: &Sandbox, args: &[&str]) -> tokio::task::JoinHandle<std::io::Result<std::process::Output>> {
    let mut command = tokio::process::Command::from(sandbox.command(&[&["output"], args].concat()));
    tokio::spawn(command.stdin(Stdio::null()).kill_on_drop(true).output())
}
