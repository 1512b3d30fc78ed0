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
