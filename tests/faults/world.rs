//! The world seen from outside, held against the record: processes by `/proc`, worktrees and branches by git, files by
//! reading directories, and the record by reading its database. Nothing here asks ao.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sqlx::{Connection, Row as _};

use crate::bench::{Bench, LOOK, Process, SETTLED_WITHIN};
use crate::findings::Findings;
use crate::model;

/// A session's row, as far as it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) agent: String,
    pub(crate) runtime: String,
    pub(crate) phase: String,
    pub(crate) step: Option<String>,
    pub(crate) end_reason: Option<String>,
    pub(crate) branch: String,
    pub(crate) base_commit: Option<String>,
    pub(crate) workspace: PathBuf,
    pub(crate) pid: Option<u32>,
    pub(crate) kill_requested: bool,
    pub(crate) notes: String,
    /// Whether work of it is saved.
    is_preserved: bool,
    /// Whether it waits in line.
    pub(crate) waits: bool,
}

impl Row {
    pub(crate) fn is_live(&self) -> bool {
        self.phase == "live"
    }

    pub(crate) fn is_over(&self) -> bool {
        self.phase == "terminated"
    }

    /// Nothing has to be done about it any more.
    fn is_settled(&self) -> bool {
        self.is_over() || self.is_live() && !self.kill_requested
    }

    fn has_place(&self) -> bool {
        !self.is_over() && !self.waits
    }

    pub(crate) fn ended_as(&self, reason: &str) -> bool {
        self.end_reason.as_deref() == Some(reason)
    }
}

/// The sessions on record.
pub(crate) async fn rows(bench: &Bench) -> Vec<Row> {
    let path = bench.path("data/ao.db");
    if !path.exists() {
        return Vec::new();
    }
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let found = sqlx::query("SELECT * FROM sessions ORDER BY number").fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    found
        .iter()
        .map(|row| Row {
            id: row.get("id"),
            agent: row.get("agent"),
            runtime: row.get("runtime"),
            phase: row.get("phase"),
            step: row.get("step"),
            end_reason: row.get("end_reason"),
            branch: row.get("branch"),
            base_commit: row.get("base_commit"),
            workspace: PathBuf::from(row.get::<String, _>("workspace")),
            pid: row.get::<Option<i64>, _>("pid").and_then(|pid| u32::try_from(pid).ok()),
            kill_requested: row.get::<Option<i64>, _>("kill_requested_at_ms").is_some(),
            notes: row.get("notes_json"),
            is_preserved: row.get::<Option<String>, _>("preserved_json").is_some(),
            waits: row.get::<Option<i64>, _>("queue_ticket").is_some(),
        })
        .collect()
}

/// Waits, within the bound, until nothing on record has to be done any more.
pub(crate) async fn at_rest(bench: &Bench) -> Vec<Row> {
    let started = Instant::now();
    loop {
        let rows = rows(bench).await;
        if rows.iter().all(|row| row.is_settled() || row.waits) || started.elapsed() > SETTLED_WITHIN {
            return rows;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until nothing has to be done any more and nothing is wrong; gives the record, and what stayed wrong.
pub(crate) async fn settled(bench: &Bench) -> (Vec<Row>, Findings) {
    let started = Instant::now();
    loop {
        let rows = rows(bench).await;
        let mut findings = Findings::default();
        let is_full = rows.iter().filter(|row| row.has_place()).count() >= bench.places;
        let is_right = |row: &Row| row.is_settled() || row.waits && !row.kill_requested && is_full;
        for row in rows.iter().filter(|row| !is_right(row)) {
            findings.lost.push(format!("{} is still {} ({:?})", row.id, row.phase, row.step));
        }
        if findings.is_empty() {
            findings = look(bench, &rows);
        }
        if findings.is_empty() || started.elapsed() > SETTLED_WITHIN {
            return (rows, findings);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Holds the world against settled rows.
pub(crate) fn look(bench: &Bench, rows: &[Row]) -> Findings {
    let mut findings = Findings::default();
    let everything = bench.everything();
    let worktrees = Worktrees::of(bench);
    let branches: BTreeSet<String> = bench.branches().into_iter().collect();
    let mut owned = BTreeSet::new();
    for row in rows {
        let of_session = Processes::of(bench, row, &everything);
        if row.is_live() {
            of_session.check_live(row, &mut findings);
            owned.extend(of_session.all());
        }
        check_workspace(bench, row, &worktrees, &branches, &mut findings);
        check_head(bench, row, &mut findings);
        let directory = bench.session_dir(&row.id);
        if row.ended_as("spawn_failed") {
            let left = fs::read_dir(&directory).into_iter().flatten().map(|entry| entry.unwrap().file_name());
            // What its setup printed is kept to be read.
            for name in left.filter(|name| !name.as_encoded_bytes().ends_with(b".log")) {
                findings.leaked.push(format!("{}: {} in a failed spawn's directory", row.id, name.display()));
            }
        }
        if row.is_settled() && directory.join("terminal.before").exists() {
            findings.leaked.push(format!("{}: what its last restore had set aside", row.id));
        }
        findings.expect(!row.is_live() || directory.exists(), || format!("{}: its directory", row.id));
    }
    for process in everything.iter().filter(|process| !owned.contains(&process.pid) && !is_passing(process)) {
        findings.leaked.push(process.shown());
    }
    check_strays(bench, rows, &worktrees, &branches, &mut findings);
    findings
}

/// The daemon, and who asks it something.
fn is_passing(process: &Process) -> bool {
    let is_ao = process.args.first().is_some_and(|program| program.ends_with("/ao"));
    is_ao && !["holder", "supervise"].iter().any(|part| process.args.get(1).is_some_and(|arg| arg == part))
        || process.args.first().is_some_and(|program| program == "git" || program.ends_with("/git"))
}

/// The processes of one session.
struct Processes<'a> {
    /// Those that bear the mark of a launch of it.
    marked: Vec<&'a Process>,
    /// Holders and supervisors.
    parents: Vec<&'a Process>,
    /// The multiplexer's.
    servers: Vec<&'a Process>,
}

impl<'a> Processes<'a> {
    fn of(bench: &Bench, row: &Row, everything: &'a [Process]) -> Self {
        let directory = bench.session_dir(&row.id).to_str().unwrap().to_owned();
        let ours = |process: &&Process| process.args.contains(&directory);
        let is_part = |process: &&Process| process.args.get(1).is_some_and(|arg| arg == "holder" || arg == "supervise");
        Self {
            marked: everything
                .iter()
                .filter(|p| p.var("AO_SESSION_ID") == Some(&row.id) && p.var("AO_LAUNCH_ID").is_some())
                .collect(),
            parents: everything.iter().filter(is_part).filter(ours).collect(),
            servers: everything.iter().filter(|p| is_server_of(bench, row, p)).collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = u32> {
        [&self.marked, &self.parents, &self.servers].into_iter().flatten().map(|process| process.pid)
    }

    fn check_live(&self, row: &Row, findings: &mut Findings) {
        let pids: BTreeSet<u32> = self.marked.iter().map(|process| process.pid).collect();
        let agents: Vec<&&Process> = self.marked.iter().filter(|process| !pids.contains(&process.parent)).collect();
        let launches: BTreeSet<_> = self.marked.iter().map(|process| process.var("AO_LAUNCH_ID")).collect();
        let servers = usize::from(row.runtime != "pty");
        for (what, count, expected) in [
            ("agents", agents.len(), 1),
            ("launches", launches.len(), 1),
            ("holders or supervisors", self.parents.len(), 1),
            ("terminal servers", self.servers.len(), servers),
        ] {
            let text = || format!("{}: {count} {what}", row.id);
            if count > expected {
                findings.duplicated.push(text());
            } else if count < expected {
                findings.lost.push(text());
            }
        }
        let recorded = row.pid.is_some_and(|pid| pids.contains(&pid));
        findings.expect(recorded, || format!("{}: its agent is on record as {:?}, not {pids:?}", row.id, row.pid));
    }
}

/// A multiplexer's server names its socket, which the session's record of it does too.
fn is_server_of(bench: &Bench, row: &Row, process: &Process) -> bool {
    let serves = process.args.iter().any(|arg| arg == "--server" || arg == "new-session");
    serves && server_record(bench, row).is_some_and(|socket| process.args.iter().any(|arg| Path::new(arg) == socket))
}

/// Where a multiplexer's server listens; `None` for other runtimes.
fn server_record(bench: &Bench, row: &Row) -> Option<PathBuf> {
    let record = bench.session_dir(&row.id).join(format!("terminal/{}.json", row.runtime));
    let record: serde_json::Value = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
    Some(PathBuf::from(record["socket"].as_str()?))
}

/// The worktrees as git lists them, and as their administrative directories are.
struct Worktrees {
    listed: Vec<(PathBuf, String)>,
    entries: BTreeSet<String>,
}

impl Worktrees {
    fn of(bench: &Bench) -> Self {
        let text = bench.git(&bench.repo(), &["worktree", "list", "--porcelain"]);
        let listed = text
            .split("\n\n")
            .filter_map(|one| Some((PathBuf::from(one.lines().next()?.strip_prefix("worktree ")?), one.to_owned())))
            .filter(|(path, _)| *path != bench.repo())
            .collect();
        Self { listed, entries: names(&bench.repo().join(".git/worktrees")) }
    }

    fn at(&self, path: &Path) -> Vec<&str> {
        self.listed.iter().filter(|(listed, _)| listed == path).map(|(_, text)| text.as_str()).collect()
    }
}

fn check_workspace(
    bench: &Bench,
    row: &Row,
    worktrees: &Worktrees,
    branches: &BTreeSet<String>,
    findings: &mut Findings,
) {
    let (there, listed) = (row.workspace.exists(), worktrees.at(&row.workspace));
    if listed.len() > 1 {
        findings.duplicated.push(format!("{}: {} worktrees", row.id, listed.len()));
    }
    findings.expect(there != listed.is_empty(), || {
        format!("{}: its worktree is {}, listed {}", row.id, if there { "there" } else { "not there" }, listed.len())
    });
    if let Some(text) = listed.first() {
        let is_whole = !text.lines().any(|line| line.starts_with("locked") || line.starts_with("prunable"));
        findings.expect(is_whole, || format!("{}: its worktree is half made: {text}", row.id));
    }
    let has_branch = branches.contains(&row.branch);
    if row.is_live() {
        findings.expect(there, || format!("{}: its worktree", row.id));
        findings.expect(has_branch, || format!("{}: its branch", row.id));
    } else if there && !row.waits {
        // What ended by itself waits for a kill; everything else must have a reason to be kept.
        let waits = row.ended_as("exited") || row.ended_as("lost");
        if !waits && bench.git(&row.workspace, &["status", "--porcelain"]).is_empty() {
            findings.leaked.push(format!("{}: the worktree {}", row.id, row.workspace.display()));
        }
    } else if has_branch && !there {
        let own = bench.git(&bench.repo(), &["rev-list", "--count", &row.branch, "--not", "main"]);
        if own == "0" {
            findings.leaked.push(format!("{}: the branch {}", row.id, row.branch));
        }
    }
}

/// A workspace that is there is on a branch that is there: the session's, or the one that its agent went to.
fn check_head(bench: &Bench, row: &Row, findings: &mut Findings) {
    if !row.workspace.exists() {
        return;
    }
    let head = |args: &[&str]| model::git(bench, &[&["-C", row.workspace.to_str().unwrap()], args].concat());
    let is_right = |name: &String| *name == row.branch || bench.gone_to().is_some_and(|other| *name == other);
    let on = head(&["symbolic-ref", "--short", "HEAD"]).filter(is_right);
    let is_there = on.is_some() && head(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).is_some();
    findings.expect(is_there, || {
        format!("{}: its worktree is on {:?}", row.id, fs::read_to_string(row.workspace.join(".git")))
    });
}

/// What belongs to no session on record.
fn check_strays(
    bench: &Bench,
    rows: &[Row],
    worktrees: &Worktrees,
    branches: &BTreeSet<String>,
    findings: &mut Findings,
) {
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    // The sign of the place stays where workspaces were made.
    let is_known = |name: &&String| ids.contains(name.as_str()) || *name == ".ao-place";
    for directory in ["data/worktrees/app", "data/sessions"] {
        for stray in names(&bench.path(directory)).iter().filter(|name| !is_known(name)) {
            findings.leaked.push(format!("{directory}/{stray}"));
        }
    }
    for stray in worktrees.entries.iter().filter(|name| !bench.path("data/worktrees/app").join(name).exists()) {
        findings.leaked.push(format!("the worktree entry {stray}"));
    }
    let gone_to = bench.gone_to();
    let others = ["main"].into_iter().chain(gone_to.as_deref());
    let owned: BTreeSet<&str> = rows.iter().map(|row| row.branch.as_str()).chain(others).collect();
    for stray in branches.iter().filter(|name| !owned.contains(name.as_str())) {
        findings.leaked.push(format!("the branch {stray}"));
    }
    check_references(bench, rows, findings);
    let sockets: BTreeSet<PathBuf> =
        rows.iter().filter(|row| row.is_live()).filter_map(|row| socket_of(bench, row)).collect();
    for name in names(&bench.path("data/run")) {
        let path = bench.path("data/run").join(&name);
        if name != "daemon.sock" && !sockets.contains(&path) {
            findings.leaked.push(format!("data/run/{name}"));
        }
    }
    for socket in sockets.iter().filter(|socket| !socket.exists()) {
        findings.lost.push(format!("the socket {}", socket.display()));
    }
    for lock in locks(&bench.repo().join(".git")) {
        findings.leaked.push(format!("git's lock {}", lock.display()));
    }
}

/// What ao keeps in the repository besides branches: saved work that is on record, and what a worktree was on that is gone.
fn check_references(bench: &Bench, rows: &[Row], findings: &mut Findings) {
    let references = bench.git(&bench.repo(), &["for-each-ref", "--format=%(refname)", "refs/ao"]);
    let saved = |row: &Row| format!("refs/ao/preserved/{}", row.id);
    let told: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| {
            // Held on until the workspace it was put back into is removed in turn.
            let is_held = row.is_preserved || row.workspace.exists();
            // Told only where a worktree was not on the session's own branch.
            let left = bench.gone_to().map(|_| format!("refs/ao/left/{}", row.id));
            [is_held.then(|| saved(row)), left].into_iter().flatten()
        })
        .collect();
    for stray in references.lines().filter(|name| !told.contains(*name)) {
        findings.leaked.push(format!("the reference {stray}"));
    }
    for row in rows.iter().filter(|row| row.is_preserved && !references.lines().any(|name| name == saved(row))) {
        findings.lost.push(format!("{}: the work that its record says is saved", row.id));
    }
}

/// What a live terminal has in the directory for sockets.
fn socket_of(bench: &Bench, row: &Row) -> Option<PathBuf> {
    let run = bench.path("data/run");
    if let Some(socket) = server_record(bench, row) {
        return Some(run.join(socket.strip_prefix(&run).ok()?.iter().next()?));
    }
    fs::read_to_string(bench.session_dir(&row.id).join("terminal/socket")).ok().map(PathBuf::from)
}

fn locks(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "objects" {
            found.extend(locks(&path));
        } else if path.extension().is_some_and(|extension| extension == "lock") {
            found.push(path);
        }
    }
    found
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
