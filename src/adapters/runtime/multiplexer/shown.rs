//! What a terminal shows, or showed last.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::is_supervised;
use super::server::Server;
use crate::adapters::runtime::cut_to_last_bytes;
use crate::adapters::runtime::launch::{self, LaunchSpec};
use crate::platform::file;
use crate::ports::runtime::{Liveness, TerminalKey};

/// How often a live terminal is asked for what it shows: a command of a person's own may have disturbed the first time.
const ATTEMPTS: u32 = 3;

/// How long to wait for what a terminal shows, also for the last words of one that is just ending, and how often to look.
const LAST_WORDS_BOUND: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// A part of what a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapters::runtime) enum Shown {
    /// What is on the screen.
    Screen,
    /// That and the scrollback.
    Everything,
}

impl Shown {
    fn file(self, session_dir: &Path) -> PathBuf {
        launch::directory(session_dir).join(match self {
            Self::Screen => "screen.txt",
            Self::Everything => "output.txt",
        })
    }

    /// Keeps it after the terminal's end.
    pub(super) fn keep(self, session_dir: &Path, text: &str) -> io::Result<()> {
        file::write_atomically(&self.file(session_dir), cut_to_last_bytes(text).as_bytes(), 0o600)
    }

    /// Reads what was kept; `None` when nothing was.
    pub(super) fn kept(self, session_dir: &Path) -> io::Result<Option<String>> {
        let kept = file::read_if_there(&self.file(session_dir))?;
        Ok(kept.map(|text| String::from_utf8_lossy(&text).into_owned()))
    }
}

/// What the terminal shows, or showed last; empty when its server ended before that could be kept. `None` when there is and
/// was none.
pub(super) async fn find(server: &impl Server, key: &TerminalKey, shown: Shown) -> Result<Option<String>, String> {
    let kept = || shown.kept(&key.session_dir).map_err(|error| error.to_string());
    if LaunchSpec::read(&key.session_dir).map_err(|error| error.to_string())?.is_none() {
        return Ok(None);
    }
    let mut attempts = 0;
    let look = async {
        loop {
            attempts += 1;
            if let Some(kept) = kept()? {
                return Ok(kept);
            }
            match (server.show(shown).await, launch::probe(&key.session_dir)) {
                (Ok(text), _) => return Ok(text),
                (Err(cause), Liveness::Alive(_)) if attempts >= ATTEMPTS => return Err(cause),
                (Err(_), Liveness::Alive(_)) => tokio::time::sleep(POLL).await,
                // Its server was killed, so nothing was kept; or the supervisor is about to keep it.
                (Err(_), _) if !is_supervised(key) => return Ok(kept()?.unwrap_or_default()),
                (Err(_), _) => tokio::time::sleep(POLL).await,
            }
        }
    };
    let late = |_elapsed| Err(format!("no answer within {} s", LAST_WORDS_BOUND.as_secs()));
    tokio::time::timeout(LAST_WORDS_BOUND, look).await.unwrap_or_else(late).map(Some)
}

/// `text` without white space at its lines' ends and without empty lines at its end; its last `lines` lines, if given.
pub(super) fn trimmed(text: &str, lines: Option<usize>) -> String {
    let all: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    let from = lines.map_or(0, |lines| all.len().saturating_sub(lines));
    all[from..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_terminal_loses_its_blanks_and_all_but_the_last_lines() {
        assert_eq!(trimmed("a  \n\n  b \n\n \n", None), "a\n\n  b");
        assert_eq!(trimmed("a\nb\nc\n", Some(2)), "b\nc");
        assert_eq!(trimmed("", Some(2)), "");
    }
}
