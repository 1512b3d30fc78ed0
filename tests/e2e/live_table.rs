//! `ao ls --watch`, in a real terminal: a pane of a private tmux server.

use std::process::Stdio;

use rustix::process::Signal;

use crate::pane::Pane;
use crate::sandbox::{Sandbox, signal};
use crate::tools::has_runtime;

/// Starts the table and waits until it is there.
async fn watch(pane: &Pane<'_>) {
    pane.enter(&format!("{} ls --watch; echo left-$?", env!("CARGO_BIN_EXE_ao")));
    pane.until_taken_over("1 0").await;
}

async fn spawn(sandbox: &Sandbox, name: &str) {
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--name", name, "--", "sleep", "600"];
    sandbox.ao(&args).await.ok();
}

#[tokio::test]
async fn a_live_table_changes_in_place_and_gives_the_terminal_back() {
    if !has_runtime("tmux") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    let pane = Pane::open(&sandbox, "tmux.sock", (70, 12)).await;
    pane.enter("echo before");
    pane.until("it echoes", |screen| screen.matches("before").count() == 2).await;
    watch(&pane).await;
    pane.until("an empty table says so", |screen| screen.contains("no live sessions")).await;
    let long = "a name that is far too long for a pane of this size, so that it has to be cut somewhere";
    spawn(&sandbox, long).await;
    pane.until("a row comes", |screen| screen.contains("app-1") && screen.contains("working")).await;
    let lines: Vec<String> = pane.screen().lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("SESSION") && lines[1].starts_with("app-1") && lines[1].ends_with('…'), "{lines:#?}");
    assert!(lines[2..].iter().all(String::is_empty), "one line, and nothing of what was there: {lines:#?}");
    spawn(&sandbox, "second").await;
    sandbox.ao(&["kill", "app-1"]).await.ok();
    pane.until("a row goes", |screen| !screen.contains("app-1") && screen.contains("app-2")).await;
    let lines: Vec<String> = pane.screen().lines().map(str::to_owned).collect();
    assert!(lines[1].starts_with("app-2") && lines[2..].iter().all(String::is_empty), "{lines:#?}");
    // What is typed is not for the screen.
    pane.tmux(&["send-keys", "junk", "C-z"]);
    for n in 3..=5 {
        spawn(&sandbox, &format!("session {n}, whose name is long enough to wrap")).await;
    }
    pane.until("more rows come", |screen| screen.contains("app-5")).await;
    assert!(!pane.screen().contains("junk"), "{}", pane.screen());
    pane.tmux(&["set-option", "window-size", "manual"]);
    pane.tmux(&["resize-window", "-x", "40", "-y", "4"]);
    pane.until("it fits a smaller screen", |screen| {
        let lines: Vec<&str> = screen.lines().collect();
        lines.len() == 4 && lines[0].starts_with("SESSION") && lines[3] == "… 2 more" && lines[2].ends_with('…')
    })
    .await;
    pane.tmux(&["resize-window", "-x", "70", "-y", "12"]);
    pane.until("and a larger one", |screen| screen.contains("app-5") && !screen.contains("more")).await;
    assert_eq!(pane.ask("#{history_size}"), "0", "something was scrolled away");
    pane.tmux(&["send-keys", "C-c"]);
    pane.given_back("SESSION", "left-0").await;
}

/// Nothing wraps, and the colours are only for the eye.
#[tokio::test]
async fn a_table_fits_the_terminal_and_is_coloured_there() {
    if !has_runtime("tmux") {
        return;
    }
    let sandbox = Sandbox::new();
    spawn(&sandbox, "a name that is far too long for a pane of this size, so that it has to be cut somewhere").await;
    let pane = Pane::open(&sandbox, "tmux.sock", (70, 12)).await;
    let show = async |environment: &str, end: &str| {
        pane.enter(&format!("clear; {environment} {} ls; echo {end}", env!("CARGO_BIN_EXE_ao")));
        pane.until("the table is there", |screen| screen.contains("SESSION") && screen.lines().any(|line| line == end))
            .await;
    };
    show("", "shown").await;
    let screen = pane.screen();
    let from = screen.lines().position(|line| line.starts_with("SESSION")).unwrap();
    let lines: Vec<&str> = screen.lines().skip(from).collect();
    assert!(
        lines[1].starts_with("app-1")
            && (lines[1].contains(" ago  ") || lines[1].contains(" now "))
            && lines[1].ends_with('…'),
        "{screen}"
    );
    assert_eq!(lines[2], "shown", "a row takes a line: {screen}");
    let green = "\u{1b}[32mworking";
    assert!(pane.tmux(&["capture-pane", "-p", "-e"]).contains(green));
    show("NO_COLOR=1", "again").await;
    assert!(!pane.tmux(&["capture-pane", "-p", "-e"]).contains(green));
    let piped = sandbox.ao(&["ls"]).await.ok();
    assert!(!piped.contains('\u{1b}') && piped.ends_with("cut somewhere"), "{piped}");
}

#[tokio::test]
async fn the_terminal_is_given_back_however_the_table_ends() {
    if !has_runtime("tmux") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    let pane = Pane::open(&sandbox, "tmux.sock", (70, 12)).await;
    pane.enter("echo before");
    for end in [Signal::TERM, Signal::HUP, Signal::QUIT] {
        watch(&pane).await;
        signal(sandbox.running("ao ls --watch")[0], end);
        pane.given_back("SESSION", "left-0").await;
    }
    watch(&pane).await;
    sandbox.ao(&["stop"]).await.ok();
    pane.until("it says so", |screen| screen.contains("the daemon is away; this is how it was")).await;
    sandbox.ao(&["start"]).await.ok();
    pane.until("it goes on", |screen| screen.contains("no live sessions") && !screen.contains("away")).await;
    pane.tmux(&["send-keys", "C-c"]);
    pane.given_back("SESSION", "left-0").await;
    sandbox.ao(&["stop"]).await.ok();
    pane.enter(&format!("{} ls --watch; echo left-$?", env!("CARGO_BIN_EXE_ao")));
    pane.until("it fails as any command", |screen| screen.contains("left-3") && screen.contains("ao start")).await;
    assert_eq!(pane.ask("#{alternate_on}"), "0");
}

/// Without a terminal each state comes after the one before, and only when it is another.
#[tokio::test]
async fn without_a_terminal_each_state_is_printed() {
    let sandbox = Sandbox::new();
    spawn(&sandbox, "first").await;
    let start = |args: &[&str], name: &str| {
        let file = std::fs::File::create(sandbox.path(name)).unwrap();
        tokio::process::Command::from(sandbox.command(args)).stdout(file).kill_on_drop(true).spawn().unwrap()
    };
    let mut table = start(&["ls", "--watch"], "table");
    let mut json = start(&["ls", "--watch", "--json"], "json");
    let read = |name: &str| std::fs::read_to_string(sandbox.path(name)).unwrap();
    sandbox.until("both are there", || read("table").contains("app-1") && read("json").ends_with('\n')).await;
    sandbox.ao(&["kill", "app-1"]).await.ok();
    sandbox
        .until("the table is empty", || {
            read("table").ends_with("\n\nSESSION  STATUS  ACTIVE  AGENT  RUNTIME  BRANCH  TASK\n")
        })
        .await;
    sandbox.until("the list is empty", || read("json").ends_with("\n[]\n")).await;
    assert!(!read("table").contains('\u{1b}'), "{:?}", read("table"));
    for line in read("json").lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    // It goes on when the daemon was away.
    sandbox.ao(&["stop"]).await.ok();
    spawn(&sandbox, "second").await;
    sandbox.until("both go on", || read("table").contains("app-2") && read("json").contains("app-2")).await;
    let states = read("table");
    let states: Vec<&str> = states.split("\n\n").collect();
    assert!(states.windows(2).all(|pair| pair[0] != pair[1]), "{states:#?}");
    for child in [&mut table, &mut json] {
        signal(child.id().unwrap(), Signal::INT);
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
    }
}

/// As with `ao ls --watch | head -1`, also where nothing changes any more.
#[tokio::test]
async fn a_reader_that_goes_away_ends_the_table() {
    use tokio::io::AsyncReadExt;
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    for args in [&["ls", "--watch"][..], &["ls", "--watch", "--json"]] {
        let mut command = tokio::process::Command::from(sandbox.command(args));
        let mut table = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut reader = table.stdout.take().unwrap();
        reader.read_u8().await.unwrap();
        assert!(table.try_wait().unwrap().is_none(), "it goes on while somebody reads");
        drop(reader);
        let ended = tokio::time::timeout(crate::sandbox::BOUND, table.wait()).await.expect("it ends");
        assert_eq!(ended.unwrap().code(), Some(0), "{args:?}");
    }
}
