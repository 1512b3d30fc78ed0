//! Announce: tell a project's orchestrator what became of its workers.
//!
//! What is new is told by the facts of the workers and by what each orchestrator was told of each last, so nothing is lost with the
//! daemon. One that comes is told how the workers are that it finds, and what became of those of which an earlier one was told in messages that it
//! did not live to take. One message of news is on its way to an orchestrator at a time: what happens meanwhile is in the next one, and what is over by then is in none.
//! As it is read when the orchestrator comes to it, it says of when it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::Application;
use super::error::AppError;
use crate::domain::Timestamp;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::MessageState;
use crate::domain::news::{Announcement, News};
use crate::domain::phase::Phase;
use crate::domain::sender::Sender;
use crate::domain::session::{Session, SessionKind};
use crate::fault::{self, Point};
use crate::ports::store::SessionFilter;

impl Application {
    /// Begins to tell the orchestrators among these sessions what is new of their projects' workers, unless that is under way.
    pub(super) fn begin_to_announce(&self, sessions: &[Session]) {
        let orchestrators: Vec<Session> =
            sessions.iter().filter(|session| self.is_orchestrator(session)).cloned().collect();
        if orchestrators.is_empty() {
            return;
        }
        let Ok(alone) = self.shared.announcing.clone().try_lock_owned() else { return };
        let now = self.shared.clock.now();
        // What comes with time alone changes nothing on record.
        let is_due = orchestrators.iter().any(|orchestrator| {
            let its = sessions.iter().filter(|session| session.id.project() == orchestrator.id.project());
            its.filter_map(|session| untold(session, orchestrator, &BTreeSet::new(), now))
                .any(|news| news.comes_with_time())
        });
        let application = self.clone();
        self.shared.tasks.spawn(async move {
            if let Err(error) = application.announce(&orchestrators, is_due).await {
                tracing::error!(%error, "what is new could not be told");
            }
            drop(alone);
        });
    }

    async fn announce(&self, orchestrators: &[Session], is_due: bool) -> Result<(), AppError> {
        let seq = self.shared.changes.last_seq().await?;
        if !is_due && self.shared.announced_up_to.load(Ordering::Relaxed) == seq {
            return Ok(());
        }
        let mut is_all_told = true;
        for orchestrator in orchestrators {
            // What one cannot be told keeps nothing from the others.
            is_all_told &= self.announce_to(orchestrator).await.unwrap_or_else(|error| {
                tracing::error!(orchestrator = %orchestrator.id, %error, "it could not be told what is new");
                false
            });
        }
        if is_all_told {
            self.shared.announced_up_to.store(seq, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn is_orchestrator(&self, session: &Session) -> bool {
        session.spec.kind == SessionKind::Orchestrator
            && session.phase == Phase::Live
            && self.agent(&session.spec.agent).is_ok_and(|agent| agent.text_hooks().is_some())
    }

    /// Whether it was told everything; else it is to be tried again.
    async fn announce_to(&self, orchestrator: &Session) -> Result<bool, AppError> {
        if self.shared.messages.has_unsettled_of_ao(&orchestrator.id).await? {
            return Ok(false);
        }
        let project = Some(orchestrator.id.project());
        let all = SessionFilter { project, include_terminated: true, ..SessionFilter::default() };
        let (mut news, now) = (Vec::new(), self.shared.clock.now());
        let sessions = self.shared.sessions.sessions(&all).await?;
        let unread = self.unread_before(orchestrator, &sessions).await?;
        for worker in sessions {
            if let Some(item) = untold(&worker, orchestrator, &unread, now) {
                news.push((worker, item));
            }
        }
        if news.is_empty() {
            return Ok(true);
        }
        let mut lines = Vec::new();
        for (worker, item) in &news {
            let commits = match (&worker.facts.base_commit, item) {
                (Some(base), News::Idle { .. }) => {
                    self.shared.workspace.commits_since(&worker.spec.workspace, base).await.ok()
                }
                _ => None,
            };
            lines.push(format!("- {}", item.line(worker, commits)));
        }
        // It may be read much later, when the orchestrator's turn is over.
        let body = format!(
            "News of your workers, as of {}:\n{}\nSee how they are now: ao show SESSION, ao output SESSION",
            now.strftime("%H:%M UTC"),
            lines.join("\n")
        );
        let keys: Vec<String> = news.iter().map(|(worker, item)| format!("{} {}", worker.id, item.key())).collect();
        // The same news are the same message, also when the daemon died before it was on record that they were told.
        let id = MessageId::hash_of(&format!("{} {}", orchestrator.id, keys.join(" ")));
        match self.accept(orchestrator, Some(id.clone()), body, Sender::Ao).await {
            // Told before, in other words: a worker went on while a daemon died that had not put it on record yet.
            Err(error) if error.code == "message_exists" => {}
            accepted => drop(accepted?),
        }
        fault::reach(Point::NewsAccepted)?;
        for (worker, item) in news {
            self.shared
                .writer
                .change(&worker.id, |session, _| {
                    let announcement = Announcement { key: item.key(), message: id.clone() };
                    session.facts.announced.get_or_insert_default().note(orchestrator.id.clone(), announcement);
                    Ok(Vec::new())
                })
                .await?;
        }
        Ok(true)
    }

    /// The messages of ao's own to orchestrators of the project that were over before this one came, and had not taken them. Looked up
    /// until all of those are over.
    async fn unread_before(
        &self,
        orchestrator: &Session,
        sessions: &[Session],
    ) -> Result<Arc<BTreeSet<MessageId>>, AppError> {
        if let Some(known) = self.shared.unread_news.get(&orchestrator.id) {
            return Ok(known);
        }
        let is_before = |session: &&Session| {
            session.spec.kind == SessionKind::Orchestrator && session.created_at < orchestrator.created_at
        };
        let (over, live): (Vec<_>, Vec<_>) =
            sessions.iter().filter(is_before).partition(|session| session.phase.is_terminated());
        let mut unread = BTreeSet::new();
        for session in over {
            let messages = self.shared.messages.messages(&session.id, false).await?.into_iter();
            let untaken = messages
                .filter(|record| record.message.from == Sender::Ao && record.state != MessageState::Acknowledged);
            unread.extend(untaken.map(|record| record.message.id));
        }
        if live.is_empty() {
            self.shared.unread_news.keep(&orchestrator.id, unread.clone());
        }
        Ok(Arc::new(unread))
    }
}

/// What orchestrators that are over did not live to take, by the one that came after them.
#[derive(Debug, Default)]
pub(super) struct UnreadNews(Mutex<BTreeMap<SessionId, Arc<BTreeSet<MessageId>>>>);

impl UnreadNews {
    fn get(&self, orchestrator: &SessionId) -> Option<Arc<BTreeSet<MessageId>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(orchestrator).cloned()
    }

    fn keep(&self, orchestrator: &SessionId, unread: BTreeSet<MessageId>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(orchestrator.clone(), Arc::new(unread));
    }
}

/// What there is for an orchestrator to hear of a session and was not told. `unread` are messages that those before it did not take.
fn untold(session: &Session, orchestrator: &Session, unread: &BTreeSet<MessageId>, now: Timestamp) -> Option<News> {
    let news = News::of(session, now).filter(|_| session.spec.kind == SessionKind::Worker)?;
    let announced = session.facts.announced.as_ref();
    if announced.is_some_and(|announced| announced.has(&orchestrator.id, &news)) {
        return None;
    }
    // What was over before it came is its business only where nobody heard of it who should have.
    let is_its = !session.phase.is_terminated()
        || session.facts.activity_at.max(news.since()) >= orchestrator.created_at
        || announced.is_some_and(|announced| announced.is_unread(&news, unread));
    is_its.then_some(news)
}
