//! Clean-up: what nobody needs goes, what holds work stays, and each says why.

use serde_json::Value;

use crate::sandbox::{Sandbox, signal};

async fn spawn(sandbox: &Sandbox, script: &str) -> Value {
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--json", "--", "sh", "-c", script];
    let run = sandbox.ao(&args).await;
    run.ok();
    run.json()
}

/// One of each: ended with a commit, ended with uncommitted work, live, lost.
async fn some_of_everything(sandbox: &Sandbox) {
    spawn(sandbox, "echo x > x; git add x; git commit --quiet --message=work").await;
    spawn(sandbox, "echo y > y").await;
    spawn(sandbox, "exec sleep 600").await;
    let lost = spawn(sandbox, "exec sleep 601").await;
    for session in ["app-1", "app-2"] {
        sandbox.wait_for(session, "status", "terminated").await;
    }
    let holder = format!("--session-dir {}", sandbox.session_dir("app-4").display());
    let daemon = sandbox.daemon_pid().await;
    signal(daemon, rustix::process::Signal::KILL);
    let processes = sandbox.processes();
    let holder = processes.iter().find(|(_, shown)| shown.contains(&holder)).map(|(pid, _)| *pid);
    for pid in [holder.unwrap(), u32::try_from(lost["pid"].as_u64().unwrap()).unwrap()] {
        signal(pid, rustix::process::Signal::KILL);
    }
    sandbox
        .until("the daemon and the agent are dead", || {
            !Sandbox::is_running(daemon) && sandbox.running("sleep 601").is_empty()
        })
        .await;
    sandbox.ao(&["start"]).await.ok();
    sandbox.wait_for("app-4", "status", "failed").await;
}

async fn clean_up(sandbox: &Sandbox, args: &[&str]) -> Vec<(String, String, String)> {
    let run = sandbox.ao(&[&["cleanup", "--json"], args].concat()).await;
    run.ok();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = run.json()["items"].as_array().unwrap().clone();
    items.iter().map(|item| (text(&item["session"]), text(&item["action"]), text(&item["reason"]))).collect()
}

#[tokio::test]
async fn a_dry_run_tells_everything_and_changes_nothing_and_then_it_happens() {
    let sandbox = Sandbox::new();
    some_of_everything(&sandbox).await;
    let everything = || {
        let worktrees = std::fs::read_dir(sandbox.path("data/worktrees/app")).unwrap();
        let names = worktrees.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != ".ao-place").collect();
        names.sort();
        (names, sandbox.branches())
    };
    let before = everything();
    let planned = clean_up(&sandbox, &["--dry-run"]).await;
    assert_eq!(everything(), before);
    let shown: Vec<_> = planned.iter().map(|(id, action, _)| (id.as_str(), action.as_str())).collect();
    assert_eq!(shown, [("app-1", "remove"), ("app-2", "keep"), ("app-3", "keep"), ("app-4", "keep")]);
    for (at, words) in [(0, "ao/app-1"), (1, "1 uncommitted change"), (2, "not over"), (3, "ao restore")] {
        assert!(planned[at].2.contains(words), "{planned:#?}");
    }
    let table = sandbox.ao(&["cleanup", "--dry-run"]).await.ok();
    assert!(table.contains("would go") && table.contains("would stay"), "{table}");

    assert_eq!(clean_up(&sandbox, &[]).await, planned);
    assert_eq!(everything().0, ["app-2", "app-3", "app-4"]);
    assert!(sandbox.branches().contains(&"ao/app-1".to_owned()), "its commit is on it");
    let again = clean_up(&sandbox, &[]).await;
    assert_eq!(again, planned[1..], "there is nothing left to do");
}

#[tokio::test]
async fn i05_force_saves_the_work_before_the_workspace_goes() {
    let sandbox = Sandbox::new();
    spawn(&sandbox, "echo y > y").await;
    sandbox.wait_for("app-1", "status", "terminated").await;
    let run = sandbox.ao(&["cleanup", "--json", "--force", "--dry-run"]).await;
    assert_eq!(run.json()["items"][0]["preserved"], Value::Null, "nothing is saved yet");
    let planned = clean_up(&sandbox, &["--force", "--dry-run"]).await;
    assert!(planned[0].1 == "remove" && planned[0].2.contains("refs/ao/preserved/app-1"), "{planned:#?}");
    assert!(sandbox.worktree("app-1").join("y").exists());
    assert_eq!(sandbox.git(&sandbox.repo(), &["for-each-ref", "refs/ao"]), "");
    clean_up(&sandbox, &["--force"]).await;
    assert!(!sandbox.worktree("app-1").exists());
    assert_eq!(sandbox.git(&sandbox.repo(), &["show", "refs/ao/preserved/app-1:y"]), "y");
}

#[tokio::test]
async fn i06_only_what_bears_the_mark_goes_also_when_no_record_knows_it() {
    let sandbox = Sandbox::new();
    spawn(&sandbox, "exit 0").await;
    sandbox.wait_for("app-1", "status", "terminated").await;
    // A person's own worktree beside ao's, and a directory that is none.
    let theirs = sandbox.path("data/worktrees/app/theirs");
    sandbox.git(&sandbox.repo(), &["worktree", "add", "--quiet", theirs.to_str().unwrap()]);
    std::fs::create_dir(sandbox.path("data/worktrees/app/notes")).unwrap();
    // The record is lost, as with a data directory that was set up anew.
    sandbox.ao(&["stop"]).await.ok();
    for name in ["ao.db", "ao.db-wal", "ao.db-shm"] {
        let _ = std::fs::remove_file(sandbox.path("data").join(name));
    }
    sandbox.ao(&["project", "ls"]).await;
    sandbox.ao(&["start"]).await.ok();
    sandbox.ao(&["project", "add", "."]).await.ok();
    let done = clean_up(&sandbox, &[]).await;
    assert_eq!(done.len(), 1, "{done:#?}");
    assert_eq!((done[0].0.as_str(), done[0].1.as_str()), ("app-1", "remove"), "{done:#?}");
    assert!(!sandbox.worktree("app-1").exists());
    assert!(theirs.exists() && sandbox.path("data/worktrees/app/notes").exists());
}

/// A listing that fails is never taken for absence.
#[tokio::test]
async fn what_cannot_be_looked_at_is_said_and_stays() {
    let sandbox = Sandbox::new();
    spawn(&sandbox, "echo z > z").await;
    sandbox.wait_for("app-1", "status", "terminated").await;
    std::fs::rename(sandbox.repo(), sandbox.path("elsewhere")).unwrap();
    let mut command = sandbox.command(&["cleanup", "--force"]);
    command.current_dir("/");
    let run = sandbox.run(command).await.fails(1, &["not looked at: project app", "was moved or deleted"]);
    assert!(run.stdout.contains("kept"), "{run:#?}");
    assert!(sandbox.worktree("app-1").join("z").exists());
}
