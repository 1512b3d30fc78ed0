//! The contract of [`Clock`], for clocks that run and clocks that are set by hand.
//!
//! Let [`clock_contract!`](crate::clock_contract) make one test of each function here.

use std::sync::Arc;

use crate::domain::Timestamp;
use crate::ports::clock::Clock;

/// Makes one `#[test]` of each function of the suite. Takes an expression that makes a clock.
#[macro_export]
macro_rules! clock_contract {
    ($clock:expr) => {
        $crate::clock_contract!(@tests $clock;
            times_are_whole_milliseconds
            a_time_survives_being_kept_as_milliseconds
            a_clock_can_be_shared
        );
    };
    (@tests $clock:expr; $($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                let clock: ::std::sync::Arc<dyn $crate::ports::clock::Clock> = ::std::sync::Arc::new($clock);
                $crate::testing::clock::$name(&clock);
            }
        )+
    };
}

/// How often the suite asks: a part of a millisecond must not be missed by chance.
const ASKED: usize = 1000;

/// No part of a millisecond is left.
pub fn times_are_whole_milliseconds(clock: &Arc<dyn Clock>) {
    for _ in 0..ASKED {
        let now = clock.now();
        assert_eq!(now.as_nanosecond() % 1_000_000, 0, "{now}");
    }
}

/// What the store keeps of a time is the time.
pub fn a_time_survives_being_kept_as_milliseconds(clock: &Arc<dyn Clock>) {
    for _ in 0..ASKED {
        let now = clock.now();
        assert_eq!(Timestamp::from_millisecond(now.as_millisecond()).expect("in range"), now);
    }
}

/// Threads that ask at once all get an answer.
pub fn a_clock_can_be_shared(clock: &Arc<dyn Clock>) {
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let clock = Arc::clone(clock);
            std::thread::spawn(move || (0..ASKED).map(|_| clock.now()).collect::<Vec<_>>())
        })
        .collect();
    for asker in askers {
        assert_eq!(asker.join().expect("no panic").len(), ASKED);
    }
}
