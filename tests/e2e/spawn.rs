//! Spawning: what a user gets, and what is left when it does not work.

use futures_util::future::join_all;
use serde_json::Value;

use crate::sandbox::{Run, Sandbox};
use crate::tools::{RUNTIMES, has_runtime};

/// The fields of a session, as the contract lists them.
const SESSION_FIELDS: [&str; 22] = [
    "id",
    "project",
    "node",
    "kind",
    "agent",
    "runtime",
    "status",
    "activity",
    "permission_mode",
    "branch",
    "base",
    "workspace",
    "prompt",
    "name",
    "agent_session_id",
    "pid",
    "pending_request",
    "pull_request",
    "exit",
    "created_at",
    "updated_at",
    "last_activity_at",
];

#[tokio::test]
async fn a_command_runs_in_a_worktree_of_its_own() {
    let sandbox = Sandbox::new();
    let script = "pwd > where; git add where; git commit --quiet --message=work; echo done; exit 0";
    let args =
        ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--json", "--", "sh", "-c", script];
    let run = sandbox.ao(&args).await;
    run.ok();
    let session = run.json();
    for field in SESSION_FIELDS {
        assert!(session.get(field).is_some(), "{field} is missing in {session:#}");
    }
    assert_eq!(session["id"], "app-1");
    assert_eq!(session["status"], "terminated");
    assert_eq!(session["exit"]["reason"], "exited");
    assert_eq!(session["exit"]["code"], 0);
    assert_eq!(session["branch"], "ao/app-1");
    assert_eq!(session["base"], "main");
    let worktree = sandbox.worktree("app-1");
    assert_eq!(session["workspace"], worktree.to_str().unwrap());
    assert_eq!(sandbox.git(&sandbox.repo(), &["show", "ao/app-1:where"]), worktree.to_str().unwrap());
    assert_eq!(sandbox.ao(&["output", "app-1"]).await.ok(), "done");
}

#[tokio::test]
async fn i15_the_repository_looks_the_same_with_sessions() {
    let sandbox = Sandbox::new();
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "600"];
    sandbox.ao(&args).await.ok();
    assert!(sandbox.worktree("app-1").join(".ao/inbox").is_dir());
    assert_eq!(sandbox.git(&sandbox.repo(), &["status", "--porcelain", "--ignored"]), "");
    assert_eq!(sandbox.git(&sandbox.worktree("app-1"), &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_spawn_outside_a_repository_says_what_to_do() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["spawn", "task"]);
    command.current_dir(sandbox.path("home"));
    sandbox.run(command).await.fails(1, &["is not in a git repository", "--project"]);
    // A repository that is broken is another matter.
    sandbox.make_repository("broken");
    std::fs::write(sandbox.path("broken/.git/HEAD"), "garbage").unwrap();
    let mut command = sandbox.command(&["spawn", "task"]);
    command.current_dir(sandbox.path("broken"));
    let said = sandbox.run(command).await.fails(1, &["cannot be read", "git fsck"]).stderr;
    assert!(!said.contains("--project"), "{said}");
}

#[tokio::test]
async fn an_unborn_branch_is_refused_with_what_to_do() {
    let sandbox = Sandbox::new();
    let empty = sandbox.path("empty");
    std::fs::create_dir(&empty).unwrap();
    sandbox.git(&empty, &["init", "--quiet"]);
    let mut command = sandbox.command(&["spawn", "--agent", "command", "--", "true"]);
    command.current_dir(&empty);
    let run = sandbox.run(command).await;
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("commit"), "{run:#?}");
}

#[tokio::test]
async fn i01_a_branch_that_exists_is_refused_and_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.git(&sandbox.repo(), &["branch", "mine"]);
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--branch", "mine", "--", "true"];
    sandbox.ao(&args).await.fails(5, &["branch \"mine\" exists already", "--branch"]);
    assert_eq!(sandbox.branches(), ["main", "mine"]);
    assert_eq!(sandbox.ao(&["ls", "-a", "--json"]).await.json(), Value::Array(Vec::new()));
    assert!(!sandbox.path("data/worktrees").exists());
}

#[tokio::test]
async fn a_default_branch_that_exists_is_passed_over() {
    let sandbox = Sandbox::new();
    sandbox.git(&sandbox.repo(), &["branch", "ao/app-1"]);
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--", "true"];
    assert_eq!(sandbox.ao(&args).await.ok(), "app-2");
}

#[tokio::test]
async fn arguments_and_environment_reach_the_agent_unchanged() {
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("SECRET_TOKEN".into(), "s3cret-value".into());
    let script =
        r#"printf '%s|' "$@"; echo "$SECRET_TOKEN $AO_SESSION_ID $AO_PROJECT_ID $AO_ISSUE_ID"; test -x "$AO_PROGRAM""#;
    let mut args =
        vec!["spawn", "--agent", "command", "--runtime", "pty", "--issue", "ISSUE-7", "--wait", "exit", "--"];
    args.extend(["sh", "-c", script, "sh", "a b", "$(id)", "'\"", "-x", "größe 🦀"]);
    sandbox.ao(&args).await.ok();
    let output = sandbox.ao(&["output", "app-1"]).await.ok();
    assert_eq!(output, "a b|$(id)|'\"|-x|größe 🦀|s3cret-value app-1 app ISSUE-7");
}

#[tokio::test]
async fn auto_takes_zellij_where_it_is_usable_then_tmux_and_else_the_built_in_runtime() {
    let mut sandbox = Sandbox::new();
    let args = ["spawn", "--agent", "command", "--json", "--", "sleep", "600"];
    if has_runtime("zellij") {
        let run = sandbox.ao(&args).await;
        run.ok();
        assert_eq!(run.json()["runtime"], "zellij");
        sandbox.ao(&["stop"]).await.ok();
    }
    sandbox.install("zellij", "#!/bin/sh\necho zellij 0.43.1\n");
    if has_runtime("tmux") {
        let run = sandbox.ao(&args).await;
        run.ok();
        assert_eq!(run.json()["runtime"], "tmux");
        sandbox.ao(&["stop"]).await.ok();
    }
    sandbox.install("tmux", "#!/bin/sh\necho tmux 3.1c\n");
    let run = sandbox.ao(&args).await;
    run.ok();
    assert_eq!(run.json()["runtime"], "pty");
    let named = ["spawn", "--agent", "command", "--runtime", "zellij", "--", "true"];
    sandbox.ao(&named).await.fails(1, &["0.43.1", "0.44.3"]);
    let named = ["spawn", "--agent", "command", "--runtime", "tmux", "--", "true"];
    sandbox.ao(&named).await.fails(1, &["3.1c", "3.2 or newer", "package manager"]);
}

#[tokio::test]
async fn progress_is_shown_on_a_terminal_and_only_there() {
    let sandbox = Sandbox::new();
    let spawn = ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--"];
    // In a session of its own, `ao` has a terminal.
    let outer = [&spawn[..], &[env!("CARGO_BIN_EXE_ao")], &spawn[..], &["true"]].concat();
    let run = sandbox.ao(&outer).await;
    run.ok();
    assert!(!run.stderr.contains("making the workspace"), "{run:#?}");
    let shown = sandbox.ao(&["output", "app-1"]).await.ok();
    let lines =
        ["recorded, branch ao/app-2", "making the workspace", "starting the agent", "the agent runs, pid", "over"];
    let places: Vec<_> = lines.iter().map(|line| shown.find(line)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{shown}");
}

#[tokio::test]
async fn nothing_secret_shows_in_a_process_listing() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let mut sandbox = Sandbox::new();
        sandbox.env.insert("SECRET_TOKEN".into(), "s3cret-value".into());
        let prompt = sandbox.path("task.md");
        std::fs::write(&prompt, "the secret plan").unwrap();
        let args = ["spawn", "--agent", "command", "--runtime", runtime, "--prompt-file", prompt.to_str().unwrap()];
        sandbox.ao(&[&args[..], &["--", "sh", "-c", "cat \"$AO_PROMPT_FILE\"; sleep 600"]].concat()).await.ok();
        sandbox
            .until("the prompt was printed", || {
                let run = sandbox.command(&["output", "app-1"]).output().unwrap();
                String::from_utf8_lossy(&run.stdout).contains("the secret plan")
            })
            .await;
        let processes = sandbox.processes();
        assert!(!sandbox.running("sleep 600").is_empty(), "{processes:#?}");
        for (_, command) in processes {
            assert!(!command.contains("s3cret-value") && !command.contains("secret plan"), "{command}");
        }
    }
}

#[tokio::test]
async fn i13_twenty_spawns_at_once_give_twenty_live_agents() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        sandbox.ao(&["start"]).await.ok();
        let args = ["spawn", "--agent", "command", "--runtime", runtime, "--json", "--", "sleep", "600"];
        let runs: Vec<Run> = join_all((0..20).map(|_| sandbox.ao(&args))).await;
        let mut pids: Vec<u64> = Vec::new();
        for run in &runs {
            run.ok();
            pids.push(run.json()["pid"].as_u64().expect("a live agent has a process"));
        }
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), 20, "{runtime}");
        for pid in &pids {
            assert!(Sandbox::is_running(u32::try_from(*pid).unwrap()), "{runtime}: {pid} is gone");
        }
        let listed = sandbox.ao(&["ls", "--json"]).await.json();
        let working = listed.as_array().unwrap().iter().filter(|session| session["status"] == "working").count();
        assert_eq!(working, 20, "{runtime}: {listed:#}");
    }
}
