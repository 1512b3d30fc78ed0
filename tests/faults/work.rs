//! Work that agents do, and where it may be afterwards.

use std::process::{Command, Stdio};

use crate::bench::Bench;
use crate::world::Row;

/// Makes a commit and a file that is in none, unless it has.
pub(crate) const SCRIPT: &str =
    "test -e committed || { echo work > committed; git add .; git commit --quiet --message=work; echo work > loose; }";

/// Whether both are somewhere.
pub(crate) fn is_there(bench: &Bench, row: &Row) -> bool {
    ["committed", "loose"].iter().all(|file| holds(bench, row, file, "work\n"))
}

/// Whether a file is in the session's worktree, on its branch, or in what was saved of it.
pub(crate) fn holds(bench: &Bench, row: &Row, file: &str, content: &str) -> bool {
    if std::fs::read_to_string(row.workspace.join(file)).is_ok_and(|found| found == content) {
        return true;
    }
    let saved = format!("refs/ao/preserved/{}", row.id);
    let places = [format!("refs/heads/{}", row.branch), saved.clone(), format!("{saved}^2"), format!("{saved}^3")];
    places.iter().any(|place| in_commit(bench, place, file).as_deref() == Some(content))
}

/// A file as a commit has it; `None` when there is no such commit or file.
fn in_commit(bench: &Bench, commit: &str, file: &str) -> Option<String> {
    let mut git = Command::new("git");
    git.args(["show", &format!("{commit}:{file}")]).current_dir(bench.repo()).env_clear().envs(&bench.env);
    let shown = git.stderr(Stdio::null()).output().unwrap();
    shown.status.success().then(|| String::from_utf8_lossy(&shown.stdout).into_owned())
}
