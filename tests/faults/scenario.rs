//! The use cases whose points are gone through: how each is brought about, done, and what must have become of it.

use std::fs;

use rustix::process::Signal;
use sqlx::Connection as _;

use crate::bench::{Action, Bench, SETTLED_WITHIN};
use crate::findings::Findings;
use crate::hooked::{self, Heard};
use crate::sandbox::signal;
use crate::work;
use crate::world::{self, Row};

/// A use case. Where a daemon dies before it, what the next one does about that is the use case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    /// A session is spawned.
    Spawn,
    /// A session is spawned whose agent fails at once.
    FailingSpawn,
    /// A session is killed.
    Kill,
    /// A session is killed whose worktree holds a commit and a file that is on no branch.
    KillWithWork,
    /// The same, and its work is to be saved.
    KillForce,
    /// An agent ends by itself.
    Exit,
    /// An agent has ended while no daemon ran.
    ExitUnseen,
    /// The daemon died when the agent ran and was on record.
    Adopt,
    /// The daemon died when the worktree was made.
    UndoWorkspace,
    /// The daemon died when a launch was written that nobody has taken.
    UndoLaunch,
    /// The daemon died when a kill was on record.
    FinishKill,
    /// The same, and its work is to be saved.
    FinishKillForce,
    /// A session whose terminal was killed is restored in the worktree it has.
    Restore,
    /// A session whose worktree is gone, its work saved, is restored.
    RestoreGone,
    /// A session whose agent went to a branch of its own, and whose worktree somebody deleted, is restored.
    RestoreDeleted,
    /// A session whose worktree is gone, its work saved, is restored, and its agent fails at once.
    FailingRestore,
    /// An ended session's worktree is cleaned up, and that of one which is on no record.
    Cleanup,
    /// A session is spawned in a project with files to bring and commands to run.
    SetUp,
    /// A session is killed whose project has commands for that.
    TearDown,
    /// The daemon died while such a command ran, which goes on writing in the worktree.
    FinishTearDown,
    /// A session stands in line, and its turn comes when another one is killed.
    Line,
    /// A hook's report waits in the spool.
    Spool,
    /// An agent is sent a message, which its hooks hand it.
    Send,
    /// A shell, which has no hooks, is sent a message, which is typed.
    Type,
    /// An orchestrator is told of its worker's end.
    News,
}

impl Scenario {
    pub(crate) const ALL: [Self; 25] = [
        Self::Spawn,
        Self::FailingSpawn,
        Self::Kill,
        Self::KillWithWork,
        Self::KillForce,
        Self::Exit,
        Self::ExitUnseen,
        Self::Adopt,
        Self::UndoWorkspace,
        Self::UndoLaunch,
        Self::FinishKill,
        Self::FinishKillForce,
        Self::Restore,
        Self::RestoreGone,
        Self::RestoreDeleted,
        Self::FailingRestore,
        Self::Cleanup,
        Self::SetUp,
        Self::TearDown,
        Self::FinishTearDown,
        Self::Line,
        Self::Spool,
        Self::Send,
        Self::Type,
        Self::News,
    ];

    /// Whether it depends on the runtime. What is about worktrees, the line and the spool is gone through on one.
    pub(crate) fn knows_its_runtime(self) -> bool {
        use Scenario::{
            Adopt, Exit, ExitUnseen, FailingRestore, FailingSpawn, FinishKill, Kill, Restore, Spawn, UndoLaunch,
        };
        let with_a_terminal =
            [Spawn, FailingSpawn, Kill, Exit, ExitUnseen, Adopt, UndoLaunch, FinishKill, Restore, FailingRestore];
        with_a_terminal.contains(&self)
    }

    /// Whether a point that it passes is its own. What stands in line is spawned as everything is.
    pub(crate) fn is_about(self, point: &str) -> bool {
        let own: &[&str] = match self {
            Self::Line => &["line.", "kill.", "spawn."],
            Self::SetUp => &["setup.", "spawn.setup-recorded", "spawn.prepared-recorded"],
            Self::TearDown | Self::FinishTearDown => &["setup.", "teardown."],
            Self::Send => &["message."],
            Self::Type => &["terminal."],
            Self::News => &["news."],
            _ => &[""],
        };
        own.iter().any(|prefix| point.starts_with(prefix))
    }

    /// Whether somebody is told when a step of it fails: who asked for it, or who looks why it is not done yet.
    pub(crate) fn is_asked_for(self) -> bool {
        use Scenario::{
            Cleanup, Exit, FailingRestore, FailingSpawn, Kill, KillForce, RestoreDeleted, RestoreGone, SetUp, Spawn,
            TearDown, Type,
        };
        matches!(
            self,
            Spawn
                | FailingSpawn
                | Kill
                | KillForce
                | Exit
                | RestoreGone
                | RestoreDeleted
                | FailingRestore
                | Cleanup
                | SetUp
                | TearDown
                | Type
        )
    }

    /// How many agents there may be at once.
    pub(crate) fn max_live_agents(self) -> usize {
        if self == Self::Line { 1 } else { 20 }
    }

    /// Whether a kill in it is to save work.
    pub(crate) fn saves_work(self) -> bool {
        matches!(self, Self::KillForce | Self::FinishKillForce | Self::RestoreGone | Self::FailingRestore)
    }

    /// Whether all that is left of it to do is done before a daemon is ready.
    pub(crate) fn ends_by_the_start(self) -> bool {
        matches!(self, Self::Kill | Self::KillForce | Self::FinishKill | Self::FinishKillForce | Self::FinishTearDown)
    }

    /// Brings about what is there before. A daemon runs afterwards, unless its start is the use case.
    pub(crate) async fn prepare(self, bench: &Bench, runtime: &str) {
        if matches!(self, Self::Send | Self::News) {
            // A daemon reads its configuration when it starts.
            hooked::install(bench);
        }
        if self == Self::Type {
            configure_shell(bench);
        }
        bench.start().await.ok();
        // So that the first spawn does nothing that later ones do not.
        bench.ao(&["project", "add", "."]).await.ok();
        match self {
            Self::Spawn | Self::FailingSpawn => {}
            Self::SetUp => has_project_file(bench, TORN).await,
            Self::TearDown => {
                has_project_file(bench, TORN).await;
                live(bench, runtime, SLEEP).await;
            }
            Self::FinishTearDown => {
                has_project_file(bench, TEARS).await;
                live(bench, runtime, SLEEP).await;
                let dies = async {
                    bench.until("the teardown writes", || bench.path("home/tears").exists()).await;
                    bench.kill_daemon().await;
                };
                tokio::join!(bench.ao(&["kill", "app-1"]), dies);
            }
            Self::Kill | Self::Line => live(bench, runtime, SLEEP).await,
            Self::KillWithWork | Self::KillForce => works(bench, runtime, SLEEP).await,
            Self::Exit => live(bench, runtime, ENDS).await,
            Self::ExitUnseen => {
                live(bench, runtime, ENDS).await;
                bench.kill_daemon().await;
                fs::write(bench.path("home/go"), "").unwrap();
                bench.until("everything has ended", || bench.everything().is_empty()).await;
            }
            Self::Adopt => {
                die_in_spawn(bench, runtime, "spawn.process-recorded").await;
                // What the agent's parent does then goes on without the daemon, and belongs to what was before.
                let is_recorded = || bench.passed().iter().any(|point| point == "launch.start-recorded");
                bench.until("the agent's start is on record", is_recorded).await;
            }
            Self::UndoWorkspace => die_in_spawn(bench, runtime, "workspace.marked").await,
            Self::UndoLaunch => die_in_spawn(bench, runtime, "launch.environment-written").await,
            Self::FinishKill => {
                live(bench, runtime, SLEEP).await;
                die_in(bench, "kill.requested", &["kill", "app-1"]).await;
            }
            Self::FinishKillForce => {
                works(bench, runtime, SLEEP).await;
                die_in(bench, "kill.requested", &["kill", "--force", "app-1"]).await;
            }
            Self::Restore => {
                works(bench, runtime, SLEEP).await;
                lose(bench).await;
            }
            Self::RestoreGone => {
                works(bench, runtime, SLEEP).await;
                bench.ao(&["kill", "--force", "app-1"]).await.ok();
            }
            Self::RestoreDeleted => {
                live(bench, runtime, GOES_ELSEWHERE).await;
                bench.until("the agent has worked", || bench.gone_to().is_some()).await;
                lose(bench).await;
                fs::remove_dir_all(bench.worktree("app-1")).unwrap();
            }
            Self::FailingRestore => {
                works(bench, runtime, &format!("test -e \"$HOME/again\" && exit 3; echo first words; {SLEEP}")).await;
                bench.ao(&["kill", "--force", "app-1"]).await.ok();
                fs::write(bench.path("home/again"), "").unwrap();
            }
            Self::Cleanup => {
                for _ in 0..2 {
                    live(bench, runtime, ENDS).await;
                }
                fs::write(bench.path("home/go"), "").unwrap();
                bench.wait_for("app-2", "status", "failed").await;
                bench.wait_for("app-1", "status", "failed").await;
                forget(bench, "app-2").await;
            }
            Self::Send | Self::News => {
                let kind = if self == Self::News { "orchestrator" } else { "worker" };
                let spawn =
                    ["spawn", "--agent", hooked::AGENT, "--runtime", runtime, "--no-start", "--kind", kind, "work"];
                bench.ao(&spawn).await.ok();
            }
            Self::Type => {
                bench.ao(&["spawn", "--agent", "shell", "--runtime", runtime, "--no-start"]).await.ok();
            }
            Self::Spool => {
                live(bench, runtime, SLEEP).await;
                bench.kill_daemon().await;
                let mut hook = bench.command(&["hook", "command", "Stop"]);
                hook.env("AO_SESSION_ID", "app-1");
                bench.run(hook).await.ok();
                assert_eq!(spooled(bench), 1);
            }
        }
    }

    /// Does it. Whoever asks may see it fail.
    pub(crate) async fn operate(self, bench: &Bench, runtime: &str) {
        match self {
            Self::Spawn | Self::SetUp => drop(bench.spawn(runtime, "ready", &["sh", "-c", SLEEP]).await),
            Self::FailingSpawn => drop(bench.spawn(runtime, "ready", &["sh", "-c", "exit 3"]).await),
            Self::Kill | Self::KillWithWork | Self::TearDown => drop(bench.ao(&["kill", "app-1"]).await),
            Self::KillForce => drop(bench.ao(&["kill", "--force", "app-1"]).await),
            Self::Restore | Self::RestoreGone | Self::RestoreDeleted | Self::FailingRestore => {
                drop(bench.ao(&["restore", "app-1"]).await);
            }
            Self::Cleanup => drop(bench.ao(&["cleanup"]).await),
            Self::Line => {
                bench.spawn_with(runtime, &["--queue", "--wait", "none"], &["sh", "-c", SLEEP]).await;
                bench.ao(&["kill", "app-1"]).await;
            }
            Self::Exit => fs::write(bench.path("home/go"), "").unwrap(),
            Self::Send => drop(bench.ao(&["send", "app-1", "hello"]).await.ok()),
            Self::Type => drop(bench.ao(&["send", "app-1", "echo hello >> ~/typed"]).await.ok()),
            Self::News => drop(bench.spawn(runtime, "none", &["sh", "-c", "sleep 1; exit 4"]).await),
            Self::ExitUnseen
            | Self::Adopt
            | Self::UndoWorkspace
            | Self::UndoLaunch
            | Self::FinishKill
            | Self::FinishKillForce
            | Self::FinishTearDown
            | Self::Spool => drop(bench.start().await),
        }
    }

    /// Waits until an undisturbed run has passed all its points.
    pub(crate) async fn is_done(self, bench: &Bench) {
        let last = match self {
            Self::Exit => "reap.end-recorded",
            Self::Line => "spawn.live",
            Self::Spool => "spool.taken",
            Self::Send | Self::Type => "message.settled",
            Self::News => "news.accepted",
            _ => return,
        };
        let count = if self == Self::Line { 2 } else { 1 };
        let is_last = || bench.passed().iter().filter(|point| *point == last).count() == count;
        let passed = bench.comes_true(SETTLED_WITHIN, is_last).await;
        assert!(passed, "{self:?}: never at {last}: {:?}\n{}", bench.passed(), bench.log());
    }

    /// Does again what only somebody who asks does.
    pub(crate) async fn repeat(self, bench: &Bench) {
        match self {
            Self::Cleanup => drop(bench.ao(&["cleanup"]).await.ok()),
            Self::Send | Self::Type | Self::News => {
                let is_taken = || {
                    !messages(bench).is_empty()
                        && messages(bench).iter().all(|message| message["state"] == "acknowledged")
                };
                bench.comes_true(SETTLED_WITHIN, is_taken).await;
            }
            // Killing twice is success.
            Self::Line => drop(bench.ao(&["kill", "app-1"]).await.ok()),
            Self::Restore | Self::RestoreGone | Self::RestoreDeleted if !world::at_rest(bench).await[0].is_live() => {
                bench.ao(&["restore", "app-1"]).await.ok();
            }
            _ => {}
        }
    }

    /// What is wrong with how it ended, everything being settled. `agents` ran when it was disturbed, and were on record
    /// as started.
    pub(crate) fn judge(self, bench: &Bench, rows: &[Row], agents: &[u32], findings: &mut Findings) {
        let row = rows.first();
        let is = |test: &dyn Fn(&Row) -> bool| row.is_some_and(test);
        let gone = |row: &Row| !row.workspace.exists() && !bench.branches().contains(&row.branch);
        let holds = match self {
            // A cut-off setup is undone as a whole: what is live was set up to the end.
            Self::SetUp => is(&|row| {
                let built = fs::read_to_string(row.workspace.join("built")).unwrap_or_default();
                row.ended_as("spawn_failed") || row.is_live() && built == "secret\n"
            }),
            Self::Spawn | Self::Adopt => {
                // One that ran goes on running: the same one.
                let adopted =
                    agents.is_empty() || is(&|row| row.is_live() && row.pid.is_some_and(|p| agents.contains(&p)));
                adopted && row.is_none_or(|row| row.is_live() || row.ended_as("spawn_failed"))
            }
            Self::FailingSpawn => row.is_none_or(|row| row.ended_as("spawn_failed")),
            Self::UndoWorkspace | Self::UndoLaunch => is(&|row| row.ended_as("spawn_failed")),
            Self::TearDown => {
                // A command that could not run is said, and the worktree goes all the same.
                let is_torn = bench.path("home/torn").exists();
                is(&|row| row.ended_as("killed") && gone(row) && (is_torn || row.notes.contains("teardown: ")))
            }
            Self::Kill | Self::FinishKill | Self::FinishTearDown => is(&|row| row.ended_as("killed") && gone(row)),
            Self::KillWithWork => {
                is(&|row| row.ended_as("killed") && row.workspace.join("loose").exists() && work::is_there(bench, row))
            }
            Self::KillForce | Self::FinishKillForce => {
                is(&|row| row.ended_as("killed") && !row.workspace.exists() && work::is_there(bench, row))
            }
            Self::Restore | Self::RestoreGone => {
                let is_same = agents.is_empty() || is(&|row| row.pid.is_some_and(|pid| agents.contains(&pid)));
                is_same && is(&|row| row.is_live() && work::is_there(bench, row))
            }
            Self::RestoreDeleted => is(&|row| {
                let on = fs::read_to_string(bench.repo().join(".git/worktrees/app-1/HEAD"));
                let is_on_it = on.is_ok_and(|on| on.trim() == "ref: refs/heads/own");
                row.is_live() && is_on_it && row.workspace.join("committed").exists()
            }),
            Self::FailingRestore => {
                let output = bench.command(&["output", "app-1"]).output().unwrap().stdout;
                is(&|row| row.ended_as("killed") && !row.workspace.exists() && work::is_there(bench, row))
                    && String::from_utf8_lossy(&output).contains("first words")
            }
            Self::Cleanup => is(&gone),
            Self::Line => {
                let next = rows.get(1);
                is(&|row| row.ended_as("killed") && gone(row))
                    && next.is_none_or(|row| row.is_live() || row.ended_as("spawn_failed"))
            }
            Self::Exit | Self::ExitUnseen => {
                is(&|row| (row.ended_as("exited") || row.ended_as("lost")) && row.workspace.exists())
            }
            Self::Spool => is(&Row::is_live) && spooled(bench) == 0,
            Self::News => {
                // One message, and told: the record of that may be on its way still.
                let is_told = || {
                    let all = messages(bench);
                    all.len() == 1
                        && all[0]["state"] == "acknowledged"
                        && told(bench).iter().any(|(_, text)| text.contains("app-2 failed: exited with code 4"))
                };
                let begun = std::time::Instant::now();
                while !is_told() && begun.elapsed() < SETTLED_WITHIN {
                    std::thread::sleep(crate::bench::LOOK);
                }
                is(&Row::is_live) && is_told()
            }
            Self::Send => {
                // Sent once, it is one message, which the agent was told; again only with the same id.
                let (messages, told) = (messages(bench), told(bench));
                let id = messages.first().and_then(|message| message["id"].as_str()).unwrap_or_default();
                let is_told = !told.is_empty() && told.iter().all(|told| *told == (id.to_owned(), "hello".to_owned()));
                is(&Row::is_live) && messages.len() == 1 && messages[0]["state"] == "acknowledged" && is_told
            }
            Self::Type => {
                // Run once, or a second time after a daemon died when it was submitted and not on record as that.
                let (messages, typed) =
                    (messages(bench), fs::read_to_string(bench.path("home/typed")).unwrap_or_default());
                let is_taken = messages.len() == 1
                    && messages[0]["state"] == "acknowledged"
                    && messages[0]["via"] == "terminal"
                    && messages[0]["error"].is_null();
                is(&Row::is_live) && is_taken && ["hello\n", "hello\nhello\n"].contains(&typed.as_str())
            }
        };
        findings.expect(holds, || format!("{self:?} ended otherwise: {row:?}, agents {agents:?}"));
    }
}

/// The messages of the session.
fn messages(bench: &Bench) -> Vec<serde_json::Value> {
    let run = bench.command(&["messages", "app-1", "--json"]).output().unwrap();
    serde_json::from_slice(&run.stdout).unwrap_or_default()
}

/// What the agent of the session was told: ids and texts.
fn told(bench: &Bench) -> Vec<(String, String)> {
    let told = |one| if let Heard::Told { id, text } = one { Some((id, text)) } else { None };
    hooked::heard(bench, "app-1").into_iter().filter_map(told).collect()
}

/// How many reports wait in the spool.
fn spooled(bench: &Bench) -> usize {
    let entries = fs::read_dir(bench.path("data/spool")).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "json")).count()
}

/// A project whose files and commands, of which one tears down, somebody has accepted.
async fn has_project_file(bench: &Bench, teardown: &str) {
    let file = format!("copy = ['.env']\nsetup = ['cat .env > built', 'sleep 0.1']\nteardown = ['''{teardown}''']\n");
    for (name, content) in [("ao.toml", file.as_str()), (".gitignore", "built\n.env\n"), (".env", "secret\n")] {
        fs::write(bench.repo().join(name), content).unwrap();
    }
    bench.git(&bench.repo(), &["add", "."]);
    bench.git(&bench.repo(), &["commit", "--quiet", "--message=setup"]);
    bench.ao(&["project", "trust", "--yes"]).await.ok();
}

async fn live(bench: &Bench, runtime: &str, script: &str) {
    bench.spawn(runtime, "ready", &["sh", "-c", script]).await.ok();
}

/// A live session whose agent has made a commit and a file that is in none.
async fn works(bench: &Bench, runtime: &str, script: &str) {
    live(bench, runtime, &format!("{}; {script}", work::SCRIPT)).await;
    bench.until("the agent has worked", || bench.worktree("app-1").join("loose").exists()).await;
}

async fn die_in_spawn(bench: &Bench, runtime: &str, point: &str) {
    let spawn = ["spawn", "--agent", "command", "--runtime", runtime, "--no-start", "--wait", "none"];
    die_in(bench, point, &[&spawn[..], &["--", "sh", "-c", SLEEP]].concat()).await;
}

async fn die_in(bench: &Bench, point: &str, args: &[&str]) {
    bench.arm(point, Action::Kill);
    bench.ao(args).await;
    bench.until("the daemon has died", || bench.fired().is_some()).await;
    bench.gone(bench.fired().unwrap()).await;
}

/// Kills an agent with all that is its terminal.
async fn lose(bench: &Bench) {
    let daemon = bench.daemon();
    for process in bench.everything().iter().filter(|process| Some(process.pid) != daemon) {
        signal(process.pid, Signal::KILL);
    }
    let started = std::time::Instant::now();
    while !world::rows(bench).await[0].ended_as("lost") {
        assert!(started.elapsed() < SETTLED_WITHIN, "never lost\n{}", bench.log());
        tokio::time::sleep(crate::bench::LOOK).await;
    }
}

/// Takes a session off the record, as going back to an older copy of the data directory does.
async fn forget(bench: &Bench, session: &str) {
    bench.kill_daemon().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(bench.path("data/ao.db"));
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("DELETE FROM sessions WHERE id = ?").bind(session).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    fs::remove_dir_all(bench.session_dir(session)).unwrap();
    bench.start().await.ok();
}

pub(crate) const SLEEP: &str = "exec sleep 600";
/// Works on a branch of its own, and says so when it has.
const GOES_ELSEWHERE: &str = "test -e committed || { git checkout --quiet -b own; echo work > committed; git add .; \
                              git commit --quiet --message=work; echo own > \"$HOME/gone-to\"; }; exec sleep 600";
/// A teardown.
const TORN: &str = "touch \"$HOME/torn\"";
/// One that when it runs first writes in the worktree without end, and takes that away when it is asked to end. It prints nothing: of what
/// nobody reads any more it would die.
const TEARS: &str = "test -e \"$HOME/tears\" && exit 0; exec 2> /dev/null; \
                     trap 'trap \"\" TERM; rm -f loose; exit' TERM; touch loose \"$HOME/tears\"; \
                     while :; do echo more >> loose; sleep 0.02; done";
/// Ends when it is told to.
const ENDS: &str = "while ! test -e \"$HOME/go\"; do sleep 0.02; done; exit 5";

/// Configures bash as an agent that is typed to.
fn configure_shell(bench: &Bench) {
    let (config, rc) = (bench.path("home/.config/ao/config.toml"), bench.path("home/rc"));
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&rc, "PS1='ready> '; unset HISTFILE\n").unwrap();
    let command = format!("['bash', '--noprofile', '--rcfile', '{}', '-i']", rc.display());
    let keys = format!("kind = 'command'\ncommand = {command}\nprompt = 'ready>'\nbracketed_paste = true\n");
    fs::write(config, format!("[agents.shell]\n{keys}")).unwrap();
}
