//! The driver: what must go on as long as sessions are to be kept true.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::app::Application;

/// How often agents are looked at.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(1);
/// How long what broke off rests.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked for what was kept long enough.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How long the first look at what an earlier process left may keep this one from being called settled.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Keeps the record true: settles what an earlier process left, then takes in what hooks reported, notices ends, follows messages, and lets
/// go of what was kept long enough. To be awaited, or given to a task, once; it ends after
/// [`shut_down`](super::Orchestrator::shut_down).
///
/// Dropping it, or the future that it becomes, stops all that: sessions go on unobserved, until the next one.
#[must_use = "nothing is noticed and nothing ends unless it runs"]
pub struct Driver {
    application: Application,
    settled: CancellationToken,
    interval: Duration,
    at_the_end: Option<Work>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("interval", &self.interval).finish_non_exhaustive()
    }
}

impl Driver {
    pub(super) fn new(application: Application, settled: CancellationToken) -> Self {
        Self { application, settled, interval: RECONCILE_INTERVAL, at_the_end: None }
    }

    /// Looks at all agents so often, instead of every second. (Where a runtime tells ends by itself, those are noticed at once.)
    pub fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Does this last, when nothing uses the adapters any more.
    #[cfg(feature = "adapters")]
    pub(super) fn and_then(mut self, work: impl Future<Output = ()> + Send + 'static) -> Self {
        self.at_the_end = Some(Box::pin(work));
        self
    }

    async fn run(self) {
        let Self { application, settled, interval, at_the_end } = self;
        let work = || reconcile(application.clone(), settled.clone(), interval);
        keep_going(work, RESTART_PAUSE, application.stopping()).await;
        application.shut_down().await;
        if let Some(work) = at_the_end {
            work.await;
        }
    }
}

impl IntoFuture for Driver {
    type Output = ();
    type IntoFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Settles what an earlier process left, says so, and reconciles until the application is shut down. What takes long to settle holds up
/// neither that nor anything else.
async fn reconcile(application: Application, settled: CancellationToken, interval: Duration) {
    let bounded = async {
        if tokio::time::timeout(SETTLE_TIMEOUT, settled.cancelled()).await.is_err() {
            tracing::warn!("not everything that was left here could be settled yet; ready all the same");
            settled.cancel();
        }
    };
    let work = async {
        let settling = application.begin_to_reconcile().await;
        let settles = async {
            settling.await;
            settled.cancel();
        };
        tokio::join!(
            settles,
            application.keep_reconciling(interval),
            application.keep_within_bounds(RETENTION_INTERVAL)
        )
    };
    tokio::join!(bounded, work);
}

/// Runs what must go on until it is stopped. When it breaks off, which is a fault of ao, it is begun anew after a pause: who serves and
/// notices nothing any more is worse than none.
async fn keep_going<F>(work: impl Fn() -> F, pause: Duration, stop: &CancellationToken)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(broken) = AbortOnDropHandle::new(tokio::spawn(work())).await {
        tracing::error!(cause = %broken, "what keeps the record true broke off, and is begun anew");
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_breaks_off_is_begun_anew_until_it_is_stopped() {
        let (begun, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let work = || {
            let (begun, stop) = (begun.clone(), stop.clone());
            async move {
                assert_eq!(begun.fetch_add(1, Ordering::Relaxed), 2, "a fault");
                stop.cancel();
            }
        };
        keep_going(work, Duration::ZERO, &stop).await;
        assert_eq!(begun.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn what_breaks_off_while_it_is_stopped_is_left() {
        let stop = CancellationToken::new();
        stop.cancel();
        keep_going(|| async { panic!("a fault") }, Duration::from_secs(600), &stop).await;
    }

    #[tokio::test]
    async fn what_is_dropped_does_not_go_on() {
        let held = Arc::new(());
        let (work, stop) = (held.clone(), CancellationToken::new());
        let going_on = || {
            let held = work.clone();
            async move {
                std::future::pending::<()>().await;
                drop(held);
            }
        };
        assert!(tokio::time::timeout(Duration::ZERO, keep_going(going_on, Duration::ZERO, &stop)).await.is_err());
        drop(work);
        let gone = async {
            while Arc::strong_count(&held) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it goes on for nobody");
    }
}
