//! Clauses about the end.

use std::time::Duration;

use super::bench::{Bench, runs};
use crate::domain::exit::Exit;
use crate::platform::process;
use crate::ports::runtime::{Liveness, RuntimeError};

/// A script that starts children of every kind, writes their numbers to `pids`, and goes on with `rest`.
fn with_children(rest: &str) -> String {
    let child = "echo $$ >> pids.part; exec sleep 600";
    format!(
        "sh -c '{child}' & setsid sh -c '{child}' & (setsid sh -c '{child}' &) ; (sh -c '{child}' &) ; \
         env -i PATH=\"$PATH\" sh -c '{child}' & (env -i PATH=\"$PATH\" sh -c 'trap \"\" HUP; {child}' &) ; \
         until test \"$(wc -l < pids.part 2> /dev/null)\" = 6; do sleep 0.02; done; mv pids.part pids; {rest}"
    )
}

async fn children(bench: &Bench) -> Vec<u32> {
    let written = String::from_utf8(bench.until_written("pids").await).unwrap();
    written.lines().map(|line| line.parse().unwrap()).collect()
}

/// How the agent ended is on record, whatever way it ended.
pub async fn exit_codes_and_signals_are_on_record(bench: Bench) {
    for (script, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 77", Exit::Code(77)),
        ("kill -KILL $$", Exit::Signal(9)),
        ("kill -TERM $$", Exit::Signal(15)),
    ] {
        let (key, _) = bench.run(script).await;
        assert_eq!(bench.until_dead(&key).await, exit, "{script}");
    }
    // An end that nobody asked for and that comes from outside.
    let (key, agent) = bench.run("read line").await;
    crate::platform::tree::send(agent, rustix::process::Signal::KILL).unwrap();
    assert_eq!(bench.until_dead(&key).await, Exit::Signal(9));
}

/// Background jobs do not work on after the agent's end: nobody would know of them.
pub async fn what_an_agent_left_running_ends_with_it(bench: Bench) {
    let (key, _) = bench.run(&with_children("exit 5")).await;
    let children = children(&bench).await;
    assert_eq!(bench.until_dead(&key).await, Exit::Code(5));
    for pid in children {
        assert!(!runs(pid), "process {pid} was left behind");
    }
}

/// Who waits for an end is told of it, whatever way it comes, by an adapter that did not make the terminal too; and is not told again and
/// again while the agent runs.
pub async fn an_end_is_told_without_being_asked_for(bench: Bench) {
    if !bench.tells_ends() {
        return;
    }
    for way in ["by itself", "killed", "stopped"] {
        let (key, agent) = bench.run("read line; exit 5").await;
        let runtime = bench.another_runtime();
        let told = async {
            let mut early = 0;
            loop {
                runtime.ended(&key).await;
                if let Liveness::Dead(exit) = bench.probe(&key).await {
                    return (exit, early);
                }
                early += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let end = async {
            // Long enough for who tells at random to be caught.
            tokio::time::sleep(Duration::from_millis(200)).await;
            match way {
                "by itself" => bench.runtime().input(&key, b"\r").await.unwrap(),
                "killed" => crate::platform::tree::send(agent, rustix::process::Signal::KILL).unwrap(),
                _ => drop(bench.runtime().stop(&key, Duration::ZERO).await.unwrap()),
            }
        };
        let both = async { tokio::join!(told, end).0 };
        let (exit, early) = tokio::time::timeout(Duration::from_secs(30), both).await.expect("the end is told");
        assert!(way != "by itself" || exit == Exit::Code(5), "{way}: {exit:?}");
        assert!(early < 3, "{way}: told {early} times before the end");
        // What has ended already is told at once.
        tokio::time::timeout(Duration::from_secs(30), runtime.ended(&key)).await.expect("told of an earlier end");
    }
}

/// An agent that ends in order when asked is given the time, and its own exit is what is reported.
pub async fn stop_asks_first(bench: Bench) {
    let script = "trap 'sleep 0.3; echo in order > farewell; exit 5' TERM; echo > ready; while :; do sleep 0.02; done";
    let (key, _) = bench.run(script).await;
    bench.until_written("ready").await;
    assert_eq!(bench.runtime().stop(&key, Duration::from_secs(20)).await.unwrap(), Some(Exit::Code(5)));
    assert_eq!(bench.until_written("farewell").await, b"in order\n");
    assert_eq!(bench.probe(&key).await, Liveness::Dead(Exit::Code(5)));
}

/// An agent that does not want to end is killed when its grace is over.
pub async fn stop_insists_after_the_grace(bench: Bench) {
    let (key, agent) = bench.run("trap '' TERM HUP INT; echo > ready; while :; do sleep 0.1; done").await;
    bench.until_written("ready").await;
    let stop = bench.runtime().stop(&key, Duration::from_millis(300));
    let exit = tokio::time::timeout(Duration::from_secs(15), stop).await.expect("stop is bounded").unwrap();
    assert_eq!(exit, Some(Exit::Signal(9)));
    assert!(!process::is_running(agent).unwrap());
}

/// What is not there is stopped.
pub async fn stop_is_idempotent(bench: Bench) {
    let grace = Duration::from_secs(5);
    assert_eq!(bench.runtime().stop(&bench.key(), grace).await.unwrap(), None, "never created");
    let (key, _) = bench.run("read line").await;
    assert!(bench.runtime().stop(&key, grace).await.unwrap().is_some());
    assert_eq!(bench.runtime().stop(&key, grace).await.unwrap(), None, "stopped before");
    let (key, _) = bench.run("exit 0").await;
    bench.until_dead(&key).await;
    assert_eq!(bench.runtime().stop(&key, grace).await.unwrap(), None, "ended by itself");
    assert_eq!(bench.probe(&key).await, Liveness::Dead(Exit::Code(0)), "stopping it again changed the record");
}

/// Children end with the agent: those in the background, those with a session of their own, those whose parent is gone.
pub async fn stop_ends_the_whole_tree(bench: Bench) {
    let (key, _) = bench.run(&with_children("trap '' TERM; while :; do sleep 0.1; done")).await;
    let children = children(&bench).await;
    assert!(children.iter().all(|pid| runs(*pid)), "the test itself is wrong");
    bench.runtime().stop(&key, Duration::from_millis(200)).await.unwrap();
    for pid in children {
        assert!(!runs(pid), "process {pid} was left behind");
    }
}

/// Terminals do not belong to the instance that made them.
pub async fn a_new_adapter_finds_and_stops_a_terminal(bench: Bench) {
    let (key, agent) = bench.run("echo hello; read line").await;
    bench.until_shown(&key, "hello").await;
    let other = bench.another_runtime();
    assert_eq!(other.probe(std::slice::from_ref(&key)).await[&key.session], Liveness::Alive(agent));
    assert!(other.screen(&key).await.unwrap().contains("hello"));
    assert!(other.stop(&key, Duration::from_secs(5)).await.unwrap().is_some());
    assert!(matches!(bench.probe(&key).await, Liveness::Dead(_)));
}

/// A terminal that was set aside is as if it had never been, and once put back as if it had never been away.
pub async fn what_was_set_aside_comes_back_or_is_forgotten(bench: Bench) {
    let runtime = bench.runtime();
    let (key, _) = bench.run("echo first words; exit 5").await;
    assert_eq!(bench.until_dead(&key).await, Exit::Code(5));
    runtime.put_back(&key).await.expect("nothing is set aside, and nothing changes");
    runtime.set_aside(&key).await.unwrap();
    bench.assert_nothing_left(&key).await;
    bench.create(&bench.script(&key, "echo second words; exit 6")).await;
    assert_eq!(bench.until_dead(&key).await, Exit::Code(6));
    for _ in 0..2 {
        // By whoever comes later, and as often as one likes.
        bench.another_runtime().put_back(&key).await.unwrap();
        assert_eq!(bench.probe(&key).await, Liveness::Dead(Exit::Code(5)));
        let output = runtime.output(&key, 100).await.unwrap();
        assert!(output.contains("first words") && !output.contains("second words"), "{output}");
    }
    runtime.set_aside(&key).await.unwrap();
    for _ in 0..2 {
        runtime.forget_aside(&key).await.unwrap();
    }
    runtime.put_back(&key).await.unwrap();
    bench.assert_nothing_left(&key).await;
    // That there was none is put back too.
    runtime.set_aside(&key).await.unwrap();
    bench.create(&bench.script(&key, "exit 6")).await;
    bench.until_dead(&key).await;
    runtime.put_back(&key).await.unwrap();
    bench.assert_nothing_left(&key).await;
}

/// Records of an agent that runs stay where they are: they are all that it is known by.
pub async fn what_runs_is_neither_set_aside_nor_replaced(bench: Bench) {
    let runtime = bench.runtime();
    let key = bench.key();
    runtime.set_aside(&key).await.unwrap();
    let agent = bench.create(&bench.script(&key, "read line")).await;
    assert!(matches!(runtime.set_aside(&key).await, Err(RuntimeError::Failed { .. })));
    assert!(matches!(runtime.put_back(&key).await, Err(RuntimeError::Failed { .. })));
    assert_eq!(bench.probe(&key).await, Liveness::Alive(agent));
}
