//! Events: the change log as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::stream::try_unfold;

use crate::app::AppError;
use crate::app::events::Events;
use crate::domain::change::Change;

/// What happened, in order and without gaps. A slow reader holds nobody up: nothing is queued for it, the log keeps what comes next.
///
/// Ends when the orchestrator is shut down, and after an error: `changes_gone` when the log overtook its reader, or the store's failure.
/// Begin anew with the number (`seq`) of the last change that was taken.
pub struct EventStream(Pin<Box<dyn Stream<Item = Result<Arc<Change>, AppError>> + Send>>);

impl EventStream {
    pub(super) fn of(events: Events) -> Self {
        let unread = VecDeque::new();
        Self(Box::pin(try_unfold((events, unread), async |(mut events, mut unread)| {
            if unread.is_empty() {
                let Some(page) = events.next().await? else { return Ok(None) };
                unread.extend(page);
            }
            Ok(unread.pop_front().map(|change| (change, (events, unread))))
        })))
    }
}

impl Stream for EventStream {
    type Item = Result<Arc<Change>, AppError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}
