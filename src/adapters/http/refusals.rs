//! Those who are turned away at the TCP port, in the log. Everybody on this machine can be, as often as they like, so the log is told of the first one of a kind, and
//! of how many there were since at the end of each period.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

/// How long those after the first one of a kind are only counted.
const PERIOD: Duration = Duration::from_secs(60);

/// How many of each code there were after the first one, in the period that is on. None is on while nobody was turned away.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusals(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Refusals {
    /// The answer to one who is turned away, once he is in the log or counted.
    pub(super) fn answer(&self, refusal: ApiError) -> Response {
        if self.is_first(refusal.code()) {
            return refusal.into_response();
        }
        let (status, body) = refusal.unlogged();
        (status, Json(body)).into_response()
    }

    /// Tells the log how many were counted, and ends the period.
    pub(super) fn tell(&self) {
        for (code, more) in self.take() {
            tracing::info!(code, more, "refused as well, by TCP, since the first one was told");
        }
    }

    fn is_first(&self, code: &'static str) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.is_empty() {
            let refusals = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(PERIOD).await;
                refusals.tell();
            });
        }
        let Some(more) = counted.get_mut(code) else {
            counted.insert(code, 0);
            return true;
        };
        *more += 1;
        false
    }

    fn take(&self) -> Vec<(&'static str, u64)> {
        let counted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        counted.into_iter().filter(|(_, more)| *more > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_of_a_kind_is_told_and_the_others_are_counted() {
        let refusals = Refusals::default();
        assert!(refusals.is_first("unauthorized"));
        assert!((0..999).all(|_| !refusals.is_first("unauthorized")));
        assert!(refusals.is_first("host_not_allowed"), "one of another kind");
        assert_eq!(refusals.take(), [("unauthorized", 999)]);
        assert!(refusals.is_first("unauthorized"), "the next period");
        assert_eq!(refusals.take(), []);
    }
}
