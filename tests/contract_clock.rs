//! The system's clock keeps the contract of clocks, and tells the system's time.
#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use ao::adapters::clock::SystemClock;
use ao::ports::clock::Clock;

ao::clock_contract!(SystemClock);

#[test]
fn it_tells_the_time_that_files_get() {
    let modified = || tempfile::tempfile().unwrap().metadata().unwrap().modified().unwrap();
    let before = jiff::Timestamp::try_from(modified()).unwrap().as_millisecond();
    let now = SystemClock.now().as_millisecond();
    let after = jiff::Timestamp::try_from(modified()).unwrap().as_millisecond();
    // A file's time is that of the kernel's last tick, at most 10 ms ago.
    assert!((before..=after + 20).contains(&now), "{before} ≤ {now} ≤ {after}");
}
