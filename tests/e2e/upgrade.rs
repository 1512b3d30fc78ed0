//! An upgrade: the ao that started the agents is gone from the disk, and another one goes on with them.

use std::path::Path;
use std::process::Command;

use crate::sandbox::{Run, Sandbox};
use crate::tools::{RUNTIMES, has_runtime};

/// Reports its start, then its turn's end when it is told to, by whatever `ao` its settings name.
const REPORTS: &str = "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }\n\
                       echo '{}' | \"$AO_PROGRAM\" hook claude-code SessionStart\necho said before\n\
                       until test -e turn; do sleep 0.05; done\n\
                       echo '{}' | \"$AO_PROGRAM\" hook claude-code Stop\n\
                       until test -e go; do sleep 0.05; done\necho said after\nexit 3\n";

async fn run(sandbox: &Sandbox, ao: &Path, args: &[&str]) -> Run {
    let mut command = Command::new(ao);
    command.args(args).current_dir(sandbox.repo()).env_clear().envs(&sandbox.env).stdin(std::process::Stdio::null());
    sandbox.run(command).await
}

#[tokio::test]
async fn i03_another_ao_adopts_the_agents_of_one_that_is_gone() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let mut sandbox = Sandbox::new();
        sandbox.install("claude", REPORTS);
        let old = sandbox.path("old/ao");
        std::fs::create_dir(old.parent().unwrap()).unwrap();
        // By a child: a file that is written here could be open in another test's child, and could not be run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_ao")).arg(&old).status().unwrap();
        assert!(copied.success());
        let script = "echo said before; until test -e go; do sleep 0.05; done; echo said after; exit 4";
        let shell = ["spawn", "--agent", "command", "--runtime", runtime, "--", "sh", "-c", script];
        run(&sandbox, &old, &shell).await.ok();
        run(&sandbox, &old, &shell).await.ok();
        run(&sandbox, &old, &["spawn", "--runtime", runtime, "task"]).await.ok();
        let mut pids = Vec::new();
        for session in ["app-1", "app-2", "app-3"] {
            pids.push(sandbox.show(session).await["pid"].clone());
        }
        run(&sandbox, &old, &["stop"]).await.ok();
        std::fs::remove_dir_all(old.parent().unwrap()).unwrap();

        sandbox.ao(&["start"]).await.ok();
        for (session, pid) in ["app-1", "app-2", "app-3"].into_iter().zip(pids) {
            assert_eq!(sandbox.show(session).await["pid"], pid, "{runtime}: {session} was not adopted");
            let output = sandbox.ao(&["output", session]).await.ok();
            assert!(output.contains("said before"), "{runtime}: {session}: {output}");
        }
        std::fs::write(sandbox.worktree("app-3").join("turn"), "").unwrap();
        sandbox.wait_for("app-3", "activity", "idle").await;
        for (session, code) in [("app-1", 4), ("app-3", 3)] {
            std::fs::write(sandbox.worktree(session).join("go"), "").unwrap();
            let ended = sandbox.wait_for(session, "activity", "exited").await;
            assert_eq!(ended["exit"]["code"], code, "{runtime}: {ended:#}");
            let output = sandbox.ao(&["output", session]).await.ok();
            assert!(output.contains("said after"), "{runtime}: {session}: {output}");
        }
        sandbox.ao(&["kill", "app-2"]).await.ok();
        sandbox.ao(&["stop"]).await.ok();
        sandbox.until("nothing is left", || sandbox.processes().is_empty()).await;
    }
}
