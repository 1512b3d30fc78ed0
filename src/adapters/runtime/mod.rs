//! Where agents' terminals live. Each runtime is a folder; what they share is here.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`launch`] | what a terminal is to run and what became of it: the records in `<session_dir>/terminal/` |
//! | `multiplexer` | what the runtimes on a multiplexer share |
//! | [`pty`] | the built-in runtime: a holder process per session |
//! | [`supervisor`] | the process between a multiplexer's pane and the agent, which writes these records |
//! | [`tmux`] | the `tmux` runtime |
//! | [`zellij`] | the `zellij` runtime |

use std::io;
use std::path::Path;

use crate::domain::exit::Exit;
use crate::domain::session::ProcessIdentity;

pub mod launch;
mod multiplexer;
pub mod pty;
pub mod supervisor;
pub mod tmux;
pub mod zellij;

/// The most text of a terminal that is kept or sent, in bytes.
const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// What runs in a multiplexer's pane (`ao supervise`): the launch on record in `session_dir`, to its end; before it what its
/// terminal needs to be ready, and after it what the multiplexer needs to keep its last screen and go.
///
/// # Errors
/// Those of [`supervisor::run`], and when the last screen cannot be kept.
pub fn supervise(session_dir: &Path) -> io::Result<Exit> {
    let ran = supervisor::run(session_dir, async |spec| zellij::arrive(session_dir, spec).await);
    let left = farewell(session_dir);
    ran.and_then(|exit| left.map(|()| exit))
}

/// The agent that was started last in a session, as its terminal's records tell; `None` when none was seen to start.
///
/// # Errors
/// When the records cannot be read.
pub fn agent_in(session_dir: &Path) -> io::Result<Option<ProcessIdentity>> {
    Ok(launch::started(session_dir)?.map(|started| started.agent))
}

fn farewell(session_dir: &Path) -> io::Result<()> {
    if let Some(server) = zellij::shown_by(session_dir)? {
        return multiplexer::farewell(session_dir, &server);
    }
    match tmux::shown_by(session_dir)? {
        Some(server) => multiplexer::farewell(session_dir, &server),
        None => Ok(()),
    }
}

/// The end of a text, at most 1 MiB of it.
fn cut_to_last_bytes(text: &str) -> &str {
    let mut from = text.len().saturating_sub(MAX_TEXT_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_end_is_left_and_no_half_letter() {
        assert_eq!(cut_to_last_bytes("short"), "short");
        let text = format!("{}the end", "ä".repeat(MAX_TEXT_BYTES));
        let end = cut_to_last_bytes(&text);
        assert!(text.ends_with(end) && end.ends_with("äthe end"));
        assert_eq!(end.len(), MAX_TEXT_BYTES - 1);
    }
}
