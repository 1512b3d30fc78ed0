//! Announce: tell a project's orchestrator what became of its workers.
//!
//! What is new is told by the facts of the workers and by what the orchestrator was told of each last, so nothing is lost with the
//! daemon. One message of news is on its way to an orchestrator at a time: what happens meanwhile is in the next one, and what is over by then is in none.
//! As it is read when the orchestrator comes to it, it says of when it is.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::Application;
use super::error::AppError;
use crate::domain::Timestamp;
use crate::domain::id::{MessageId, ProjectId};
use crate::domain::news::News;
use crate::domain::phase::Phase;
use crate::domain::sender::Sender;
use crate::domain::session::{Session, SessionKind};
use crate::fault::{self, Point};
use crate::ports::store::SessionFilter;

impl Application {
    /// Begins to tell the orchestrators among these sessions what is new of their projects' workers, unless that is under way.
    pub(super) fn begin_to_announce(&self, sessions: &[Session]) {
        let orchestrators = sessions.iter().filter(|session| self.is_orchestrator(session));
        // The newest of a project, by its number.
        let newest: BTreeMap<ProjectId, Session> =
            orchestrators.map(|session| (session.id.project(), session.clone())).collect();
        if newest.is_empty() {
            return;
        }
        let Ok(alone) = self.shared.announcing.clone().try_lock_owned() else { return };
        let now = self.shared.clock.now();
        // What comes with time alone changes nothing on record.
        let is_due = sessions.iter().any(|session| {
            let told = newest.get(&session.id.project());
            told.and_then(|orchestrator| untold(session, orchestrator, now)).is_some_and(|news| news.comes_with_time())
        });
        let application = self.clone();
        self.shared.tasks.spawn(async move {
            if let Err(error) = application.announce(&newest, is_due).await {
                tracing::error!(%error, "what is new could not be told");
            }
            drop(alone);
        });
    }

    async fn announce(&self, orchestrators: &BTreeMap<ProjectId, Session>, is_due: bool) -> Result<(), AppError> {
        let seq = self.shared.changes.last_seq().await?;
        if !is_due && self.shared.announced_up_to.load(Ordering::Relaxed) == seq {
            return Ok(());
        }
        let mut is_all_told = true;
        for (project, orchestrator) in orchestrators {
            // What one cannot be told keeps nothing from the others.
            is_all_told &= self.announce_to(orchestrator, project).await.unwrap_or_else(|error| {
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
    async fn announce_to(&self, orchestrator: &Session, project: &ProjectId) -> Result<bool, AppError> {
        let all =
            SessionFilter { project: Some(project.clone()), include_terminated: true, ..SessionFilter::default() };
        let (mut news, now) = (Vec::new(), self.shared.clock.now());
        for worker in self.shared.sessions.sessions(&all).await? {
            if let Some(item) = untold(&worker, orchestrator, now) {
                news.push((worker, item));
            }
        }
        if news.is_empty() {
            return Ok(true);
        }
        if self.shared.messages.has_unsettled_of_ao(&orchestrator.id).await? {
            return Ok(false);
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
        match self.accept(orchestrator, Some(id), body, Sender::Ao).await {
            // Told before, in other words: a worker went on while a daemon died that had not put it on record yet.
            Err(error) if error.code == "message_exists" => {}
            accepted => drop(accepted?),
        }
        fault::reach(Point::NewsAccepted)?;
        for (worker, item) in news {
            self.shared
                .writer
                .change(&worker.id, |session, _| {
                    session.facts.announced = Some(item.key());
                    Ok(Vec::new())
                })
                .await?;
        }
        Ok(true)
    }
}

/// What there is for an orchestrator to hear of a session and was not told.
fn untold(session: &Session, orchestrator: &Session, now: Timestamp) -> Option<News> {
    let news = News::of(session, now).filter(|_| session.spec.kind == SessionKind::Worker)?;
    // What was over before it came is not its business.
    let is_its = session.facts.activity_at.max(news.since()) >= orchestrator.created_at;
    (is_its && session.facts.announced.as_ref() != Some(&news.key())).then_some(news)
}
