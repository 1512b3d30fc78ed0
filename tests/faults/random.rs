//! Hundreds of actions at random. What an action is, is in `chaos`; what must hold, in `model` and `world`.
//!
//! `AO_FAULT_SEED` repeats a run: the same things are asked for in the same order. When a process dies between them is
//! up to the machine.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::chaos::Chaos;
use crate::deed::Deed;
use crate::findings::Findings;
use crate::messages::Tally;
use crate::tools::has_runtime;

/// How many sandboxes there are at once, and how many things happen in each.
const SANDBOXES: usize = 5;
const ACTIONS: usize = 112;

/// How one sandbox went.
struct Told {
    seed: u64,
    findings: Findings,
    counts: BTreeMap<Deed, usize>,
    deaths: usize,
    looks: usize,
    work: usize,
    tally: Tally,
    story: Vec<String>,
    log: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i02_i05_i07_hundreds_of_actions_at_random_lose_leak_and_double_nothing() {
    let started = Instant::now();
    let given = std::env::var("AO_FAULT_SEED").ok();
    let seed = given.map_or_else(
        || u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()),
        |seed| seed.parse().expect("AO_FAULT_SEED is a number"),
    );
    // Before anything happens, so that it is known whatever happens. Not `eprintln`, which the test harness keeps to
    // itself when a test passes.
    let _ = writeln!(std::io::stderr(), "random: AO_FAULT_SEED={seed}");
    let runs = (0..SANDBOXES).map(|number| tokio::spawn(run(seed.wrapping_add(number as u64))));
    let told: Vec<Told> = futures_util::future::join_all(runs).await.into_iter().map(Result::unwrap).collect();
    report(&told, started.elapsed());
    let failed: Vec<String> = told.iter().filter(|told| !told.findings.is_empty()).map(tell).collect();
    assert!(failed.is_empty(), "AO_FAULT_SEED={seed}\n{}", failed.concat());
    assert!(told.iter().flat_map(|told| told.counts.values()).sum::<usize>() >= 500, "too few actions");
}

async fn run(seed: u64) -> Told {
    let runtimes = ["pty", "pty", "zellij", "tmux"].into_iter().filter(|runtime| has_runtime(runtime)).collect();
    let mut chaos = Chaos::begin(seed, runtimes).await;
    let findings = chaos.go_on(ACTIONS).await;
    Told {
        seed,
        findings,
        counts: chaos.counts.clone(),
        deaths: chaos.deaths,
        looks: chaos.looks,
        work: chaos.pieces_of_work(),
        tally: chaos.tally().await,
        story: chaos.story.clone(),
        log: chaos.log(),
    }
}

fn tell(told: &Told) -> String {
    let Told { seed, findings, story, log, .. } = told;
    format!("sandbox with seed {seed}\n{findings}what was done\n{}\nthe daemons' log\n{log}\n", story.join("\n"))
}

fn report(told: &[Told], took: std::time::Duration) {
    let mut counts: BTreeMap<Deed, usize> = BTreeMap::new();
    for (deed, count) in told.iter().flat_map(|told| &told.counts) {
        *counts.entry(*deed).or_default() += count;
    }
    let sum = |what: fn(&Told) -> usize| told.iter().map(what).sum::<usize>();
    let _ = writeln!(
        std::io::stderr(),
        "random: {} actions {counts:?}, {} starts of a daemon that had died or stopped, {} pieces of work, {} looks; \
         messages: {} accepted, {} refused, {} on record of which nobody was told, {} acknowledged, {} repeated, {} hooks \
         killed; {} leaked, {} lost, {} duplicated, {} s",
        counts.values().sum::<usize>(),
        sum(|told| told.deaths),
        sum(|told| told.work),
        sum(|told| told.looks),
        sum(|told| told.tally.accepted),
        sum(|told| told.tally.refused),
        sum(|told| told.tally.unanswered),
        sum(|told| told.tally.acknowledged),
        sum(|told| told.tally.repeats),
        sum(|told| told.tally.hooks_killed),
        sum(|told| told.findings.leaked.len()),
        sum(|told| told.findings.lost.len()),
        sum(|told| told.findings.duplicated.len()),
        took.as_secs(),
    );
}
