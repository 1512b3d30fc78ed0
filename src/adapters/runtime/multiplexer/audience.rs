//! Those who sit at a session's terminal, whose sizes it is fitted to. Who only watches has a client too, and that one always has the size that
//! they leave it: so it takes no part, also where the multiplexer knows nothing of such viewers (zellij), or forgets it when they are
//! alone (tmux).

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::timeout;

use crate::ports::runtime::TerminalSize;

/// How long others may take to come or go.
const TURN: Duration = Duration::from_secs(3);

/// The audience of each session's terminal.
#[derive(Debug, Default)]
pub(super) struct Audiences(Mutex<HashMap<PathBuf, Arc<Audience>>>);

impl Audiences {
    /// That of the server whose directory this is.
    pub(super) fn of(&self, directory: &Path) -> Arc<Audience> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, audience| Arc::strong_count(audience) > 1);
        Arc::clone(all.entry(directory.to_owned()).or_default())
    }
}

/// Who sits at one terminal.
#[derive(Debug, Default)]
pub(super) struct Audience {
    seats: Mutex<Seats>,
    /// What all have room for; `None` while nobody sits there, when the terminal keeps its size.
    fits: watch::Sender<Option<TerminalSize>>,
    /// Who has it comes or goes.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Seats {
    given: u64,
    sizes: BTreeMap<u64, TerminalSize>,
}

impl Audience {
    /// Takes a seat, until that is dropped.
    pub(super) fn sit(self: &Arc<Self>, size: TerminalSize) -> Sitter {
        let mut seats = self.seats();
        seats.given += 1;
        let sitter = Sitter { audience: Arc::clone(self), seat: seats.given };
        drop(seats);
        sitter.resize(size);
        sitter
    }

    /// What all have room for, told whenever it changes; `None` while nobody sits there.
    pub(super) fn fits(&self) -> watch::Receiver<Option<TerminalSize>> {
        self.fits.subscribe()
    }

    /// The right to begin a client or to end one: zellij gives the number of one that is going to one that comes, and then sends that away.
    /// `None` where others take too long.
    pub(super) async fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        timeout(TURN, Arc::clone(&self.turn).lock_owned()).await.ok()
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, seats: &Seats) {
        let rows = seats.sizes.values().map(|size| size.rows).min();
        let cols = seats.sizes.values().map(|size| size.cols).min();
        self.fits.send_replace(rows.zip(cols).map(|(rows, cols)| TerminalSize { rows, cols }));
    }
}

/// One who sits there.
#[derive(Debug)]
pub(super) struct Sitter {
    audience: Arc<Audience>,
    seat: u64,
}

impl Sitter {
    /// Their terminal has this size.
    pub(super) fn resize(&self, size: TerminalSize) {
        let mut seats = self.audience.seats();
        seats.sizes.insert(self.seat, size);
        self.audience.tell(&seats);
    }
}

impl Drop for Sitter {
    fn drop(&mut self) {
        let mut seats = self.audience.seats();
        seats.sizes.remove(&self.seat);
        self.audience.tell(&seats);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(rows: u16, cols: u16) -> TerminalSize {
        TerminalSize { rows, cols }
    }

    #[test]
    fn it_fits_all_who_sit() {
        let audiences = Audiences::default();
        let audience = audiences.of(Path::new("/a"));
        let fits = audience.fits();
        let is = || *fits.borrow();
        assert_eq!(is(), None);
        let low = audiences.of(Path::new("/a")).sit(size(10, 90));
        let _elsewhere = audiences.of(Path::new("/b")).sit(size(1, 1));
        let narrow = audience.sit(size(40, 30));
        assert_eq!(is(), Some(size(10, 30)));
        low.resize(size(50, 90));
        assert_eq!(is(), Some(size(40, 30)));
        drop(narrow);
        assert_eq!(is(), Some(size(50, 90)));
        drop(low);
        assert_eq!(is(), None);
    }
}
