//! What happens at fault points: the test that started this process says so in a directory, which it names in
//! `AO_FAULT_DIR`. Only with the feature `fault-points`.
//!
//! | File | Written by | Holds |
//! | --- | --- | --- |
//! | `armed` | the test | `POINT:ACTION[:N]`: what happens at the Nth passage (default 1) of a process; may come and go at any time |
//! | `fired` | whoever it happened to | the same, with the process's id before it; `armed` is gone then, so it happens once |
//! | `trace` | every process | `PID POINT` for each passage |
//! | `clock` | the test | milliseconds that are added to the time, also fewer than none |
//!
//! `kill` ends the process with `SIGKILL`, `stop` stops it until `fired` is taken away and it is sent `SIGCONT`, `error` makes the step
//! fail, `panic` panics.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ao::adapters::clock::SystemClock;
use ao::domain::Timestamp;
use ao::fault::{self, Point};
use ao::ports::clock::Clock;
use rustix::process::{Signal, getpid, kill_process};

const VARIABLE: &str = "AO_FAULT_DIR";

/// Makes points do what the environment says.
pub(crate) fn arm() {
    let Some(directory) = directory() else { return };
    let passages = Mutex::new(HashMap::new());
    fault::install(Box::new(move |point| {
        trace(&directory, point);
        let passage = {
            let mut passages = passages.lock().unwrap_or_else(PoisonError::into_inner);
            let count: &mut u64 = passages.entry(point).or_default();
            *count += 1;
            *count
        };
        pass(&directory, point, passage)
    }));
}

/// The system's time and what the test adds to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SteppingClock(Option<PathBuf>);

impl SteppingClock {
    pub(crate) fn from_environment() -> Self {
        Self(directory().map(|directory| directory.join("clock")))
    }
}

impl Clock for SteppingClock {
    fn now(&self) -> Timestamp {
        let now = SystemClock.now();
        let step = self.0.as_ref().and_then(|file| fs::read_to_string(file).ok());
        let step = step.and_then(|step| step.trim().parse::<i64>().ok()).unwrap_or(0);
        Timestamp::from_millisecond(now.as_millisecond() + step).unwrap_or(now)
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge, and of processes that read nothing else of the environment")]
fn directory() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|directory: &OsString| !directory.is_empty()).map(PathBuf::from)
}

/// One short write, so that lines of several processes do not mix.
fn trace(directory: &Path, point: Point) {
    let line = format!("{} {}\n", std::process::id(), point.name());
    if let Ok(mut trace) = fs::OpenOptions::new().create(true).append(true).open(directory.join("trace")) {
        let _ = trace.write_all(line.as_bytes());
    }
}

/// Does what is armed for this passage; true when the step is to fail.
fn pass(directory: &Path, point: Point, passage: u64) -> bool {
    let armed_file = directory.join("armed");
    let Ok(armed) = fs::read_to_string(&armed_file) else { return false };
    let mut parts = armed.trim().split(':');
    let (name, action) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let wanted = parts.next().and_then(|count| count.parse().ok()).unwrap_or(1);
    if name != point.name() || passage < wanted {
        return false;
    }
    // Whoever takes the file away is the one it happens to.
    let taken = directory.join(format!("taken.{}", std::process::id()));
    if fs::rename(&armed_file, &taken).is_err() {
        return false;
    }
    let _ = fs::write(&taken, format!("{} {armed}", std::process::id()));
    let _ = fs::rename(&taken, directory.join("fired"));
    match action {
        "kill" => end(Signal::KILL),
        "stop" => stop(directory),
        "error" => return true,
        "panic" => fail_badly(name),
        _ => {}
    }
    false
}

/// The signal stops other threads a moment later; this one goes nowhere meanwhile.
fn stop(directory: &Path) {
    let _ = kill_process(getpid(), Signal::STOP);
    while directory.join("fired").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[expect(clippy::panic, reason = "it is what is asked for")]
fn fail_badly(name: &str) {
    panic!("injected at {name}");
}

fn end(signal: Signal) {
    let _ = kill_process(getpid(), signal);
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}
