//! `ao.toml`: who accepts it, and what it counts for.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox};

/// Writes the repository's `ao.toml`.
pub(crate) fn write(sandbox: &Sandbox, text: &str) {
    std::fs::write(sandbox.repo().join("ao.toml"), text).unwrap();
}

/// Spawns a shell script on the built-in runtime, waits for its end, and gives the session.
pub(crate) async fn spawn(sandbox: &Sandbox, more: &[&str], script: &str) -> Run {
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--json"];
    sandbox.ao(&[&args[..], more, &["--", "sh", "-c", script]].concat()).await
}

/// Accepts the file as somebody does who was not asked.
pub(crate) async fn trust(sandbox: &Sandbox) {
    sandbox.ao(&["project", "trust", "--yes"]).await.ok();
}

async fn shown(sandbox: &Sandbox) -> Value {
    let run = sandbox.ao(&["project", "show", "app", "--json"]).await;
    run.ok();
    run.json()
}

#[tokio::test]
async fn nothing_runs_before_a_person_accepted_that_very_content() {
    let sandbox = Sandbox::new();
    write(&sandbox, "setup = ['touch \"$HOME/ran\"']\n");
    let refusal = ["ao.toml says what runs on your machine", "nobody has accepted it", "ao project trust app"];
    spawn(&sandbox, &[], "true").await.fails(5, &refusal);
    assert_eq!(sandbox.ao(&["ls", "-a", "--json"]).await.json(), json!([]));
    assert_eq!(sandbox.branches(), ["main"]);
    assert_eq!(shown(&sandbox).await["file"]["acceptance"], "needed");
    sandbox.ao(&["project", "trust"]).await.fails(5, &["touch \"$HOME/ran\"", "no terminal to ask on", "--yes"]);
    spawn(&sandbox, &[], "true").await.fails(5, &refusal);
    assert!(!sandbox.path("home/ran").exists());

    trust(&sandbox).await;
    assert_eq!(shown(&sandbox).await["file"]["acceptance"], "accepted");
    spawn(&sandbox, &[], "true").await.ok();
    assert!(sandbox.path("home/ran").exists());

    // Another byte is another content; the one that was accepted stays so, also for another daemon.
    write(&sandbox, "setup = ['touch \"$HOME/ran\"'] \n");
    spawn(&sandbox, &[], "true").await.fails(5, &refusal);
    write(&sandbox, "setup = ['touch \"$HOME/ran\"']\n");
    sandbox.ao(&["stop"]).await.ok();
    spawn(&sandbox, &[], "true").await.ok();
}

/// Accepts a project's file without asking the command line: by the socket, and the file's digest.
const ACCEPT: &str = r#"#!/usr/bin/perl
use IO::Socket::UNIX;
use Digest::SHA;
my $digest = Digest::SHA->new(256)->addfile('ao.toml')->hexdigest;
my $body = qq({"digest":"$digest"});
my $socket = IO::Socket::UNIX->new(Peer => "$ENV{AO_DATA_DIR}/run/daemon.sock") or die "no connection: $!";
print $socket "POST /api/v1/projects/app/trust HTTP/1.1\r\nHost: ao\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ", length $body, "\r\n\r\n$body";
print <$socket>;
"#;

#[tokio::test]
async fn an_agent_accepts_nothing() {
    let mut sandbox = Sandbox::new();
    sandbox.install("accept", ACCEPT);
    write(&sandbox, "base = 'main'\n");
    let script = format!(
        "exec > said.part 2>&1; worktree=$PWD; cd '{}'; echo \"setup = ['true']\" > ao.toml; \
         \"$AO_PROGRAM\" project trust --yes app; echo \"said $?\"; accept; cd \"$worktree\"; mv said.part said",
        sandbox.repo().display()
    );
    spawn(&sandbox, &[], &script).await.ok();
    let said = std::fs::read_to_string(sandbox.worktree("app-1").join("said")).unwrap();
    let (by_command, by_socket) = said.split_once("said 5\n").unwrap_or_else(|| panic!("{said}"));
    assert!(by_command.contains("only a person accepts the ao.toml of app, and this is the agent of app-1"), "{said}");
    assert!(by_socket.contains(r#""code":"not_a_person""#), "{said}");
    assert_eq!(shown(&sandbox).await["file"]["acceptance"], "needed");
    // A person's program may.
    let mut accept = std::process::Command::new(sandbox.path("bin/accept"));
    accept.current_dir(sandbox.repo()).env_clear().envs(&sandbox.env);
    sandbox.run(accept).await.ok();
    assert_eq!(shown(&sandbox).await["file"]["acceptance"], "accepted");
}

#[tokio::test]
async fn a_person_is_shown_the_file_and_asked() {
    let sandbox = Sandbox::new();
    write(&sandbox, "setup = ['echo hi'] # \u{202e}evil\n");
    sandbox.ao(&["start"]).await.ok();
    for (answer, code, acceptance) in [("\n", 1, "needed"), ("no\n", 1, "needed"), ("y\n", 0, "accepted")] {
        // The child of this has a terminal.
        let script = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
        let mut command = std::process::Command::new("python3");
        command.args(["-c", script, env!("CARGO_BIN_EXE_ao"), "project", "trust"]);
        command.current_dir(sandbox.repo()).env_clear().envs(&sandbox.env);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(answer.as_bytes()).unwrap();
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        drop(stdin);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("| setup = ['echo hi'] # <U+202E>evil") && said.contains("[y/N]"), "{said}");
        assert!(said.contains("What takes effect:") && said.contains("  setup     echo hi"), "{said}");
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(shown(&sandbox).await["file"]["acceptance"], acceptance, "{answer:?}");
    }
    let again = sandbox.ao(&["project", "trust", "app", "--json"]).await;
    again.ok();
    assert_eq!(again.json()["acceptance"], "accepted");
}

#[tokio::test]
async fn a_project_without_a_file_has_none_to_accept() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["project", "trust", "--yes"]).await.fails(4, &["no ao.toml"]);
    assert_eq!(shown(&sandbox).await["file"], Value::Null);
}

#[tokio::test]
async fn names_of_branches_and_bases_need_no_acceptance() {
    let sandbox = Sandbox::new();
    sandbox.git(&sandbox.repo(), &["branch", "develop"]);
    write(&sandbox, "base = 'develop'\nbranch_prefix = 'bot/'\n");
    let run = spawn(&sandbox, &[], "true").await;
    run.ok();
    assert_eq!((&run.json()["branch"], &run.json()["base"]), (&json!("bot/app-1"), &json!("develop")));
    assert_eq!(shown(&sandbox).await["file"]["acceptance"], "not_needed");
    let run = spawn(&sandbox, &["--branch", "mine", "--base", "main"], "true").await;
    run.ok();
    assert_eq!((&run.json()["branch"], &run.json()["base"]), (&json!("mine"), &json!("main")));
}

#[tokio::test]
async fn what_was_asked_for_wins_over_the_file_and_that_over_the_configuration() {
    let mut sandbox = Sandbox::new();
    let config = sandbox.path("home/.config/ao/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    let agents = "[agents.one]\nkind = 'command'\ncommand = 'true'\n[agents.two]\nkind = 'command'\ncommand = 'true'\n";
    std::fs::write(&config, format!("agent = 'one'\npermission_mode = 'plan'\nruntime = 'pty'\n{agents}")).unwrap();
    let spawn = async |sandbox: &Sandbox, more: &[&str]| {
        let run = sandbox.ao(&[&["spawn", "--wait", "exit", "--json"], more].concat()).await;
        run.ok();
        let session = run.json();
        (session["agent"].as_str().unwrap().to_owned(), session["permission_mode"].as_str().unwrap().to_owned())
    };
    let is = |agent: &str, mode: &str| (agent.to_owned(), mode.to_owned());
    assert_eq!(spawn(&sandbox, &[]).await, is("one", "plan"));
    sandbox.env.insert("AO_PERMISSION_MODE".into(), "auto".into());
    assert_eq!(spawn(&sandbox, &[]).await, is("one", "auto"));
    write(&sandbox, "agent = 'two'\npermission_mode = 'accept-edits'\n");
    trust(&sandbox).await;
    assert_eq!(spawn(&sandbox, &[]).await, is("two", "accept-edits"));
    let asked = ["--agent", "one", "--permission-mode", "default"];
    assert_eq!(spawn(&sandbox, &asked).await, is("one", "default"));
}

#[tokio::test]
async fn a_mistake_in_the_file_is_told_with_its_line_and_key_and_nothing_is_spawned() {
    let sandbox = Sandbox::new();
    write(&sandbox, "# the setup\nset_up = ['x']\n");
    let file = sandbox.repo().join("ao.toml");
    let words = [file.to_str().unwrap(), "line 2: set_up: unknown key `set_up`", "correct it"];
    spawn(&sandbox, &[], "true").await.fails(2, &words);
    sandbox.ao(&["project", "trust", "--yes"]).await.fails(2, &words);
    assert!(shown(&sandbox).await["file_problem"].as_str().unwrap().contains("line 2: set_up"));
    assert_eq!(sandbox.ao(&["ls", "-a", "--json"]).await.json(), json!([]));
}

#[tokio::test]
async fn a_link_in_the_files_place_is_not_followed() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("elsewhere"), "setup = ['touch \"$HOME/ran\"']\n").unwrap();
    std::os::unix::fs::symlink(sandbox.path("elsewhere"), sandbox.repo().join("ao.toml")).unwrap();
    let run = sandbox.ao(&["project", "trust", "--yes"]).await;
    let run = run.fails(1, &["ao.toml is a symbolic link"]);
    assert!(!run.stderr.contains("touch"), "{run:#?}");
    spawn(&sandbox, &[], "true").await.fails(1, &["ao.toml is a symbolic link"]);
}
