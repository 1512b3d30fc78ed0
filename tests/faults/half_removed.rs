//! An ended session whose workspace's removal was cut off half way is restored: what is left of the workspace is no
//! workspace.

use std::fs;

use crate::bench::{Action, Bench};
use crate::findings::Findings;
use crate::work;
use crate::world;

/// Works, fails where it is to, and ends when it is told to.
fn agent() -> String {
    let ends = "while ! test -e \"$HOME/go\"; do sleep 0.02; done; exit 5";
    format!("{}; test -e \"$HOME/broken\" && exit 3; {ends}", work::SCRIPT)
}

/// A session whose agent has worked and ended, and whose workspace's removal was cut off: its work is saved, the directory
/// is marked, and some of it gone.
async fn half_removed(bench: &Bench) -> world::Row {
    bench.start().await.ok();
    for (name, content) in [("ao.toml", "setup = ['echo set up > built']\n"), (".gitignore", "built\n")] {
        fs::write(bench.repo().join(name), content).unwrap();
    }
    bench.git(&bench.repo(), &["add", "."]);
    bench.git(&bench.repo(), &["commit", "--quiet", "--message=setup"]);
    bench.ao(&["project", "add", "."]).await.ok();
    bench.ao(&["project", "trust", "--yes"]).await.ok();
    bench.spawn("pty", "ready", &["sh", "-c", &agent()]).await.ok();
    bench.until("the agent has worked", || bench.worktree("app-1").join("loose").exists()).await;
    fs::write(bench.path("home/go"), "").unwrap();
    bench.wait_for("app-1", "status", "failed").await;
    fs::remove_file(bench.path("home/go")).unwrap();

    bench.arm("workspace.removing-marked", Action::Kill);
    let kill = async { drop(bench.ao(&["kill", "--force", "app-1"]).await) };
    let restart = async {
        bench.until("the daemon has died", || bench.fired().is_some()).await;
        bench.gone(bench.fired().unwrap()).await;
        // Before anybody can do the kill again.
        for file in ["built", "committed", "loose"] {
            fs::remove_file(bench.worktree("app-1").join(file)).unwrap();
        }
    };
    tokio::join!(kill, restart);
    bench.start().await.ok();
    let row = world::at_rest(bench).await.remove(0);
    assert!(row.is_over() && row.workspace.join(".git").exists(), "{row:#?}");
    assert!(work::holds(bench, &row, "loose", "work\n"), "it was saved");
    row
}

/// Insists that the session is live in a whole workspace, set up and with its work.
async fn assert_is_whole(bench: &Bench) {
    let (rows, findings) = world::settled(bench).await;
    assert_eq!(findings, Findings::default(), "{}", bench.log());
    let row = &rows[0];
    assert!(row.is_live(), "{row:#?}");
    for (file, content) in [("built", "set up\n"), ("committed", "work\n"), ("loose", "work\n")] {
        assert_eq!(
            fs::read_to_string(row.workspace.join(file)).unwrap_or_default(),
            content,
            "{file}\n{}",
            bench.log()
        );
    }
}

#[tokio::test]
async fn i05_what_is_left_of_a_workspace_is_made_anew_and_set_up_for_a_restore() {
    let bench = Bench::new(9);
    half_removed(&bench).await;
    bench.ao(&["restore", "app-1"]).await.ok();
    assert_is_whole(&bench).await;
}

#[tokio::test]
async fn i05_a_failed_restore_of_what_is_left_of_a_workspace_leaves_nothing_but_the_saved_work() {
    let bench = Bench::new(9);
    half_removed(&bench).await;
    fs::write(bench.path("home/broken"), "").unwrap();
    let restore = bench.ao(&["restore", "app-1"]).await;
    assert!(restore.code != 0 && restore.stderr.contains("could not be restored"), "{restore:#?}");
    let (rows, findings) = world::settled(&bench).await;
    assert_eq!(findings, Findings::default(), "{}", bench.log());
    assert!(rows[0].ended_as("exited") && !rows[0].workspace.exists(), "{:#?}", rows[0]);
    assert_eq!(bench.git(&bench.repo(), &["show", "refs/ao/preserved/app-1:loose"]), "work");

    fs::remove_file(bench.path("home/broken")).unwrap();
    bench.ao(&["restore", "app-1"]).await.ok();
    assert_is_whole(&bench).await;
}

/// Wherever the restore is cut off, what it made is taken back or used, and never passes for what was there before.
#[tokio::test]
async fn i02_a_restore_of_what_is_left_of_a_workspace_may_be_cut_off_itself() {
    for point in ["workspace.directory-deleted", "workspace.unlocked", "restore.workspace-reopened"] {
        let bench = Bench::new(9);
        half_removed(&bench).await;
        bench.arm(point, Action::Kill);
        let restart = async {
            bench.until("the daemon has died", || bench.fired().is_some()).await;
            bench.gone(bench.fired().unwrap()).await;
            bench.start().await.ok();
        };
        let restore = async { drop(bench.ao(&["restore", "app-1"]).await) };
        tokio::join!(restore, restart);
        let row = world::at_rest(&bench).await.remove(0);
        assert!(row.is_over() && !row.workspace.exists(), "{point}: {row:#?}\n{}", bench.log());
        assert_eq!(bench.git(&bench.repo(), &["show", "refs/ao/preserved/app-1:loose"]), "work", "{point}");
        bench.ao(&["restore", "app-1"]).await.ok();
        assert_is_whole(&bench).await;
    }
}

/// What the agent's own branch is called is known as long as anything else is, and afterwards.
#[tokio::test]
async fn i02_a_branch_the_agent_went_to_is_found_again_wherever_the_removal_was_cut_off() {
    let steps = [
        "work-settled",
        "removing-marked",
        "directory-deleted",
        "entry-hidden",
        "entry-unmarked",
        "entry-removed",
        "branch-settled",
    ];
    for point in steps.map(|step| format!("workspace.{step}")) {
        let bench = Bench::new(9);
        bench.start().await.ok();
        bench.ao(&["project", "add", "."]).await.ok();
        let own = "git checkout -q -b own; echo work > committed; git add .; git commit -qm work";
        let script = format!("test -e committed || {{ {own}; }}; touch \"$HOME/done\"; exec sleep 600");
        bench.spawn("pty", "ready", &["sh", "-c", &script]).await.ok();
        bench.until("the agent has worked", || bench.path("home/done").exists()).await;
        bench.arm(&point, Action::Kill);
        let kill = async { drop(bench.ao(&["kill", "app-1"]).await) };
        let restart = async {
            bench.until("the daemon has died", || bench.fired().is_some()).await;
            bench.gone(bench.fired().unwrap()).await;
            bench.start().await.ok();
        };
        tokio::join!(kill, restart);
        let row = world::at_rest(&bench).await.remove(0);
        assert!(row.ended_as("killed") && !row.workspace.exists(), "{point}: {row:#?}\n{}", bench.log());
        bench.ao(&["restore", "app-1"]).await.ok();
        assert_eq!(bench.git(&row.workspace, &["symbolic-ref", "--short", "HEAD"]), "own", "{point}");
        assert!(row.workspace.join("committed").exists(), "{point}");
        bench.ao(&["kill", "app-1"]).await.ok();
    }
}
