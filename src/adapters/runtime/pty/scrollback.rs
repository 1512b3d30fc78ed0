//! The raw output on disk. It may begin in the middle of an escape sequence.

use crate::platform::bounded_log::BoundedLog;

/// How much is kept on disk of each terminal when nothing else is asked for, in bytes.
pub const SCROLLBACK_BYTES: u64 = 4 * 1024 * 1024;

/// The scrollback in a terminal's directory, of which at most so much is kept.
pub(super) const fn scrollback(max_bytes: u64) -> BoundedLog {
    BoundedLog { name: "scrollback", max_bytes }
}
