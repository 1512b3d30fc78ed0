//! The terminal, opened anew so that neither reading nor writing ever waits in the kernel: one that was stopped with Ctrl-S must not keep a
//! signal from being heard. Of the shell's own handle that could not be asked.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use tokio::io::unix::AsyncFd;

/// The terminal that this process is on.
pub(super) struct Tty(AsyncFd<OwnedFd>);

impl Tty {
    pub(super) fn open() -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let tty = rustix::fs::open("/dev/tty", flags, Mode::empty())?;
        #[allow(
            deprecated,
            reason = "sound for a handle that is owned here; what replaces it is for others, and unsafe"
        )]
        let tty = AsyncFd::new(tty)?;
        Ok(Self(tty))
    }

    /// Reads some of what was typed; 0 bytes when the terminal is gone.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            match ready.try_io(|tty| Ok(rustix::io::read(tty, &mut *buffer)?)) {
                Ok(read) => return read,
                Err(_would_wait) => {}
            }
        }
    }

    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.0.writable().await?;
            match ready.try_io(|tty| Ok(rustix::io::write(tty, bytes)?)) {
                Ok(written) => bytes = &bytes[written?..],
                Err(_would_wait) => {}
            }
        }
        Ok(())
    }
}
