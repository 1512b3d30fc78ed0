//! Every point of every use case on every runtime: what dies there loses, leaks and doubles nothing.

use std::collections::BTreeSet;
use std::io::Write as _;

use ao::fault::Point;
use futures_util::StreamExt;

use crate::bench::Action;
use crate::case::{Case, survey};
use crate::findings::Findings;
use crate::scenario::Scenario;
use crate::tools::has_runtime;

const RUNTIMES: [&str; 3] = ["pty", "zellij", "tmux"];

/// How many sandboxes are at work at once: they mostly wait.
const AT_ONCE: usize = 10;

/// A case that takes longer is named.
const SLOW: std::time::Duration = std::time::Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i02_whatever_dies_at_any_point_loses_leaks_and_doubles_nothing() {
    let started = std::time::Instant::now();
    let only = std::env::var("AO_FAULT_CASES").unwrap_or_default();
    let runtimes: Vec<&'static str> = RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)).collect();
    let (mut cases, mut reached, mut failed) = (Vec::new(), BTreeSet::new(), Vec::new());
    let pairs = runtimes.iter().flat_map(|runtime| Scenario::ALL.map(|scenario| (*runtime, scenario)));
    let pairs = pairs.filter(|(runtime, scenario)| *runtime == "pty" || scenario.knows_its_runtime());
    let pairs = pairs.filter(|(runtime, scenario)| {
        let name = format!("{runtime} {scenario:?} ");
        name.contains(&only) || only.starts_with(&name)
    });
    let surveys = pairs.map(|(runtime, scenario)| async move {
        let surveyed = unless_it_panics(survey(runtime, scenario)).await;
        (runtime, scenario, surveyed.unwrap_or_else(|panic| (BTreeSet::new(), panic)))
    });
    let mut surveys = futures_util::stream::iter(surveys).buffer_unordered(AT_ONCE);
    while let Some((runtime, scenario, (points, findings))) = surveys.next().await {
        if !findings.is_empty() {
            failed.push((format!("{runtime} {scenario:?} undisturbed"), findings));
        }
        cases.extend(points.iter().flat_map(|point| cases_of(runtime, scenario, point)));
        reached.extend(points);
    }
    cases.retain(|case| case.to_string().contains(&only));
    cases.sort();
    let count = cases.len();
    let runs = cases.into_iter().map(|case| async move {
        let (name, begun) = (case.to_string(), std::time::Instant::now());
        let found = unless_it_panics(async move { case.run().await }).await.unwrap_or_else(|panic| panic);
        if begun.elapsed() > SLOW {
            let _ = writeln!(std::io::stderr(), "faults: {name} took {} s", begun.elapsed().as_secs());
        }
        (name, found)
    });
    let mut runs = futures_util::stream::iter(runs).buffer_unordered(AT_ONCE);
    while let Some((case, findings)) = runs.next().await {
        if !findings.is_empty() {
            let _ = writeln!(std::io::stderr(), "faults: {case}\n{findings}");
            failed.push((case, findings));
        }
    }
    report(count, reached.len(), &runtimes, &failed, started.elapsed());
    // A person's terminal is no use case of these: `tests/e2e/attach_keys.rs` has it.
    let names = Point::ALL.iter().map(|point| point.name()).filter(|name| !name.starts_with("attach."));
    let unreached: Vec<&str> = names.filter(|name| !reached.contains(*name)).collect();
    let told: Vec<String> = failed.iter().map(|(case, found)| format!("{case}\n{found}")).collect();
    assert!(told.is_empty(), "{}", told.concat());
    assert!(unreached.is_empty() || !only.is_empty(), "no use case passes {unreached:?}");
}

/// What is tried at a point that a use case passes: that the process dies there, and, once for the runtimes together, that
/// the step fails.
fn cases_of(runtime: &'static str, scenario: Scenario, point: &str) -> Vec<Case> {
    let case = |action| Case { runtime, scenario, point: point.to_owned(), action };
    let is_its_own = ["pty.", "multiplexer.", "zellij."].iter().any(|prefix| point.starts_with(prefix));
    // On the other runtimes worktrees come and go as on the first one.
    let is_elsewhere = runtime != "pty" && point.starts_with("workspace.");
    let dies = scenario.is_about(point) && (!is_elsewhere || matches!(scenario, Scenario::Spawn | Scenario::Kill));
    let fails = dies && scenario.is_asked_for() && (runtime == "pty" || is_its_own);
    [dies.then(|| case(Action::Kill)), fails.then(|| case(Action::Error))].into_iter().flatten().collect()
}

/// A panic is a finding too, and must not hide the others.
async fn unless_it_panics<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Findings> {
    tokio::spawn(work).await.map_err(|panic| Findings::lost(&panic.to_string()))
}

fn report(cases: usize, points: usize, runtimes: &[&str], failed: &[(String, Findings)], took: std::time::Duration) {
    let count = |what: fn(&Findings) -> usize| failed.iter().map(|(_, findings)| what(findings)).sum::<usize>();
    // Not `eprintln`, which the test harness keeps to itself when a test passes.
    let _ = writeln!(
        std::io::stderr(),
        "faults: {cases} cases ({} use cases, {points} points, {}): {} leaked, {} lost, {} duplicated, {} s",
        Scenario::ALL.len(),
        runtimes.join(", "),
        count(|findings| findings.leaked.len()),
        count(|findings| findings.lost.len()),
        count(|findings| findings.duplicated.len()),
        took.as_secs(),
    );
}
