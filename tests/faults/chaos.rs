//! One sandbox in which things happen at random: what a person does, what agents do, and what dies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use ao::fault::Point;
use rustix::process::Signal;

use crate::bench::{Action, Bench, Process};
use crate::deed::Deed;
use crate::dice::Dice;
use crate::findings::Findings;
use crate::hooked;
use crate::messages::{Messages, Tally};
use crate::model::Model;
use crate::sandbox::{Run, signal};
use crate::world::{self, Row};

/// How many agents there may be at once; more stand in line.
const PLACES: usize = 5;
/// How often everything is looked at, in actions.
const LOOK_EVERY: usize = 12;

/// How long an agent is waited for to be told something, and to call a hook.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
const HOOK_WITHIN: Duration = Duration::from_secs(1);

/// A sandbox, what is known of it, and what was done.
pub(crate) struct Chaos {
    bench: Bench,
    dice: Dice,
    model: Model,
    messages: Messages,
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
        hooked::install(&bench);
        bench.start().await.ok();
        bench.ao(&["project", "add", "."]).await.ok();
        Self {
            bench,
            dice: Dice::new(seed),
            model: Model::default(),
            messages: Messages::default(),
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

    pub(crate) async fn tally(&self) -> Tally {
        self.messages.tally(&self.bench).await
    }

    pub(crate) fn log(&self) -> String {
        self.bench.log()
    }

    /// Does so many things; stops at the first look that finds something wrong.
    pub(crate) async fn go_on(&mut self, actions: usize) -> Findings {
        for number in 1..=actions {
            // What there is nothing for is not done: another thing is. A spawn always can be.
            while !self.act().await {}
            if number % LOOK_EVERY == 0 || number == actions {
                let findings = self.look().await;
                if !findings.is_empty() {
                    return findings;
                }
            }
        }
        self.end().await
    }

    /// Does something; whether there was something to do it to.
    async fn act(&mut self) -> bool {
        self.ensure_daemon().await;
        let deed = Deed::roll(&mut self.dice);
        let rows = world::rows(&self.bench).await;
        let is_done = match deed {
            Deed::Spawn => self.spawn().await,
            Deed::Kill | Deed::KillForce => self.kill(deed, &rows).await,
            Deed::Restore => self.restore(&rows).await,
            Deed::Cleanup => {
                let force: &[&str] = if self.dice.percent(50) { &["--force"] } else { &[] };
                self.ask_disturbed(&[&["cleanup"], force].concat(), Point::ALL).await;
                true
            }
            Deed::Send => self.send(&rows).await,
            Deed::Write | Deed::Commit => self.work(deed, &rows),
            Deed::KillDaemon => self.kill_daemon().await,
            Deed::StopDaemon => {
                self.tell("stop the daemon");
                self.bench.ao(&["stop"]).await;
                true
            }
            Deed::KillParent => self.kill_part("holder or supervisor", &self.parts(&["holder", "supervise"])),
            Deed::KillServer => self.kill_part("server", &self.parts(&["--server", "new-session"])),
            Deed::KillAgent => self.kill_part("agent", &self.agents()),
            Deed::KillHook => self.kill_hook().await,
        };
        *self.counts.entry(deed).or_default() += usize::from(is_done);
        is_done
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

    async fn kill_daemon(&mut self) -> bool {
        self.tell("kill the daemon");
        self.bench.kill_daemon().await;
        true
    }

    async fn kill(&mut self, deed: Deed, rows: &[Row]) -> bool {
        let Some(row) = self.dice.pick(rows) else { return false };
        self.model.touched(&row.id);
        let force: &[&str] = if deed == Deed::KillForce { &["--force"] } else { &[] };
        if self.ask_disturbed(&[&["kill", &row.id], force].concat(), Point::ALL).await.code == 0 {
            self.model.killed(&row.id);
        }
        true
    }

    async fn restore(&mut self, rows: &[Row]) -> bool {
        let over: Vec<&Row> = rows.iter().filter(|row| row.is_over()).collect();
        let Some(row) = self.dice.pick(&over) else { return false };
        self.model.touched(&row.id);
        self.ask_disturbed(&["restore", "--queue", "--no-wait", &row.id], Point::ALL).await;
        true
    }

    /// Asks for something; sometimes the daemon dies meanwhile, at one of these points of the code or at some moment.
    async fn ask_disturbed(&mut self, args: &[&str], points: &[Point]) -> Run {
        let run = if self.dice.percent(20) {
            let point = self.dice.pick(points).unwrap().name();
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

    async fn spawn(&mut self) -> bool {
        let runtime = *self.dice.pick(&self.runtimes).unwrap();
        let is_hooked = self.dice.percent(50);
        let seconds = if !is_hooked && self.dice.percent(25) { 1 + self.dice.below(4) } else { 600 };
        let wait = if self.dice.percent(30) { "ready" } else { "none" };
        let script = format!("sleep {seconds}; exit {}", self.dice.below(3));
        let options = ["--runtime", runtime, "--wait", wait, "--queue", "--no-start", "--json"];
        // What waits for a place would wait for long.
        let options = if wait == "ready" { [&options[..4], &options[5..]].concat() } else { options.to_vec() };
        let agent: &[&str] = if is_hooked {
            &["--agent", hooked::AGENT, "work"]
        } else {
            &["--agent", "command", "--", "sh", "-c", &script]
        };
        // A daemon that dies is waited for, and here it comes only after that.
        let run = self.ask_disturbed(&[&["spawn", "--timeout", "2s"], &options[..], agent].concat(), Point::ALL).await;
        let session: serde_json::Value = serde_json::from_str(&run.stdout).unwrap_or_default();
        if let Some(id) = session["id"].as_str() {
            self.model.spawned(id);
            if seconds == 600 {
                self.lasting.insert(id.to_owned());
            }
        }
        true
    }

    /// A message for an agent that takes them; sometimes for one that is over, which is refused.
    async fn send(&mut self, rows: &[Row]) -> bool {
        let wants_over = self.dice.percent(10);
        let candidates: Vec<&Row> =
            rows.iter().filter(|row| row.agent == hooked::AGENT && row.is_over() == wants_over).collect();
        let Some(session) = self.dice.pick(&candidates).map(|row| row.id.clone()) else { return false };
        let (text, before) = (self.messages.text(), hooked::heard(&self.bench, &session).len());
        let points: Vec<Point> =
            Point::ALL.iter().copied().filter(|point| point.name().starts_with("message.")).collect();
        let run = self.ask_disturbed(&["send", "--json", &session, &text], &points).await;
        self.messages.sent(&session, text, &run);
        if run.code == 0 && self.dice.percent(15) {
            // It may have to be restored before it is told.
            let is_told = || hooked::heard(&self.bench, &session).len() > before;
            self.bench.comes_true(TOLD_WITHIN, is_told).await;
            let mut agent = self.agents();
            agent.retain(|process| process.var("AO_SESSION_ID") == Some(&session));
            self.kill_part("agent that is told", &agent);
        }
        true
    }

    /// Work in the worktree of a session that nobody is taking away. (What is written between the look for work and the
    /// removal goes with the worktree.)
    fn work(&mut self, deed: Deed, rows: &[Row]) -> bool {
        let bench = &self.bench;
        let removing = |row: &Row| bench.repo().join(".git/worktrees").join(&row.id).join("ao-removing").exists();
        let is_whole = |row: &&Row| {
            let left = row.is_over() && (row.ended_as("exited") || row.ended_as("lost"));
            (row.is_live() && !row.kill_requested || left) && row.workspace.join(".git").exists() && !removing(row)
        };
        let candidates: Vec<&Row> = rows.iter().filter(is_whole).collect();
        let Some(row) = self.dice.pick(&candidates) else { return false };
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
        true
    }

    /// Kills something of a session's: whose it is shows in too many ways to be told for certain.
    fn kill_part(&mut self, what: &str, all: &[Process]) -> bool {
        let is_done = self.kill_one(what, all);
        if is_done {
            self.model.touched_all();
        }
        is_done
    }

    /// Kills a hook, which is there for a moment only. Its agent goes on.
    async fn kill_hook(&mut self) -> bool {
        self.bench.comes_true(HOOK_WITHIN, || !self.parts(&["hook"]).is_empty()).await;
        let hooks = self.parts(&["hook"]);
        self.kill_one("hook", &hooks)
    }

    fn kill_one(&mut self, what: &str, all: &[Process]) -> bool {
        let Some(process) = self.dice.pick(all).cloned() else { return false };
        self.tell(&format!("kill the {what}: {}", process.shown()));
        signal(process.pid, Signal::KILL);
        true
    }

    /// The processes that have one of these words as first or, a multiplexer's server, among their arguments.
    fn parts(&self, words: &[&str]) -> Vec<Process> {
        let mut all = self.bench.everything();
        all.retain(|process| process.args.iter().skip(1).any(|arg| words.contains(&arg.as_str())));
        all
    }

    /// The agents, without what they started.
    fn agents(&self) -> Vec<Process> {
        let mut all = self.bench.everything();
        all.retain(|process| process.var("AO_LAUNCH_ID").is_some());
        let pids: BTreeSet<u32> = all.iter().map(|process| process.pid).collect();
        all.retain(|process| !pids.contains(&process.parent));
        all
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
        findings.add(self.messages.check(&self.bench).await);
        findings
    }

    /// Ends everything, and looks once more: only commits and saved work are left, and every message was taken.
    async fn end(&mut self) -> Findings {
        self.model.touched_all();
        let mut findings = self.messages.until_told(&self.bench).await;
        self.kill_all().await;
        findings.add(self.look().await);
        let open: Vec<String> = self.messages.open(&self.bench).await.into_iter().collect();
        for sessions in open.chunks(PLACES) {
            findings.add(self.restore_to_be_told(sessions).await);
        }
        findings.add(self.look().await);
        for row in world::rows(&self.bench).await {
            findings.expect(row.is_over(), || format!("{} is not over", row.id));
            if row.workspace.exists() {
                findings.leaked.push(format!("{}: its worktree {} ({})", row.id, row.workspace.display(), row.notes));
            }
        }
        let open = self.messages.open(&self.bench).await;
        findings.expect(open.is_empty(), || format!("messages of {open:?}, whose agents were restored for them"));
        findings
    }

    async fn kill_all(&mut self) {
        for _ in 0..2 {
            for row in world::rows(&self.bench).await {
                let kill = self.bench.ao(&["kill", "--force", &row.id]).await;
                self.tell(&format!("kill --force {}: {} {}", row.id, kill.code, kill.stderr.trim()));
            }
        }
    }

    /// What an ended agent had not taken is the restored one's.
    async fn restore_to_be_told(&mut self, sessions: &[String]) -> Findings {
        let mut findings = Findings::default();
        for session in sessions {
            let run = self.bench.ao(&["restore", session]).await;
            self.tell(&format!("restore {session}: {} {}", run.code, run.stderr.trim()));
            findings.expect(run.code == 0, || format!("{session} is not restored for its messages: {run:?}"));
        }
        findings.add(self.messages.until_told(&self.bench).await);
        self.kill_all().await;
        findings
    }
}
