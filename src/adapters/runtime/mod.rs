//! Where agents' terminals live. Each runtime is a folder; what they share is here.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`launch`] | what a terminal is to run and what became of it: the records in `<session_dir>/terminal/` |
//! | [`pty`] | the built-in runtime: a holder process per session |
//! | [`supervisor`] | the process between a multiplexer's pane and the agent, which writes these records |
//! | [`zellij`] | the `zellij` runtime |

use std::io;
use std::path::Path;

use crate::domain::exit::Exit;

pub mod launch;
pub mod pty;
pub mod supervisor;
pub mod zellij;

/// What runs in a multiplexer's pane (`ao supervise`): the launch on record in `session_dir`, to its end; before it what its
/// terminal needs to be ready, and after it what the multiplexer needs to keep its last screen and go.
///
/// # Errors
/// Those of [`supervisor::run`] and [`zellij::farewell`].
pub fn supervise(session_dir: &Path) -> io::Result<Exit> {
    let ran = supervisor::run(session_dir, async |spec| zellij::arrive(session_dir, spec).await);
    let left = zellij::farewell(session_dir);
    ran.and_then(|exit| left.map(|()| exit))
}
