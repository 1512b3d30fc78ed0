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
