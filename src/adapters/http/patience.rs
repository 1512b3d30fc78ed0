//! How long a slow client is borne. One that takes nothing of what it asked for is cut off, whatever it asked for: what is kept for it
//! is memory, and a daemon that stops would wait for it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a connection may take nothing while something waits for it. Then it is cut off.
    pub cut_off: Duration,
    /// The same once the daemon stops.
    pub cut_off_at_stop: Duration,
    /// How long a follower of events may be busy with what it was given. Then it is told so, and its stream ends.
    pub slow: Duration,
    /// How long a stream of events is silent at most.
    pub keep_alive: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            cut_off: Duration::from_secs(60),
            cut_off_at_stop: Duration::from_secs(1),
            slow: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
        }
    }
}

/// A connection that fails when its other end takes nothing for too long.
pub struct Impatient<I> {
    inner: I,
    peer: String,
    patience: Patience,
    stop: CancellationToken,
    /// Ends when patience does; there only while nothing is taken.
    stalled: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Waited for at the end, also when the connection has become a WebSocket: that one is to be told why it ends.
    _open: TaskTrackerToken,
}

impl<I> std::fmt::Debug for Impatient<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Impatient").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl<I> Impatient<I> {
    /// Bounds a connection, and more tightly once `stop` is cancelled.
    pub(super) fn new(
        inner: I,
        peer: String,
        patience: Patience,
        stop: CancellationToken,
        open: TaskTrackerToken,
    ) -> Self {
        Self { inner, peer, patience, stop, stalled: None, _open: open }
    }

    /// What a write came to, unless it goes on for too long.
    fn bound(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let (patience, stop) = (self.patience, &self.stop);
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(is_over(patience, stop.clone())));
        ready!(stalled.as_mut().poll(context));
        tracing::warn!(peer = self.peer, "a client that takes nothing of what it asked for is cut off");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end takes nothing")))
    }
}

async fn is_over(patience: Patience, stop: CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(patience.cut_off) => {}
        () = async {
            stop.cancelled().await;
            tokio::time::sleep(patience.cut_off_at_stop).await;
        } => {}
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Impatient<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Impatient<I> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.bound(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.bound(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_util::task::TaskTracker;

    use super::*;

    #[tokio::test]
    async fn patience_begins_anew_with_each_bit_that_is_taken() {
        let (inner, mut reader) = tokio::io::duplex(1);
        let patience = Patience { cut_off: Duration::from_secs(600), ..Patience::default() };
        let (stop, open) = (CancellationToken::new(), TaskTracker::new().token());
        let mut writer = Impatient::new(inner, String::new(), patience, stop, open);
        writer.write_u8(1).await.unwrap();
        assert!(writer.stalled.is_none());
        for _ in 0..3 {
            assert!(poll!(Box::pin(writer.write(&[1]))).is_pending());
            assert!(writer.stalled.is_some(), "nothing bounds it");
            reader.read_u8().await.unwrap();
            writer.write_u8(1).await.unwrap();
            assert!(writer.stalled.is_none(), "what was slow before counts");
        }
        writer.patience.cut_off = Duration::ZERO;
        let error = writer.write_u8(1).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
