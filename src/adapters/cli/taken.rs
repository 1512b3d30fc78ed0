//! The terminal a command is called in, taken over as a whole and given back as it was, however that ends.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use rustix::termios::{self, OptionalActions, Termios};

use super::error::CliError;
use super::ui;

/// What a terminal that does not tell its size is taken for.
const USUAL_SIZE: Size = Size { rows: 24, cols: 80 };

/// How the terminal was before it was taken over; the process has one.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

struct Before {
    /// `None` where they cannot be told.
    modes: Option<Termios>,
    /// What undoes what was written to it.
    leave: &'static str,
}

/// The terminal on stdout, taken over until this is dropped.
pub(super) struct Taken;

impl Taken {
    /// Takes it over: changes its modes, and writes `enter`, which `leave` undoes.
    pub(super) fn take(enter: &str, leave: &'static str, change: impl FnOnce(&mut Termios)) -> Result<Self, CliError> {
        let modes = termios::tcgetattr(io::stdout()).ok();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Before { modes: modes.clone(), leave });
        let taken = Self;
        if let Some(mut modes) = modes {
            change(&mut modes);
            let _ = termios::tcsetattr(io::stdout(), OptionalActions::Drain, &modes);
        }
        ui::data(enter)?;
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back if it was taken over, once. Also for whoever handles a panic, before anything is said about it.
pub fn give_back() {
    let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let mut stdout = io::stdout().lock();
    // There is nobody left to tell when the terminal is gone.
    let _ = stdout.write_all(before.leave.as_bytes()).and_then(|()| stdout.flush());
    if let Some(modes) = before.modes {
        // What was typed meanwhile was not meant for the shell.
        let _ = termios::tcsetattr(&stdout, OptionalActions::Flush, &modes);
    }
}

/// A terminal's size in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) cols: usize,
}

/// The size of the terminal on stdout.
pub(super) fn size() -> Size {
    let size = termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    size.map_or(USUAL_SIZE, |size| Size { rows: size.ws_row.into(), cols: size.ws_col.into() })
}
