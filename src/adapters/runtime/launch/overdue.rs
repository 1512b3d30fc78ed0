//! Supervisors that should have recorded their agent's end by now. Nothing on disk says since when an agent is dead, so whoever
//! looks remembers when it first saw that.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::session::ProcessIdentity;

/// The agents that this process saw dead while their supervisor ran.
pub(super) static UNRECORDED: LazyLock<Waits> = LazyLock::new(Waits::default);

/// After so long a wait is over, one way or the other.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);

/// When each of some agents was first seen dead.
#[derive(Default)]
pub(super) struct Waits(Mutex<HashMap<ProcessIdentity, Instant>>);

impl Waits {
    /// Whether an agent that is dead now was first seen so at least `bound` ago.
    pub(super) fn are_over(&self, agent: ProcessIdentity, bound: Duration, now: Instant) -> bool {
        let mut waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waits.retain(|waiting, since| *waiting == agent || now < *since + FORGOTTEN_AFTER);
        now >= *waits.entry(agent).or_insert(now) + bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_from_the_first_look_at_that_agent() {
        let waits = Waits::default();
        let [one, other] = [1, 2].map(|pid| ProcessIdentity { pid, start_ticks: 7 });
        let start = Instant::now();
        let is_over =
            |agent, seconds| waits.are_over(agent, Duration::from_secs(10), start + Duration::from_secs(seconds));
        assert!(!is_over(one, 0));
        assert!(!is_over(one, 9) && !is_over(other, 9));
        assert!(is_over(one, 10) && !is_over(other, 10));
        assert!(is_over(one, 4000) && !is_over(other, 4000), "what nobody asked for is forgotten");
    }
}
