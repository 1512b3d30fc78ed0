//! The zellij commands ao runs, each bounded in time and with an environment that holds nothing of the user's own zellij.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::place::{Place, SOCKET_DIR_VARIABLE};
use crate::adapters::runtime::multiplexer::view::Client;
use crate::platform::child::{Output, Program};

/// How long a command to a session may take. They take about 10 ms; on a busy machine a start took 3 s.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A zellij program with the environment its commands and servers get.
#[derive(Debug, Clone)]
pub(super) struct Zellij {
    /// The program.
    pub(super) program: PathBuf,
    env: BTreeMap<String, String>,
    config_dir: PathBuf,
    /// Where temporary directories are made.
    temp_dir: PathBuf,
}

/// A private temporary directory, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(temp_dir: &Path) -> io::Result<Self> {
        let path = temp_dir.join(format!("ao-{}", uuid::Uuid::new_v4().simple()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is an empty log in a directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Zellij {
    /// `env` is the base environment; what would lead zellij to another session, configuration or cache is replaced.
    pub(super) fn new(program: PathBuf, env: &BTreeMap<String, String>, config_dir: &Path) -> Self {
        let temp_dir = env.get("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        Self { program, env: private_env(env, config_dir), config_dir: config_dir.to_owned(), temp_dir }
    }

    /// The environment of a command that talks to one session.
    fn env_for(&self, place: &Place) -> BTreeMap<String, String> {
        let mut env = self.env.clone();
        env.insert(SOCKET_DIR_VARIABLE.to_owned(), place.socket_dir.to_string_lossy().into_owned());
        env
    }

    /// What `--version` prints. Needs no directory to be there and leaves none: even for this zellij 0.45.1 makes its cache, and panics
    /// when it cannot write its log.
    pub(super) async fn version(&self) -> Result<String, String> {
        // One that is killed while it asks leaves its temporary directory. So a daemon, whose directory is there, makes none.
        let scratch = if self.config_dir.is_dir() {
            None
        } else {
            let made = Scratch::new(&self.temp_dir);
            Some(made.map_err(|error| format!("no temporary directory in {}: {error}", self.temp_dir.display()))?)
        };
        let directory = scratch.as_ref().map_or(&self.config_dir, |scratch| &scratch.0);
        succeed(Program::new(&self.program, private_env(&self.env, directory), TIMEOUT).arg("--version")).await
    }

    /// Starts a session in the background. Success says nothing about its pane.
    pub(super) async fn start(&self, place: &Place, layout: &Path) -> Result<(), String> {
        let args = ["attach", "--create-background", &place.name, "options", "--default-layout"];
        succeed(self.command(place).args(args).arg(layout)).await.map(drop)
    }

    /// What shows a session to a person.
    pub(super) fn client(&self, place: &Place) -> Client {
        let args = vec!["attach".into(), place.name.clone().into()];
        Client { program: self.program.clone(), args, env: self.env_for(place) }
    }

    fn command(&self, place: &Place) -> Program {
        // The server keeps this working directory, so it must be none that anybody wants to remove.
        Program::new(&self.program, self.env_for(place), TIMEOUT).cwd(&self.config_dir)
    }
}

async fn succeed(program: Program) -> Result<String, String> {
    let output: Output = program.run().await.map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("zellij failed ({}): {}", output.status, cause_in(&output.complaint())))
    }
}

/// The line of a complaint that says what is wrong: a panic begins with where it happened.
fn cause_in(complaint: &str) -> &str {
    let is_place = |line: &str| line.starts_with("thread '") && line.contains("panicked at");
    let mut lines = complaint.lines().map(str::trim).filter(|line| !line.is_empty() && !is_place(line));
    lines.next().unwrap_or("it said nothing")
}

fn private_env(env: &BTreeMap<String, String>, config_dir: &Path) -> BTreeMap<String, String> {
    let foreign = |name: &str| name.starts_with("ZELLIJ") || name.starts_with("TMUX");
    let mut private: BTreeMap<String, String> =
        env.iter().filter(|(name, _)| !foreign(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    let at = |path: &Path| path.to_string_lossy().into_owned();
    // zellij writes its log below TMPDIR and its caches below XDG_CACHE_HOME.
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "TMPDIR"] {
        private.insert(name.to_owned(), at(config_dir));
    }
    private.insert("ZELLIJ_CONFIG_DIR".to_owned(), at(config_dir));
    private.insert("ZELLIJ_CONFIG_FILE".to_owned(), at(&config_dir.join("config.kdl")));
    private.insert("SHELL".to_owned(), "/bin/sh".to_owned());
    private.insert("TERM".to_owned(), "xterm-256color".to_owned());
    private
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_users_own_multiplexer_reaches_a_command() {
        let user =
            [("ZELLIJ", "0"), ("ZELLIJ_SESSION_NAME", "mine"), ("TMUX", "/tmp/x"), ("HOME", "/home/u"), ("A", "1")];
        let user = user.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let zellij = Zellij::new("/z".into(), &user, Path::new("/c"));
        let env = zellij.env_for(&Place { name: "s-1".into(), socket_dir: "/r/h".into() });
        assert_eq!(env.get("ZELLIJ"), None);
        assert_eq!(env.get("ZELLIJ_SESSION_NAME"), None);
        assert_eq!(env.get("TMUX"), None);
        assert_eq!(env["HOME"], "/c");
        assert_eq!(env["ZELLIJ_SOCKET_DIR"], "/r/h");
        assert_eq!(env["ZELLIJ_CONFIG_FILE"], "/c/config.kdl");
        assert_eq!(env["A"], "1");
    }
}
