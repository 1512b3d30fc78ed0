//! What must hold whatever was done, as far as the one who did it knows: work is somewhere, agents that nobody touched
//! live, what was said to be spawned is on record, what was said to be killed is over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::bench::Bench;
use crate::findings::Findings;
use crate::world::Row;

/// A file or a commit that somebody made in a session's worktree.
#[derive(Debug, Clone)]
struct Work {
    what: String,
    /// The object that git would keep it as.
    object: String,
    /// Where it lies while it is in no commit.
    file: Option<PathBuf>,
}

/// What is known to have been done.
#[derive(Debug, Default)]
pub(crate) struct Model {
    work: Vec<Work>,
    /// Agents that were seen live at the last look and that nothing was done to since: session and process.
    untouched: BTreeMap<String, u32>,
    /// Sessions that `ao spawn` named, and those it said were killed and nobody restored since.
    spawned: BTreeSet<String>,
    killed: BTreeSet<String>,
}

impl Model {
    pub(crate) fn wrote(&mut self, bench: &Bench, session: &str, file: PathBuf) {
        let object = git(bench, &["hash-object", file.to_str().unwrap()]).expect("git knows what it would call a file");
        self.work.push(Work { what: format!("{session}: {}", file.display()), object, file: Some(file) });
    }

    pub(crate) fn committed(&mut self, session: &str, commit: String) {
        self.work.push(Work { what: format!("{session}: commit {commit}"), object: commit, file: None });
    }

    pub(crate) fn spawned(&mut self, session: &str) {
        self.spawned.insert(session.to_owned());
    }

    pub(crate) fn killed(&mut self, session: &str) {
        self.killed.insert(session.to_owned());
    }

    /// Something was done to a session that may end or begin its agent.
    pub(crate) fn touched(&mut self, session: &str) {
        self.untouched.remove(session);
        self.killed.remove(session);
    }

    /// Something was done that may end any agent.
    pub(crate) fn touched_all(&mut self) {
        self.untouched.clear();
    }

    /// How much work was done.
    pub(crate) fn pieces(&self) -> usize {
        self.work.len()
    }

    /// Holds settled rows against what is known; what lives now is expected to go on living.
    pub(crate) fn check(&mut self, bench: &Bench, rows: &[Row], forever: impl Fn(&str) -> bool) -> Findings {
        let mut findings = Findings::default();
        let kept = git(bench, &["rev-list", "--objects", "--all"]).expect("git lists its objects");
        let kept: BTreeSet<&str> = kept.lines().filter_map(|line| line.split(' ').next()).collect();
        for work in &self.work {
            let lies_there = || {
                let file = work.file.as_ref().filter(|file| file.exists());
                file.and_then(|file| git(bench, &["hash-object", file.to_str()?])).as_deref() == Some(&work.object)
            };
            findings.expect(kept.contains(work.object.as_str()) || lies_there(), || work.what.clone());
        }
        for session in &self.spawned {
            findings.expect(rows.iter().any(|row| row.id == *session), || format!("{session}: its record"));
        }
        for row in rows.iter().filter(|row| self.killed.contains(&row.id) && !row.is_over()) {
            findings.leaked.push(format!("{}: it was killed, and is {}", row.id, row.phase));
        }
        for (session, pid) in &self.untouched {
            let lives = rows.iter().any(|row| row.id == *session && row.is_live() && row.pid == Some(*pid));
            findings.expect(lives, || format!("{session}: its agent {pid}, which nobody touched"));
        }
        let lasting = rows.iter().filter(|row| row.is_live() && forever(&row.id));
        self.untouched = lasting.filter_map(|row| Some((row.id.clone(), row.pid?))).collect();
        findings
    }
}

/// What git in the repository says; `None` when it fails.
pub(crate) fn git(bench: &Bench, args: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    git.args(args).current_dir(bench.repo()).env_clear().envs(&bench.env);
    let output = git.stderr(Stdio::null()).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
