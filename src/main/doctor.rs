//! `ao doctor`: the checks that need adapters, and those of directories and the socket. Needs no daemon, changes nothing.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ao::adapters::cli::client::{Client, ClientError};
use ao::adapters::cli::embedder;
use ao::adapters::cli::error::CliError;
use ao::adapters::http::wire::DaemonInfo;
use ao::adapters::messenger::rest;
use ao::app::doctor::{self, Check, Verdict};
use ao::platform::lock;
use rustix::fs::{Access, access};
use rustix::process::geteuid;

use crate::bounds;
use crate::compose::{self, MEGABYTE};
use crate::edge::Edge;

pub(crate) async fn examine(edge: &Edge) -> Result<Vec<Check>, CliError> {
    let surroundings = edge.surroundings();
    let workspace = surroundings.workspace();
    let runtimes = surroundings.runtimes();
    let agents = compose::agents(edge)?;
    let runtimes: Vec<_> = runtimes.iter().map(AsRef::as_ref).collect();
    let agents: Vec<_> = agents.iter().map(AsRef::as_ref).collect();
    let mut checks = doctor::examine(&workspace, &runtimes, &agents).await;
    checks.push(directory("data directory", edge.data_dir.root()));
    checks.push(storage(edge));
    checks.push(directory("socket directory", &edge.socket_dir()));
    checks.push(notification(rest::try_to_watch(), watchers(), most_watchers()));
    let running = Client::new(&edge.socket()).get::<DaemonInfo>("/daemon").await;
    let decided = running.as_ref().ok().and_then(|info| info.bounds.as_ref());
    checks.extend(bounds::checks(edge, decided).await);
    checks.push(daemon(edge, running));
    Ok(checks)
}

/// Whether a directory can be written to, or be made.
fn directory(name: &str, path: &Path) -> Check {
    let nearest = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
    let shown = path.display().to_string();
    if access(nearest, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let found = format!("{shown}: {} cannot be written to", nearest.display());
        let advice =
            Some(format!("check with: ls -ld {}; or choose another place with AO_DATA_DIR", nearest.display()));
        return Check { name: name.to_owned(), verdict: Verdict::Broken, found, advice };
    }
    Check::ok(name, if nearest == path { shown } else { format!("{shown} (will be made)") })
}

/// How much is kept of what the settings bound. Checkouts are not measured: there may be millions of files in them.
fn storage(edge: &Edge) -> Check {
    let data_dir = &edge.data_dir;
    let megabytes = |bytes: u64| format!("{}.{} MB", bytes / MEGABYTE, bytes % MEGABYTE * 10 / MEGABYTE);
    let mut wal = data_dir.db().into_os_string();
    wal.push("-wal");
    let database = bytes_of(&data_dir.db()) + bytes_of(Path::new(&wal));
    let sessions = std::fs::read_dir(data_dir.sessions()).map_or(0, Iterator::count);
    let found = format!(
        "database {}; files of {sessions} sessions {}; waiting hook reports {}",
        megabytes(database),
        megabytes(bytes_of(&data_dir.sessions())),
        megabytes(bytes_of(&data_dir.spool())),
    );
    Check::ok("storage", found)
}

/// The size of a file, or of all in a directory. A link counts as itself, and what cannot be read as nothing.
fn bytes_of(path: &Path) -> u64 {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => {
            std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| bytes_of(&entry.path())).sum()
        }
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    }
}

/// What can be watched: each idle agent is waited beside by a process that takes one of the handles which the kernel gives a user for that, and editors
/// take many.
fn notification(tried: io::Result<()>, used: usize, most: Option<usize>) -> Check {
    /// So many more should be left.
    const TO_SPARE: usize = 16;
    let of = most.map_or_else(String::new, |most| format!(" of {most}"));
    let in_use = format!("{used}{of} handles of this user (fs.inotify.max_user_instances)");
    let name = "file notification";
    let more = format!("allow more: sysctl fs.inotify.max_user_instances={}", most.unwrap_or(0).max(512) * 2);
    if let Err(error) = tried {
        return Check {
            name: name.to_owned(),
            verdict: Verdict::Absent,
            found: format!("{error}: {in_use}; an idle agent hears a message up to a minute late"),
            advice: Some(more),
        };
    }
    let is_short = most.is_some_and(|most| used + TO_SPARE > most);
    Check { advice: is_short.then_some(more), ..Check::ok(name, in_use) }
}

fn most_watchers() -> Option<usize> {
    std::fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").ok()?.trim().parse().ok()
}

/// How many of these handles this user's processes have open; those that several share count more than once.
fn watchers() -> usize {
    let is_ours = |entry: &std::fs::DirEntry| entry.metadata().is_ok_and(|of| of.uid() == geteuid().as_raw());
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter(is_ours);
    let open =
        processes.flat_map(|process| std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten());
    open.filter(|open| open.path().read_link().is_ok_and(|of| of.as_os_str() == "anon_inode:inotify")).count()
}

fn daemon(edge: &Edge, running: Result<DaemonInfo, ClientError>) -> Check {
    if let Some(error) = embedder::without_socket(&edge.data_dir, &edge.socket()) {
        let (name, verdict) = ("daemon".to_owned(), Verdict::Absent);
        return Check { name, verdict, found: error.message, advice: error.hint };
    }
    match running {
        Ok(info) => {
            if let Some(program) = info.program {
                return Check::ok(
                    "daemon",
                    format!("{program} (process {}) embeds ao {} here", info.pid, info.version),
                );
            }
            let mut check = Check::ok("daemon", format!("ao {} runs, pid {}", info.version, info.pid));
            if info.version != env!("CARGO_PKG_VERSION") {
                check.advice =
                    Some("it is another version than this ao: ao stop, then ao start; agents go on".to_owned());
            }
            check
        }
        Err(error) if lock::is_locked(&edge.data_dir.lock()) => Check {
            name: "daemon".to_owned(),
            verdict: Verdict::Broken,
            found: format!("one holds the data directory, and {error}"),
            advice: Some("unless it is only just starting: ao stop says what to do".to_owned()),
        },
        Err(error) => Check {
            name: "daemon".to_owned(),
            verdict: Verdict::Absent,
            found: error.to_string(),
            advice: Some("ao spawn starts one by itself; by hand: ao start".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_handles_are_told_before_and_when_there_are_none_left() {
        let verdicts =
            [(Ok(()), 3), (Ok(()), 120), (Err(io::Error::from_raw_os_error(24)), 128)].map(|(tried, used)| {
                let check = notification(tried, used, Some(128));
                (check.verdict, check.advice.is_some_and(|advice| advice.contains("max_user_instances=1024")))
            });
        assert_eq!(verdicts, [(Verdict::Ok, false), (Verdict::Ok, true), (Verdict::Absent, true)]);
    }

    #[test]
    fn what_is_watched_is_counted() {
        let watching = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC).unwrap();
        assert!(watchers() >= 1);
        drop(watching);
    }
}
