//! When something was, as a person reads it: how long ago, in a word, and the time where they are.

use jiff::tz::TimeZone;

use crate::domain::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// For example `3m ago`: the largest unit only, never rounded up. What is less than a second ago, or still to come because a clock was
/// set back, is `now`.
pub(super) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_millisecond() - then.as_millisecond()) / 1000;
    let (number, unit) = match seconds {
        ..=0 => return "now".to_owned(),
        1..MINUTE => (seconds, "s"),
        MINUTE..HOUR => (seconds / MINUTE, "m"),
        HOUR..DAY => (seconds / HOUR, "h"),
        DAY..YEAR => (seconds / DAY, "d"),
        _ => (seconds / YEAR, "y"),
    };
    format!("{number}{unit} ago")
}

/// The time in this zone, for example `2026-11-27 00:30:00`.
pub(super) fn local(then: Timestamp, zone: &TimeZone) -> String {
    then.to_zoned(zone.clone()).strftime("%F %T").to_string()
}

/// A time in this zone, and how long ago that was.
pub(super) fn at(then: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    format!("{} ({})", local(then, zone), ago(then, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_one_of_whoever_reads_it() {
        let then: Timestamp = "2026-11-26T22:30:00.123Z".parse().unwrap();
        let now = Timestamp::from_second(then.as_second() + 125).unwrap();
        assert_eq!(at(then, now, &TimeZone::fixed(jiff::tz::offset(2))), "2026-11-27 00:30:00 (2m ago)");
    }

    #[test]
    fn the_largest_unit_is_told() {
        let then = Timestamp::from_second(1_000_000).unwrap();
        let after = |seconds: i64| ago(then, Timestamp::from_second(1_000_000 + seconds).unwrap());
        for (seconds, told) in [
            (-30, "now"),
            (0, "now"),
            (1, "1s ago"),
            (59, "59s ago"),
            (60, "1m ago"),
            (3599, "59m ago"),
            (3600, "1h ago"),
            (86_399, "23h ago"),
            (86_400, "1d ago"),
            (364 * 86_400, "364d ago"),
            (800 * 86_400, "2y ago"),
        ] {
            assert_eq!(after(seconds), told);
        }
    }
}
