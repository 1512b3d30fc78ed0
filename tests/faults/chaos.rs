//! One sandbox in which things happen at random: what a person does, what agents do, and what dies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use ao::fault::Point;
use rustix::process::Signal;

use crate::bench::{Action, Bench, Process};
use crate::dice::Dice;
use crate::findings::Findings;
use crate::model::Model;
use crate::sandbox::{Run, signal};
use crate::world::{self, Row};

/// How many agents there may be at once; more stand in line.
const PLACES: usize = 5;
/// How often everything is looked at, in actions.
const LOOK_EVERY: usize = 12;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Spawn,
    Kill,
    KillForce,
    Restore,
    Cleanup,
    Write,
    Commit,
    KillDaemon,
    StopDaemon,
    KillParent,
    KillServer,
    KillAgent,
}

/// How often each is done, of all.
const DEEDS: [(Deed, usize); 12] = [
    (Deed::Spawn, 24),
    (Deed::Kill, 10),
    (Deed::KillForce, 8),
    (Deed::Restore, 12),
    (Deed::Cleanup, 4),
    (Deed::Write, 12),
    (Deed::Commit, 6),
    (Deed::KillDaemon, 8),
    (Deed::StopDaemon, 4),
    (Deed::KillParent, 4),
    (Deed::KillServer, 4),
    (Deed::KillAgent, 4),
];

/// A sandbox, what is known of it, and what was done.
pub(crate) struct Chaos {
    bench: Bench,
    dice: Dice,
    model: Model,
    runtimes: Vec<&'static str>,
    /// Sessions whose agent does not end by itself.
    lasting: BTreeSet<String>,
    /// What was asked for and cut off, and is to be asked for again.
    cut_off: Vec<Vec<String>>,
    pub(crate) story: Vec<String>,
    pub(crate) counts: BTreeMap<Deed, usize>,
    pub(crate) deaths: usize,
    pub(crate) looks: usize,
}

impl Chaos {
    pub(crate) async fn begin(seed: u64, runtimes: Vec<&'static str>) -> Self {
        let bench = Bench::new(PLACES);
        bench.start().await.ok();
        bench.ao(&["project", "add", "."]).await.ok();
        Self {
            bench,
            dice: Dice::new(seed),
            model: Model::default(),
            runtimes,
            lasting: BTreeSet::new(),
            cut_off: Vec::new(),
            story: Vec::new(),
            counts: BTreeMap::new(),
            deaths: 0,
            looks: 0,
        }
    }

    pub(crate) fn pieces_of_work(&self) -> usize {
        self.model.pieces()
    }

    pub(crate) fn log(&self) -> String {
        self.bench.log()
    }

    /// Does so many things; stops at the first look that finds something wrong.
    pub(crate) async fn go_on(&mut self, actions: usize) -> Findings {
        for number in 1..=actions {
            self.act().await;
            if number % LOOK_EVERY == 0 || number == actions {
                let findings = self.look().await;
                if !findings.is_empty() {
                    return findings;
                }
            }
        }
        self.end().await
    }

    fn deed(&mut self) -> Deed {
        let mut roll = self.dice.below(DEEDS.iter().map(|(_, weight)| weight).sum());
        for (deed, weight) in DEEDS {
            if roll < weight {
                return deed;
            }
            roll -= weight;
        }
        Deed::Spawn
    }

    async fn act(&mut self) {
        self.ensure_daemon().await;
        let deed = self.deed();
        *self.counts.entry(deed).or_default() += 1;
        let rows = world::rows(&self.bench).await;
        match deed {
            Deed::Spawn => self.spawn().await,
            Deed::Kill | Deed::KillForce => {
                let Some(row) = self.dice.pick(&rows).cloned() else { return };
                self.model.touched(&row.id);
                let force: &[&str] = if deed == Deed::KillForce { &["--force"] } else { &[] };
                if self.ask_disturbed(&[&["kill", &row.id], force].concat()).await.code == 0 {
                    self.model.killed(&row.id);
                }
            }
            Deed::Restore => {
                let over: Vec<&Row> = rows.iter().filter(|row| row.is_over()).collect();
                let Some(row) = self.dice.pick(&over) else { return };
                self.model.touched(&row.id);
                self.ask_disturbed(&["restore", "--queue", "--no-wait", &row.id]).await;
            }
            Deed::Cleanup => {
                let force: &[&str] = if self.dice.percent(50) { &["--force"] } else { &[] };
                self.ask_disturbed(&[&["cleanup"], force].concat()).await;
            }
            Deed::Write | Deed::Commit => self.work(deed, &rows),
            Deed::KillDaemon => self.kill_daemon().await,
            Deed::StopDaemon => {
                self.tell("stop the daemon");
                self.bench.ao(&["stop"]).await;
            }
            Deed::KillParent => self.kill_one("holder or supervisor", |p| is_part(p, &["holder", "supervise"])),
            Deed::KillServer => self.kill_one("server", |p| is_part(p, &["--server", "new-session"])),
            Deed::KillAgent => self.kill_one("agent", |p| p.var("AO_LAUNCH_ID").is_some()),
        }
    }

    fn tell(&mut self, what: &str) {
        self.story.push(what.to_owned());
    }

    async fn ensure_daemon(&mut self) {
        if self.bench.daemon().is_none() {
            self.deaths += 1;
            self.bench.disarm();
            let started = self.bench.start().await;
            assert_eq!(started.code, 0, "the daemon does not become ready: {started:#?}\n{}", self.bench.log());
        }
    }

    async fn kill_daemon(&mut self) {
        self.tell("kill the daemon");
        self.bench.kill_daemon().await;
    }

    /// Asks for something; sometimes the daemon dies meanwhile, at some point of the code or at some moment.
    async fn ask_disturbed(&mut self, args: &[&str]) -> Run {
        let run = if self.dice.percent(20) {
            let point = self.dice.pick(Point::ALL).unwrap().name();
            self.tell(&format!("{args:?}, killed at {point}"));
            // What dies may also be a holder, whoever's.
            self.model.touched_all();
            self.bench.arm(point, Action::Kill);
            self.bench.ao(args).await
        } else if self.dice.percent(15) {
            let pause = Duration::from_millis(u64::try_from(self.dice.below(150)).unwrap());
            self.tell(&format!("{args:?}, the daemon killed after {pause:?}"));
            let disturb = async {
                tokio::time::sleep(pause).await;
                self.bench.kill_daemon().await;
            };
            tokio::join!(self.bench.ao(args), disturb).0
        } else {
            self.tell(&format!("{args:?}"));
            self.bench.ao(args).await
        };
        self.tell(&format!("  {} {}", run.code, run.stderr.trim()));
        if run.code != 0 && matches!(args[0], "kill" | "cleanup") {
            self.cut_off.push(args.iter().map(|arg| (*arg).to_owned()).collect());
        }
        run
    }

    async fn spawn(&mut self) {
        let runtime = *self.dice.pick(&self.runtimes).unwrap();
        let seconds = if self.dice.percent(25) { 1 + self.dice.below(4) } else { 600 };
        let wait = if self.dice.percent(30) { "ready" } else { "none" };
        let script = format!("sleep {seconds}; exit {}", self.dice.below(3));
        let options = ["--runtime", runtime, "--wait", wait, "--queue", "--no-start", "--json"];
        // What waits for a place would wait for long.
        let options = if wait == "ready" { [&options[..4], &options[5..]].concat() } else { options.to_vec() };
        // A daemon that dies is waited for, and here it comes only after that.
        let args =
            [&["spawn", "--agent", "command", "--timeout", "2s"], &options[..], &["--", "sh", "-c", &script]].concat();
        let run = self.ask_disturbed(&args).await;
        let session: serde_json::Value = serde_json::from_str(&run.stdout).unwrap_or_default();
        if let Some(id) = session["id"].as_str() {
            self.model.spawned(id);
            if seconds == 600 {
                self.lasting.insert(id.to_owned());
            }
        }
    }

    /// Work in the worktree of a session that nobody is taking away. (What is written between the look for work and the
    /// removal goes with the worktree.)
    fn work(&mut self, deed: Deed, rows: &[Row]) {
        let bench = &self.bench;
        let removing = |row: &Row| bench.repo().join(".git/worktrees").join(&row.id).join("ao-removing").exists();
        let is_whole = |row: &&Row| {
            let left = row.is_over() && (row.ended_as("exited") || row.ended_as("lost"));
            (row.is_live() && !row.kill_requested || left) && row.workspace.join(".git").exists() && !removing(row)
        };
        let candidates: Vec<&Row> = rows.iter().filter(is_whole).collect();
        let Some(row) = self.dice.pick(&candidates) else { return };
        // An agent that ends just now is no danger: nothing of its worktree goes.
        let name = format!("work-{}", self.model.pieces());
        let file = row.workspace.join(&name);
        fs::write(&file, format!("{name} of {}\n", row.id)).unwrap();
        self.story.push(format!("{deed:?} {}", file.display()));
        if deed == Deed::Commit {
            self.bench.git(&row.workspace, &["add", "--", &name]);
            self.bench.git(&row.workspace, &["commit", "--quiet", "--message=work", "--", &name]);
            let commit = self.bench.git(&row.workspace, &["rev-parse", "HEAD"]);
            self.model.committed(&row.id, commit);
        } else {
            self.model.wrote(&self.bench, &row.id, file);
        }
    }

    fn kill_one(&mut self, what: &str, is_one: impl Fn(&Process) -> bool) {
        let all: Vec<Process> = self.bench.everything().into_iter().filter(is_one).collect();
        let Some(process) = self.dice.pick(&all).cloned() else { return };
        self.tell(&format!("kill the {what}: {}", process.shown()));
        // Whose it is shows in too many ways to be told for certain.
        self.model.touched_all();
        signal(process.pid, Signal::KILL);
    }

    /// Waits until everything is settled, and holds it against the record and the model.
    async fn look(&mut self) -> Findings {
        self.looks += 1;
        self.ensure_daemon().await;
        self.bench.disarm();
        world::at_rest(&self.bench).await;
        self.ensure_daemon().await;
        for args in std::mem::take(&mut self.cut_off) {
            // On what is not over any more, it is not asked for again.
            let is_over = |row: &Row| row.is_over();
            let row = world::rows(&self.bench).await.into_iter().find(|row| args.contains(&row.id));
            if row.as_ref().is_none_or(is_over) {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                let again = self.bench.ao(&args).await;
                self.tell(&format!("again {args:?}: {} {}", again.code, again.stderr.trim()));
            }
        }
        let (rows, mut findings) = world::settled(&self.bench).await;
        let lasting = &self.lasting;
        findings.add(self.model.check(&self.bench, &rows, |id| lasting.contains(id)));
        findings
    }

    /// Ends everything, and looks once more: only commits and saved work are left.
    async fn end(&mut self) -> Findings {
        self.model.touched_all();
        for _ in 0..2 {
            for row in world::rows(&self.bench).await {
                let kill = self.bench.ao(&["kill", "--force", &row.id]).await;
                self.tell(&format!("kill --force {}: {} {}", row.id, kill.code, kill.stderr.trim()));
            }
        }
        let mut findings = self.look().await;
        for row in world::rows(&self.bench).await {
            findings.expect(row.is_over(), || format!("{} is not over", row.id));
            if row.workspace.exists() {
                findings.leaked.push(format!("{}: its worktree {} ({})", row.id, row.workspace.display(), row.notes));
            }
        }
        findings
    }
}

/// Whether one of these words is the first or, for a multiplexer's server, among its arguments.
fn is_part(process: &Process, words: &[&str]) -> bool {
    process.args.iter().skip(1).any(|arg| words.contains(&arg.as_str()))
}
