//! What the fuzz targets share.

pub mod mutate;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What reading may take, whatever is read, in bytes: what an error says, tables of a parser.
const BASE_BYTES: usize = 512 * 1024;

/// Reads an input, and panics when that took more memory at once than `times` its size and a base: a few bytes that claim to be many, or that
/// are read into much, would do more harm in a daemon than a panic.
pub fn in_bounded_memory<T>(input: &[u8], times: usize, read: impl FnOnce() -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let given = read();
    let used = MEMORY.peak_usage().saturating_sub(before);
    let most = input.len() * times + BASE_BYTES;
    assert!(used <= most, "{} bytes were read with {used} bytes of memory, more than {most}", input.len());
    given
}

/// What a future gives that has nothing to wait for, since all it reads is in memory.
pub fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(given) => given,
        Poll::Pending => panic!("it waits for what is there"),
    }
}

/// Whether a terminal would obey a part of this text.
pub fn has_controls(text: &str) -> bool {
    text.chars().any(char::is_control)
}
