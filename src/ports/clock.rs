//! What time is it?

use crate::domain::Timestamp;

/// The source of time. Handed in, so that tests and replays decide what "now" is.
///
/// Wall-clock time can step back. Whoever needs order uses the change log's sequence numbers, not times.
pub trait Clock: Send + Sync {
    /// The current time, in whole milliseconds: what the store keeps, so that a value read back equals the one written.
    fn now(&self) -> Timestamp;
}
