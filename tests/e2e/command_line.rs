//! The command line as a newcomer meets it: exit codes, what goes where, and errors that say what to do.

use crate::sandbox::Sandbox;

#[tokio::test]
async fn without_a_daemon_commands_say_how_to_start_one() {
    let sandbox = Sandbox::new();
    for args in [&["ls"][..], &["show", "app-1"], &["kill", "app-1"], &["project", "ls"], &["output", "app-1"]] {
        let run = sandbox.ao(args).await.fails(3, &["no daemon answers", "ao start"]);
        assert_eq!(run.stdout, "");
    }
    sandbox.ao(&["spawn", "--no-start", "x"]).await.fails(3, &["ao start"]);
    let mut command = sandbox.command(&["spawn", "x"]);
    command.env("AO_NO_START", "1");
    sandbox.run(command).await.fails(3, &["ao start"]);
    assert!(sandbox.processes().is_empty());
}

#[tokio::test]
async fn a_wrong_command_line_is_a_usage_error() {
    let sandbox = Sandbox::new();
    for args in [&["no-such-command"][..], &["spawn", "--permission-mode", "yolo", "x"], &["show", "not a session"]] {
        assert_eq!(sandbox.ao(args).await.code, 2, "{args:?}");
    }
    let args = ["spawn", "--agent", "nobody", "x"];
    sandbox.ao(&args).await.fails(2, &["there is no agent nobody", "claude-code, command", "config.toml"]);
    sandbox
        .ao(&["spawn", "--agent", "command", "--runtime", "screen", "--", "true"])
        .await
        .fails(2, &["zellij, tmux, pty"]);
    sandbox.ao(&["spawn", "--agent", "command"]).await.fails(2, &["was given no command", "-- make -k"]);
    // Nothing is listed of what is not there, and that is said.
    for args in [&["ls", "-p", "nope"][..], &["cleanup", "-p", "nope"]] {
        sandbox.ao(args).await.fails(4, &["nope", "ao project ls"]);
    }
    sandbox.ao(&["project", "add", "/nonexistent"]).await.fails(1, &["there is no directory /nonexistent"]);
    let unfit = ["spawn", "--agent", "command", "--", "/etc/passwd"];
    sandbox.ao(&unfit).await.fails(1, &["/etc/passwd", "chmod +x"]);
    sandbox.ao(&["events", "--since", "999999"]).await.fails(2, &["there is no change 999999 yet"]);
}

#[tokio::test]
async fn projects_are_registered_listed_shown_and_forgotten() {
    let sandbox = Sandbox::new();
    sandbox.make_repository("My Größe App");
    assert_eq!(sandbox.ao(&["project", "add", "../My Größe App"]).await.ok(), "my-gr-e-app");
    assert_eq!(sandbox.ao(&["project", "add", ".", "--id", "main-app"]).await.ok(), "main-app");
    assert_eq!(sandbox.ao(&["project", "add", "."]).await.ok(), "main-app");
    sandbox.ao(&["project", "add", ".", "--id", "other"]).await.fails(5, &["registered already, as project main-app"]);
    let listed = sandbox.ao(&["project", "ls"]).await.ok();
    assert!(listed.contains("main-app") && listed.contains("My Größe App"), "{listed}");
    let shown = sandbox.ao(&["project", "show", "main-app", "--json"]).await.json();
    assert_eq!(shown["path"], sandbox.repo().canonicalize().unwrap().to_str().unwrap());
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "600"]).await.ok();
    sandbox.ao(&["project", "rm", "main-app"]).await.fails(5, &["still has live sessions", "ao kill"]);
    sandbox.ao(&["kill", "main-app-1"]).await.ok();
    sandbox.ao(&["project", "rm", "main-app"]).await.ok();
    sandbox.ao(&["project", "show", "main-app"]).await.fails(4, &["main-app", "ao project ls"]);
    sandbox.ao(&["project", "add", "/"]).await.fails(1, &["is not in a git repository"]);
}

#[tokio::test]
async fn a_project_is_not_forgotten_while_a_session_of_it_is_built_or_lives() {
    let sandbox = Sandbox::new();
    // The checkout takes until it is told to go on.
    let hook = sandbox.repo().join(".git/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    crate::executable::write(
        &hook,
        "#!/bin/sh\ntouch \"$HOME/checking-out\"\nuntil test -e \"$HOME/go\"; do sleep 0.05; done\n",
    );
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--wait", "none", "--", "sleep", "600"]).await.ok();
    sandbox.until("git checks out", || sandbox.path("home/checking-out").exists()).await;
    let refused = async || {
        let run = sandbox.ao(&["project", "rm", "app"]).await.fails(5, &["still has live sessions", "ao kill"]);
        assert_eq!(run.stdout, "");
        sandbox.ao(&["project", "show", "app"]).await.ok();
    };
    refused().await;
    std::fs::write(sandbox.path("home/go"), "").unwrap();
    sandbox.wait_for("app-1", "status", "working").await;
    refused().await;
    // Another project's sessions are no reason.
    sandbox.make_repository("other");
    sandbox.ao(&["project", "add", "../other"]).await.ok();
    sandbox.ao(&["project", "rm", "other", "--json"]).await.ok();
    sandbox.ao(&["kill", "app-1"]).await.ok();
    sandbox.ao(&["project", "rm", "app"]).await.ok();
    sandbox.ao(&["project", "rm", "app"]).await.fails(4, &["app"]);
    assert_eq!(sandbox.git(&sandbox.repo(), &["status", "--porcelain"]), "", "nothing in it was touched");
}

#[tokio::test]
async fn a_moved_repository_is_told_apart_from_an_unknown_project() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["project", "add", "."]).await.ok();
    sandbox
        .ao(&["spawn", "--project", "nothing", "x"])
        .await
        .fails(4, &["there is no project nothing", "ao project ls"]);
    std::fs::rename(sandbox.repo(), sandbox.path("elsewhere")).unwrap();
    let mut command = sandbox.command(&["spawn", "--project", "app", "--agent", "command", "--", "true"]);
    command.current_dir("/");
    sandbox.run(command).await.fails(1, &["was moved or deleted", "ao project rm"]);
}

#[tokio::test]
async fn a_mistake_in_the_configuration_names_file_line_and_key() {
    let sandbox = Sandbox::new();
    let config = sandbox.path("home/.config/ao/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, "agent = \"claude-code\"\nruntime = 7\n").unwrap();
    sandbox.ao(&["spawn", "task"]).await.fails(2, &[config.to_str().unwrap(), "line 2", "runtime"]);
    // Agents that run must still be seen, be ended and report.
    sandbox.ao(&["ls"]).await.fails(3, &["no daemon answers"]);
    sandbox.ao(&["stop"]).await.ok();
    let mut hook = sandbox.command(&["hook", "claude-code", "Stop"]);
    hook.env("AO_SESSION_ID", "app-1");
    let run = sandbox.run(hook).await;
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
}

#[tokio::test]
async fn an_agent_of_the_configuration_is_a_command_in_shell_words_or_a_list() {
    let sandbox = Sandbox::new();
    let config = sandbox.path("home/.config/ao/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    let text = "agent = \"greeter\"\nruntime = \"pty\"\n\
                [agents.greeter]\nkind = \"command\"\ncommand = \"echo 'hello there'\"\n\
                [agents.lister]\nkind = \"command\"\ncommand = [\"echo\", \"a  b\"]\n";
    std::fs::write(&config, text).unwrap();
    sandbox.ao(&["spawn", "--wait", "exit", "--", "friend"]).await.ok();
    assert_eq!(sandbox.ao(&["output", "app-1"]).await.ok(), "hello there friend");
    sandbox.ao(&["spawn", "--agent", "lister", "--wait", "exit"]).await.ok();
    assert_eq!(sandbox.ao(&["output", "app-2"]).await.ok(), "a  b");
}

#[tokio::test]
async fn a_hook_without_a_session_or_a_daemon_says_nothing_and_succeeds() {
    let sandbox = Sandbox::new();
    let hook = sandbox.command(&["hook", "claude-code", "Stop"]);
    let run = sandbox.run(hook).await;
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
    assert!(!sandbox.path("data").exists());
}

#[tokio::test]
async fn a_hook_succeeds_whatever_it_is_called_with() {
    let sandbox = Sandbox::new();
    for args in [&["hook"][..], &["hook", "claude-code"], &["hook", "claude-code", "Stop", "--no-such-flag"]] {
        assert_eq!(sandbox.ao(args).await.code, 0, "{args:?}");
    }
    let mut hook = sandbox.command(&["hook", "claude-code", "Stop"]);
    hook.env("AO_DATA_DIR", "").env("AO_SESSION_ID", "app-1");
    assert_eq!(sandbox.run(hook).await.code, 0);
}

#[tokio::test]
async fn the_callers_configuration_decides_not_the_daemons() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    let mut command = sandbox.command(&["spawn", "--json", "--", "sleep", "600"]);
    command.env("AO_AGENT", "command").env("AO_RUNTIME", "pty").env("AO_PERMISSION_MODE", "plan");
    let session = sandbox.run(command).await;
    session.ok();
    assert_eq!(session.json()["permission_mode"], "plan");
    assert_eq!(session.json()["runtime"], "pty");
    let listed = sandbox.ao(&["ls"]).await.ok();
    assert!(listed.contains("sleep 600"), "{listed}");
}

#[tokio::test]
async fn what_an_agent_never_reports_is_not_waited_for() {
    let sandbox = Sandbox::new();
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "idle", "--", "sleep", "600"];
    sandbox.ao(&args).await.fails(2, &["app-1", "does not report what it does", "ao wait app-1 --for exit"]);
}

#[tokio::test]
async fn doctor_names_what_is_missing_and_what_to_do() {
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("PATH".into(), "/nowhere".into());
    let run = sandbox.ao(&["doctor"]).await;
    assert_eq!(run.code, 1, "{run:#?}");
    for words in ["BAD  git", "no   runtime zellij", "no   runtime tmux", "ok   runtime pty", "→"] {
        assert!(run.stdout.contains(words), "{words:?} is missing: {run:#?}");
    }
    assert!(!sandbox.path("data").exists(), "doctor changes nothing");
}

#[tokio::test]
async fn completion_and_version_need_nothing() {
    let sandbox = Sandbox::new();
    assert!(sandbox.ao(&["completion", "bash"]).await.ok().contains("_ao"));
    assert_eq!(sandbox.ao(&["version"]).await.ok(), format!("ao {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(sandbox.ao(&["version", "--json"]).await.json()["version"], env!("CARGO_PKG_VERSION"));
}
