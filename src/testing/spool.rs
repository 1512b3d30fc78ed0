//! The contract of [`ReportSpool`].
//!
//! Implement [`SpoolFixture`] for your adapter, then let [`spool_contract!`](crate::spool_contract) make one test of each
//! function here.

use std::sync::Arc;

use serde_json::json;

use crate::domain::Timestamp;
use crate::domain::report::HookReport;
use crate::ports::spool::{MOST_PENDING, ReportSpool, Spooled};

/// What the suite needs of an adapter. One fixture is made for each test; it holds what the spool is kept in.
pub trait SpoolFixture: Send + Sync {
    /// Opens the spool: an empty one the first time, and afterwards the same one again, as another process would.
    fn open(&self) -> Arc<dyn ReportSpool>;

    /// Opens the same spool, in which reports may take about `bytes` of the disk.
    fn open_bounded(&self, bytes: u64) -> Arc<dyn ReportSpool>;
}

/// Makes one `#[tokio::test]` of each function of the suite. Takes an expression that makes a fixture.
#[macro_export]
macro_rules! spool_contract {
    ($fixture:expr) => {
        $crate::spool_contract!(@tests $fixture;
            nothing_is_pending_in_a_new_spool
            a_report_comes_back_as_it_was_until_it_is_removed
            reports_come_back_in_the_order_of_their_times
            reports_of_one_time_come_back_in_the_order_they_were_put
            removing_is_idempotent
            reports_put_at_once_all_come_back
            a_long_backlog_comes_in_parts_oldest_first
            a_full_spool_drops_the_oldest_routine_reports_and_keeps_the_others
            a_spool_full_of_what_is_not_routine_drops_the_oldest
            what_was_taken_makes_room
            reports_put_at_once_into_a_full_spool_keep_it_bounded
        );
    };
    (@tests $fixture:expr; $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::testing::spool::$name(&$fixture).await;
            }
        )+
    };
}

fn report(at_ms: i64, event: &str) -> HookReport {
    HookReport {
        session: "app-1".parse().expect("a valid id"),
        agent: "claude-code".parse().expect("a valid name"),
        event: event.to_owned(),
        at: Timestamp::from_millisecond(1_700_000_000_000 + at_ms).expect("in range"),
        payload: json!({ "tool": "größe \"\n", "number": 0.1, "list": [null, true] }),
    }
}

fn events(pending: &[Spooled]) -> Vec<String> {
    pending.iter().map(|spooled| spooled.report.clone().expect("a report").event).collect()
}

/// A spool that nothing was put into is empty, and no error.
pub async fn nothing_is_pending_in_a_new_spool(fixture: &impl SpoolFixture) {
    assert_eq!(fixture.open().pending().await.expect("pending"), []);
}

/// Every field survives, for every reader, and reading takes nothing away.
pub async fn a_report_comes_back_as_it_was_until_it_is_removed(fixture: &impl SpoolFixture) {
    let put = report(1, "Stop");
    fixture.open().put(&put).await.expect("put");
    for _ in 0..2 {
        let pending = fixture.open().pending().await.expect("pending");
        assert_eq!(pending.iter().map(|spooled| spooled.report.as_ref()).collect::<Vec<_>>(), [Some(&put)]);
    }
    let spool = fixture.open();
    let name = spool.pending().await.expect("pending").remove(0).name;
    spool.remove(&name).await.expect("remove");
    assert_eq!(fixture.open().pending().await.expect("pending"), []);
}

/// Oldest first, in whatever order they were put.
pub async fn reports_come_back_in_the_order_of_their_times(fixture: &impl SpoolFixture) {
    let spool = fixture.open();
    for at_ms in [20, 3, 100_000_000_000, 0] {
        spool.put(&report(at_ms, &at_ms.to_string())).await.expect("put");
    }
    assert_eq!(events(&spool.pending().await.expect("pending")), ["0", "3", "20", "100000000000"]);
}

/// The order of one process's calls decides where times are the same.
pub async fn reports_of_one_time_come_back_in_the_order_they_were_put(fixture: &impl SpoolFixture) {
    let spool = fixture.open();
    let put: Vec<String> = (0..120).map(|number| number.to_string()).collect();
    for event in &put {
        spool.put(&report(7, event)).await.expect("put");
    }
    assert_eq!(events(&spool.pending().await.expect("pending")), put);
}

/// What is gone is removed; nothing else is.
pub async fn removing_is_idempotent(fixture: &impl SpoolFixture) {
    let spool = fixture.open();
    spool.put(&report(1, "first")).await.expect("put");
    spool.put(&report(2, "second")).await.expect("put");
    let name = spool.pending().await.expect("pending").remove(0).name;
    spool.remove(&name).await.expect("remove");
    spool.remove(&name).await.expect("remove again");
    assert_eq!(events(&spool.pending().await.expect("pending")), ["second"]);
}

/// None is lost, none is doubled.
pub async fn reports_put_at_once_all_come_back(fixture: &impl SpoolFixture) {
    let puts: Vec<_> = (0..32)
        .map(|number| {
            let spool = fixture.open();
            tokio::spawn(async move { spool.put(&report(number / 8, &format!("{number:02}"))).await })
        })
        .collect();
    for put in puts {
        put.await.expect("no panic").expect("put");
    }
    let mut found = events(&fixture.open().pending().await.expect("pending"));
    found.sort();
    assert_eq!(found, (0..32).map(|number| format!("{number:02}")).collect::<Vec<_>>());
}

/// One call is bounded; asked again, the spool gives the rest.
pub async fn a_long_backlog_comes_in_parts_oldest_first(fixture: &impl SpoolFixture) {
    let spool = fixture.open();
    let put: Vec<String> = (0..MOST_PENDING + 5).map(|number| number.to_string()).collect();
    let times: Vec<_> = (0_i64..).zip(&put).collect();
    for (at_ms, event) in times.into_iter().rev() {
        spool.put(&report(at_ms, event)).await.expect("put");
    }
    let mut found = Vec::new();
    for expected in [MOST_PENDING, 5, 0] {
        let pending = spool.pending().await.expect("pending");
        assert_eq!(pending.len(), expected);
        found.extend(events(&pending));
        for spooled in pending {
            spool.remove(&spooled.name).await.expect("remove");
        }
    }
    assert_eq!(found, put);
}

/// A bound for some 64 small reports.
const SMALL_BYTES: u64 = 256 * 1024;
/// A small report takes at least a thousandth of that; a bounded spool never holds more.
const MOST_SMALL: usize = 250;

async fn everything(spool: &dyn ReportSpool) -> Vec<HookReport> {
    spool.pending().await.expect("pending").into_iter().filter_map(|spooled| spooled.report).collect()
}

fn of_session(session: &str, at_ms: i64, event: &str) -> HookReport {
    HookReport { session: session.parse().expect("a valid id"), ..report(at_ms, event) }
}

/// Routine goes first and the oldest of it, but the newest of each session stays.
pub async fn a_full_spool_drops_the_oldest_routine_reports_and_keeps_the_others(fixture: &impl SpoolFixture) {
    let spool = fixture.open_bounded(SMALL_BYTES);
    spool.put(&of_session("quiet-1", 0, "PreToolUse")).await.expect("put");
    spool.put(&report(1, "SessionStart")).await.expect("put");
    for at_ms in 2..1_000 {
        let event = if at_ms % 100 == 0 { "PermissionRequest" } else { "PostToolUse" };
        spool.put(&report(at_ms, event)).await.expect("put");
    }
    spool.put(&report(1_000, "Stop")).await.expect("put");
    let kept = everything(&*spool).await;
    assert!(kept.len() < MOST_SMALL, "{} are kept", kept.len());
    let routine: Vec<_> = kept.iter().filter(|kept| kept.is_routine()).collect();
    let others: Vec<_> = kept.iter().filter(|kept| !kept.is_routine()).map(|kept| kept.event.as_str()).collect();
    assert_eq!(others, [&["SessionStart"][..], &["PermissionRequest"; 9], &["Stop"]].concat());
    assert_eq!(routine[0].session.as_str(), "quiet-1");
    assert!(routine.len() > 10, "there is room for more than {}", routine.len());
    let newest: Vec<_> =
        (2..1_000).filter(|at_ms| at_ms % 100 != 0).map(|at_ms| report(at_ms, "PostToolUse").at).collect();
    let kept: Vec<_> = routine[1..].iter().map(|kept| kept.at).collect();
    assert_eq!(kept, newest[newest.len() - kept.len()..]);
}

/// A bound that only others could keep is kept all the same, and the newest report is there.
pub async fn a_spool_full_of_what_is_not_routine_drops_the_oldest(fixture: &impl SpoolFixture) {
    let spool = fixture.open_bounded(SMALL_BYTES);
    for at_ms in 0..500 {
        spool.put(&report(at_ms, &at_ms.to_string())).await.expect("put");
    }
    let kept = events(&spool.pending().await.expect("pending"));
    assert!((10..MOST_SMALL).contains(&kept.len()), "{} are kept", kept.len());
    let newest: Vec<String> = (500 - kept.len()..500).map(|number| number.to_string()).collect();
    assert_eq!(kept, newest);
}

/// A spool that a daemon emptied is not full.
pub async fn what_was_taken_makes_room(fixture: &impl SpoolFixture) {
    let spool = fixture.open_bounded(SMALL_BYTES);
    for round in 0..20 {
        let put: Vec<String> = (0..30).map(|number| format!("{round} {number}")).collect();
        for event in &put {
            spool.put(&report(round, event)).await.expect("put");
        }
        assert_eq!(events(&spool.pending().await.expect("pending")), put, "one was dropped from a spool with room");
        for spooled in spool.pending().await.expect("pending") {
            spool.remove(&spooled.name).await.expect("remove");
        }
        // As a daemon does, until there is nothing left.
        assert_eq!(spool.pending().await.expect("pending"), []);
    }
}

/// Hooks are processes of their own: none of them fails because others make room too.
pub async fn reports_put_at_once_into_a_full_spool_keep_it_bounded(fixture: &impl SpoolFixture) {
    let puts: Vec<_> = (0..8_i64)
        .map(|task| {
            let spool = fixture.open_bounded(SMALL_BYTES);
            tokio::spawn(async move {
                for number in 0..60 {
                    spool.put(&report(number * 8 + task, "PostToolUse")).await.expect("put");
                }
            })
        })
        .collect();
    for put in puts {
        put.await.expect("no panic");
    }
    let kept = everything(&*fixture.open()).await;
    assert!((10..MOST_SMALL).contains(&kept.len()), "{} are kept", kept.len());
    assert_eq!(kept.last(), Some(&report(59 * 8 + 7, "PostToolUse")));
}
