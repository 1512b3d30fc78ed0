//! One fault in one use case, from a fresh sandbox to the last look.

use std::collections::BTreeSet;
use std::fmt;

use crate::bench::{Action, Bench, SETTLED_WITHIN};
use crate::findings::Findings;
use crate::sandbox::Run;
use crate::scenario::{SLEEP, Scenario};
use crate::world;

/// Where something happens, and what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    pub(crate) runtime: &'static str,
    pub(crate) scenario: Scenario,
    pub(crate) point: String,
    pub(crate) action: Action,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}:{}", self.runtime, self.scenario, self.point, self.action.as_str())
    }
}

/// The points that a use case passes when nothing happens to it, and what is wrong even so.
pub(crate) async fn survey(runtime: &'static str, scenario: Scenario) -> (BTreeSet<String>, Findings) {
    let bench = Bench::new(scenario.max_live_agents());
    scenario.prepare(&bench, runtime).await;
    let before = bench.passed().len();
    let agents = started_agents(&bench);
    scenario.operate(&bench, runtime).await;
    scenario.is_done(&bench).await;
    let (rows, mut findings) = world::settled(&bench).await;
    scenario.judge(&bench, &rows, &agents, &mut findings);
    let points = bench.passed().split_off(before).into_iter().collect();
    finish(&bench, runtime, &mut findings).await;
    (points, findings)
}

impl Case {
    /// Goes through it; gives what was found wrong.
    pub(crate) async fn run(&self) -> Findings {
        let bench = Bench::new(self.scenario.max_live_agents());
        self.scenario.prepare(&bench, self.runtime).await;
        bench.arm(&self.point, self.action);
        // Who asked waits for the next daemon.
        let ((), recovered) = tokio::join!(self.scenario.operate(&bench, self.runtime), self.recover(&bench));
        let mut findings = Findings::default();
        let Some((agents, start)) = recovered else {
            findings.lost.push(format!("the point was never reached\n{}", bench.log()));
            return findings;
        };
        findings.expect(start.code == 0, || format!("the daemon does not become ready: {start:?}"));
        let unfinished = world::rows(&bench).await.into_iter().filter(|row| row.kill_requested && !row.is_over());
        let unfinished: Vec<_> = unfinished.map(|row| row.id).collect();
        if self.action == Action::Kill && self.scenario.ends_by_the_start() {
            findings.expect(unfinished.is_empty(), || format!("ready, and not killed yet: {unfinished:?}"));
        }
        self.kill_what_was_said_to_be_left(&bench).await;
        self.scenario.repeat(&bench).await;
        let (rows, wrong) = world::settled(&bench).await;
        findings.add(wrong);
        self.scenario.judge(&bench, &rows, &agents, &mut findings);
        finish(&bench, self.runtime, &mut findings).await;
        if !findings.is_empty() {
            findings.lost.push(format!("the daemon's log\n{}", bench.log()));
        }
        findings
    }

    /// Waits until it has happened, and sees to it that a daemon runs: the one that does goes on, one that died is followed by
    /// another. Gives the agents that ran without a daemon, and how the start went; `None` when it never happens.
    async fn recover(&self, bench: &Bench) -> Option<(Vec<u32>, Run)> {
        if !bench.comes_true(SETTLED_WITHIN, || bench.fired().is_some()).await {
            return None;
        }
        let mut agents = Vec::new();
        if self.action == Action::Kill {
            bench.gone(bench.fired()?).await;
            if bench.daemon().is_none() {
                agents = started_agents(bench);
            }
        }
        Some((agents, bench.start().await))
    }

    /// A workspace that could not be removed is said to be left, and that a kill tries again: so it does.
    async fn kill_what_was_said_to_be_left(&self, bench: &Bench) {
        let is_left =
            |row: &&world::Row| row.notes.contains("could not be removed") || row.notes.contains("cannot be saved");
        for row in world::at_rest(bench).await.iter().filter(is_left) {
            let force: &[&str] = if self.scenario.saves_work() { &["--force"] } else { &[] };
            bench.ao(&[&["kill", row.id.as_str()], force].concat()).await.ok();
        }
    }
}

/// The agents that run and that their parents put on record. Only of those a later daemon can know.
fn started_agents(bench: &Bench) -> Vec<u32> {
    let marked = bench.everything().into_iter().filter(|process| process.var("AO_LAUNCH_ID").is_some());
    let is_recorded = |pid: &u32| {
        let record = std::fs::read_to_string(bench.session_dir("app-1").join("terminal/started.json"));
        record.is_ok_and(|record| {
            let record: serde_json::Value = serde_json::from_str(&record).unwrap_or_default();
            record["agent"]["pid"].as_u64() == Some(u64::from(*pid))
        })
    };
    marked.map(|process| process.pid).filter(is_recorded).collect()
}

/// Goes on as a person would: all can be killed, another can be spawned and killed, and then nothing is left.
async fn finish(bench: &Bench, runtime: &str, findings: &mut Findings) {
    kill_all(bench, findings).await;
    let again = bench.spawn(runtime, "ready", &["sh", "-c", SLEEP]).await;
    findings.expect(again.code == 0, || format!("another spawn fails: {again:?}"));
    kill_all(bench, findings).await;
    let (_, wrong) = world::settled(bench).await;
    findings.add(wrong);
    let running = bench.everything().iter().filter(|process| Some(process.pid) != bench.daemon()).count();
    findings.expect(running == 0, || format!("{running} processes are left: {:#?}", bench.everything()));
}

async fn kill_all(bench: &Bench, findings: &mut Findings) {
    for row in world::rows(bench).await.iter().filter(|row| !row.is_over() || row.workspace.exists()) {
        let kill = bench.ao(&["kill", &row.id]).await;
        findings.expect(kill.code == 0, || format!("a kill fails: {kill:?}"));
    }
    let rows = world::rows(bench).await;
    findings.expect(rows.iter().all(world::Row::is_over), || format!("not all are over: {rows:#?}"));
}
