//! Events: the change log as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::stream::try_unfold;

use crate::app::AppError;
use crate::app::events::Events;
use crate::domain::change::Change;

/// What happened, in order and without gaps. A slow reader holds nobody up: nothing is queued for it, the log keeps what comes next.
///
/// Ends when the orchestrator is shut down, and after an error: `changes_gone` when the log overtook its reader, or the store's failure.
/// Begin anew with its [`position`](Self::position).
pub struct EventStream {
    changes: Pin<Box<dyn Stream<Item = Result<Arc<Change>, AppError>> + Send>>,
    position: Arc<AtomicU64>,
}

impl EventStream {
    pub(super) fn of(events: Events) -> Self {
        let position = events.passed();
        let passed = position.clone();
        let unread: VecDeque<Arc<Change>> = VecDeque::new();
        let changes = try_unfold((events, unread, passed), async |(mut events, mut unread, passed)| {
            if unread.is_empty() {
                let Some(page) = events.next().await? else { return Ok(None) };
                unread.extend(page);
            }
            let Some(change) = unread.pop_front() else { return Ok(None) };
            let up_to = unread.front().map_or_else(|| events.position(), |next| next.seq - 1);
            passed.store(up_to, Ordering::Relaxed);
            Ok(Some((change, (events, unread, passed))))
        });
        Self { changes: Box::pin(changes), position }
    }

    /// The number up to which everything was taken: [`events`](super::Orchestrator::events) after it misses nothing and repeats nothing. It goes on
    /// also past what happens to other sessions than the one that is followed, as long as the stream is polled, so that it is not trimmed under a
    /// reader of one that is quiet.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }
}

impl Stream for EventStream {
    type Item = Result<Arc<Change>, AppError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.changes.as_mut().poll_next(context)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("position", &self.position()).finish_non_exhaustive()
    }
}
