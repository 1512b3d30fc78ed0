//! The newest part of the change log, read once for all who follow it.
//!
//! Who is at the end of the log is given what the first of them read; who is behind reads for itself, and only a few at once, so that a
//! crowd of followers leaves the database to others.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore};

use crate::domain::change::Change;
use crate::domain::id::SessionId;
use crate::ports::store::{ChangeFilter, ChangeLog, StoreError};

/// How many entries are read at once.
const PAGE: u32 = 256;
/// How many of the newest entries are kept: those who follow are that far apart from each other at most, as a rule.
const KEPT: usize = 2048;
/// How many of those that are behind read at the same time.
const READERS_BEHIND: usize = 2;

/// See the module.
pub(super) struct Tail {
    /// `None` until somebody follows.
    recent: Mutex<Option<Recent>>,
    behind: Semaphore,
}

impl Default for Tail {
    fn default() -> Self {
        Self { recent: Mutex::default(), behind: Semaphore::new(READERS_BEHIND) }
    }
}

/// What comes after a number.
pub(super) struct Page {
    /// By number; of those up to `up_to` none is missing that was asked for.
    pub(super) changes: Vec<Arc<Change>>,
    /// The number after which reading goes on; the one asked for when there is nothing yet.
    pub(super) up_to: u64,
}

impl Tail {
    /// What comes after `since`, of one session where one is named.
    ///
    /// # Errors
    /// [`StoreError::ChangesGone`] when the next entry was trimmed, or the log's failure.
    pub(super) async fn after(
        &self,
        log: &dyn ChangeLog,
        since: u64,
        session: Option<&SessionId>,
    ) -> Result<Page, StoreError> {
        let end = {
            let mut recent = self.recent.lock().await;
            let recent = match &mut *recent {
                Some(recent) => recent,
                nobody => nobody.insert(Recent::after(log.last_seq().await?)),
            };
            if since >= recent.begin {
                // Nobody followed for a while: what lies between is for those who ask for it.
                if since > recent.end() {
                    *recent = Recent::after(since);
                }
                if since == recent.end() {
                    recent.read_on(log).await?;
                }
                return Ok(recent.page(since, session));
            }
            recent.end()
        };
        // It is never closed.
        let _turn = self.behind.acquire().await;
        let filter = ChangeFilter { since, session: session.cloned(), limit: PAGE };
        let mut changes = log.changes(&filter).await?;
        let may_be_more = changes.len() >= PAGE as usize;
        // Who is behind never gets ahead of those at the end, who would then read for themselves too.
        changes.retain(|change| change.seq <= end);
        let last = changes.last().map_or(end, |change| change.seq);
        Ok(Page { changes: changes.into_iter().map(Arc::new).collect(), up_to: if may_be_more { last } else { end } })
    }
}

/// A run of entries without a gap.
struct Recent {
    /// The number before the first one.
    begin: u64,
    changes: VecDeque<Arc<Change>>,
}

impl Recent {
    fn after(begin: u64) -> Self {
        Self { begin, changes: VecDeque::new() }
    }

    /// The number of the last one.
    fn end(&self) -> u64 {
        self.changes.back().map_or(self.begin, |change| change.seq)
    }

    async fn read_on(&mut self, log: &dyn ChangeLog) -> Result<(), StoreError> {
        let filter = ChangeFilter { since: self.end(), session: None, limit: PAGE };
        self.changes.extend(log.changes(&filter).await?.into_iter().map(Arc::new));
        while self.changes.len() > KEPT {
            self.begin = self.changes.pop_front().map_or(self.begin, |change| change.seq);
        }
        Ok(())
    }

    fn page(&self, since: u64, session: Option<&SessionId>) -> Page {
        let known = usize::try_from(since - self.begin).unwrap_or(usize::MAX);
        let next: Vec<&Arc<Change>> = self.changes.iter().skip(known).take(PAGE as usize).collect();
        let up_to = next.last().map_or(since, |change| change.seq);
        let is_asked_for = |change: &&Arc<Change>| session.is_none() || change.session.as_ref() == session;
        Page { changes: next.into_iter().filter(is_asked_for).cloned().collect(), up_to }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;

    use async_trait::async_trait;
    use serde_json::json;

    use super::*;
    use crate::domain::Timestamp;
    use crate::domain::change::ChangeKind;

    /// A log that counts who reads it.
    #[derive(Default)]
    struct Log {
        changes: StdMutex<Vec<Change>>,
        read: StdMutex<Vec<u64>>,
    }

    impl Log {
        /// Every third is of `app-3`.
        fn grow(&self, to: u64) {
            let mut changes = self.changes.lock().unwrap();
            for seq in changes.len() as u64 + 1..=to {
                let session = Some(format!("app-{}", seq % 3 + 1).parse().unwrap());
                let (project, kind) = ("app".parse().unwrap(), ChangeKind::SessionNote);
                changes.push(Change { seq, at: Timestamp::UNIX_EPOCH, kind, project, session, data: json!({}) });
            }
        }

        fn read(&self) -> Vec<u64> {
            std::mem::take(&mut self.read.lock().unwrap())
        }
    }

    #[async_trait]
    impl ChangeLog for Log {
        async fn changes(&self, filter: &ChangeFilter) -> Result<Vec<Change>, StoreError> {
            self.read.lock().unwrap().push(filter.since);
            let is_asked_for = |change: &&Change| {
                change.seq > filter.since && (filter.session.is_none() || change.session == filter.session)
            };
            let changes = self.changes.lock().unwrap();
            Ok(changes.iter().filter(is_asked_for).take(filter.limit as usize).cloned().collect())
        }

        async fn trim_changes(&self, _: u64, _: u32) -> Result<u64, StoreError> {
            unreachable!("nothing is trimmed")
        }

        async fn last_seq(&self) -> Result<u64, StoreError> {
            Ok(self.changes.lock().unwrap().len() as u64)
        }

        async fn wait_beyond(&self, _: u64) {}
    }

    fn seqs(page: &Page) -> Vec<u64> {
        page.changes.iter().map(|change| change.seq).collect()
    }

    /// Reads to the end of what there is.
    async fn follow(tail: &Tail, log: &Log, mut since: u64, session: Option<&SessionId>) -> Vec<u64> {
        let mut all = Vec::new();
        loop {
            let page = tail.after(log, since, session).await.unwrap();
            all.extend(seqs(&page));
            if page.up_to == since {
                return all;
            }
            assert!(page.up_to > since);
            since = page.up_to;
        }
    }

    #[tokio::test]
    async fn those_at_the_end_are_given_what_one_of_them_read() {
        let (tail, log) = (Tail::default(), Log::default());
        log.grow(5);
        assert!(seqs(&tail.after(&log, 5, None).await.unwrap()).is_empty());
        log.grow(8);
        log.read();
        for _ in 0..20 {
            assert_eq!(seqs(&tail.after(&log, 5, None).await.unwrap()), [6, 7, 8]);
        }
        assert_eq!(seqs(&tail.after(&log, 6, None).await.unwrap()), [7, 8]);
        assert_eq!(log.read(), [5]);
    }

    #[tokio::test]
    async fn nobody_misses_anything_wherever_the_others_are() {
        let (tail, log) = (Tail::default(), Log::default());
        log.grow(1000);
        tail.after(&log, 1000, None).await.unwrap();
        log.grow(KEPT as u64 + 2000);
        // At the end, behind, before what is kept, and after a time in which nobody followed.
        for since in [1000, 0, 700, 999, 1001, KEPT as u64] {
            let expected: Vec<u64> = (since + 1..=KEPT as u64 + 2000).collect();
            assert_eq!(follow(&tail, &log, since, None).await, expected, "after {since}");
        }
        log.grow(KEPT as u64 + 5000);
        let late = KEPT as u64 + 4000;
        assert_eq!(follow(&tail, &log, late, None).await, (late + 1..=KEPT as u64 + 5000).collect::<Vec<_>>());
        assert_eq!(follow(&tail, &log, 0, None).await, (1..=KEPT as u64 + 5000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn one_session_is_followed_as_a_whole_and_past_what_is_of_others() {
        let (tail, log) = (Tail::default(), Log::default());
        log.grow(3000);
        tail.after(&log, 2500, None).await.unwrap();
        let session: SessionId = "app-3".parse().unwrap();
        let expected: Vec<u64> = (1..=3000).filter(|seq| seq % 3 == 2).collect();
        assert_eq!(follow(&tail, &log, 0, Some(&session)).await, expected);
        let nobody: SessionId = "app-9".parse().unwrap();
        let page = tail.after(&log, 0, Some(&nobody)).await.unwrap();
        assert!(page.changes.is_empty() && page.up_to > 0, "it would be trimmed some time: {}", page.up_to);
    }

    #[tokio::test]
    async fn who_is_behind_does_not_get_ahead_of_those_at_the_end() {
        let (tail, log) = (Tail::default(), Log::default());
        log.grow(100);
        tail.after(&log, 100, None).await.unwrap();
        log.grow(120);
        assert_eq!(tail.after(&log, 10, None).await.unwrap().up_to, 100);
        log.read();
        assert_eq!(seqs(&tail.after(&log, 100, None).await.unwrap()).len(), 20);
        assert_eq!(log.read(), [100]);
    }
}
