//! How full the spool is, and making room in it.
//!
//! A hook runs at every tool call and must not look at every report that waits. So the file `.fill` is as many bytes long as the
//! spool takes blocks of the disk: a report appends one byte for each of its blocks, which is atomic, and the file's length is the
//! tally. What is taken out is not subtracted; whoever finds the tally above the bound looks at the directory, makes room when it
//! is needed, and sets the tally right. So one look in thousands of reports pays for all. An emptied spool has no tally.
//!
//! `.dropped` tells the daemon of the reports that had to go: a line with their number each time.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::platform::file;

/// What a file takes on most disks, and a bound for what managing it costs.
const BLOCK_BYTES: u64 = 4096;

const TALLY: &str = ".fill";
const DROPPED: &str = ".dropped";
/// The same out of the reach of those who drop reports, while it is added up.
const TAKEN: &str = ".dropped.taken";
/// Ends the name of a routine report, before its session.
const ROUTINE: &str = "routine-";

/// What tells a routine report's name from others: the reports of one session, the newest of which stays.
pub(super) fn routine_of(session: &str) -> String {
    format!("_{ROUTINE}{session}")
}

/// The session of a routine report, by its name; `None` for other reports.
fn session_of_routine(name: &str) -> Option<&str> {
    name.strip_suffix(".json")?.split_once(ROUTINE).map(|(_, session)| session)
}

fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES).max(1)
}

/// Counts a report that was just added, and makes room when the spool takes more than `most` bytes.
pub(super) fn count(directory: &Path, report_bytes: u64, most: u64) -> io::Result<()> {
    let mut tally = append_to(&directory.join(TALLY))?;
    let blocks = usize::try_from(blocks(report_bytes)).unwrap_or(usize::MAX);
    tally.write_all(&vec![b'.'; blocks])?;
    if tally.metadata()?.len() > most / BLOCK_BYTES {
        make_room(directory, &tally, most / BLOCK_BYTES)?;
    }
    Ok(())
}

/// Forgets the tally of a spool that is empty.
pub(super) fn forget(directory: &Path) {
    // A report that comes this very moment goes uncounted, which is no more than an inaccuracy.
    let _ = file::remove_if_there(&directory.join(TALLY));
}

/// Tells how many reports were dropped since that was last told, if any were. Who is killed in the middle leaves it to be told, or told again.
pub(super) fn tell_dropped(directory: &Path, mut tell: impl FnMut(u64)) {
    let taken = directory.join(TAKEN);
    // Before others are taken in its place: a daemon that was killed had not told of these.
    consume(&taken, &mut tell);
    if std::fs::rename(directory.join(DROPPED), &taken).is_ok() {
        consume(&taken, &mut tell);
    }
}

/// Tells the sum of the lines of a file that nobody writes any more, and removes it.
fn consume(path: &Path, tell: &mut impl FnMut(u64)) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let dropped = text.lines().filter_map(|line| line.parse::<u64>().ok()).sum();
    if dropped > 0 {
        tell(dropped);
    }
    let _ = file::remove_if_there(path);
}

/// Drops reports until a quarter of the bound is free, when the bound is really exceeded, and sets the tally right.
fn make_room(directory: &Path, tally: &File, most: u64) -> io::Result<()> {
    // One is enough; the others' reports are within what is made free.
    if tally.try_lock().is_err() {
        return Ok(());
    }
    let mut reports = Vec::new();
    for name in super::names(directory)? {
        // One that is gone was taken by the daemon.
        if let Ok(metadata) = directory.join(&name).symlink_metadata() {
            reports.push((name, blocks(metadata.len())));
        }
    }
    let mut fill: u64 = reports.iter().map(|(_, blocks)| blocks).sum();
    if fill > most {
        let mut dropped = 0;
        for (name, blocks) in in_order_of_going(&reports) {
            if fill <= most / 4 * 3 {
                break;
            }
            file::remove_if_there(&directory.join(name))?;
            fill -= blocks;
            dropped += 1;
        }
        writeln!(append_to(&directory.join(DROPPED))?, "{dropped}")?;
    }
    tally.set_len(fill)
}

/// Routine reports first, but for the newest of each session, then the others; the oldest first.
fn in_order_of_going(oldest_first: &[(String, u64)]) -> impl Iterator<Item = &(String, u64)> {
    let mut newest = HashMap::new();
    for (name, _) in oldest_first {
        if let Some(session) = session_of_routine(name) {
            newest.insert(session, name);
        }
    }
    let goes_first =
        move |name: &String| session_of_routine(name).is_some_and(|session| newest.get(session) != Some(&name));
    let (first, later): (Vec<_>, Vec<_>) = oldest_first.iter().partition(|(name, _)| goes_first(name));
    first.into_iter().chain(later)
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_dropped(directory: &Path) -> u64 {
        let mut dropped = 0;
        tell_dropped(directory, |more| dropped += more);
        dropped
    }

    #[test]
    fn what_was_dropped_is_on_the_disk_until_it_was_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(TAKEN), "3\n").unwrap();
        std::fs::write(dir.path().join(DROPPED), "4\n").unwrap();
        let mut told = Vec::new();
        tell_dropped(dir.path(), |dropped| {
            let left = std::fs::read_to_string(dir.path().join(TAKEN)).unwrap();
            told.push((dropped, left));
        });
        assert_eq!(told, [(3, "3\n".to_owned()), (4, "4\n".to_owned())]);
    }

    #[test]
    fn routine_goes_first_but_for_the_newest_of_each_session() {
        let names = [
            "1_0_7.json",
            "2_0_7_routine-app-1.json",
            "3_0_7_routine-app-2.json",
            "4_0_7.json",
            "5_0_7_routine-app-1.json",
            "6_0_7_routine-app-1.json",
        ];
        let reports: Vec<_> = names.iter().map(|name| ((*name).to_owned(), 1)).collect();
        let order: Vec<_> = in_order_of_going(&reports).map(|(name, _)| &name[..1]).collect();
        assert_eq!(order, ["2", "5", "1", "3", "4", "6"]);
    }

    #[test]
    fn a_tally_that_was_wrong_is_set_right_and_drops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("1.json"), vec![b' '; 9000]).unwrap();
        std::fs::write(dir.path().join(TALLY), vec![b'.'; 5000]).unwrap();
        count(dir.path(), 9000, 10 * BLOCK_BYTES).unwrap();
        assert_eq!(dir.path().join(TALLY).metadata().unwrap().len(), 3);
        assert!(dir.path().join("1.json").exists());
        assert_eq!(take_dropped(dir.path()), 0);
    }

    #[test]
    fn what_a_killed_daemon_had_taken_and_not_told_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for waiting in ["", "4\n"] {
            std::fs::write(dir.path().join(TAKEN), "2\n1\n").unwrap();
            if !waiting.is_empty() {
                std::fs::write(dir.path().join(DROPPED), waiting).unwrap();
            }
            assert_eq!(take_dropped(dir.path()), 3 + waiting.trim().parse().unwrap_or(0));
            assert_eq!(take_dropped(dir.path()), 0);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_was_dropped_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        for number in 1..=9 {
            std::fs::write(dir.path().join(format!("{number}.json")), "{}").unwrap();
        }
        count(dir.path(), 2, 8 * BLOCK_BYTES).unwrap();
        assert_eq!(super::super::names(dir.path()).unwrap().len(), 9, "nobody counted the others");
        std::fs::write(dir.path().join(TALLY), "999999999").unwrap();
        count(dir.path(), 2, 8 * BLOCK_BYTES).unwrap();
        let left = super::super::names(dir.path()).unwrap();
        assert_eq!(left, ["4.json", "5.json", "6.json", "7.json", "8.json", "9.json"]);
        assert_eq!((take_dropped(dir.path()), take_dropped(dir.path())), (3, 0));
    }
}
