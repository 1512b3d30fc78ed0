//! Announce: tell a project's orchestrator what became of its workers.
//!
//! What is new is told by the facts of the workers and by what the orchestrator was told of each last, so nothing is lost with the
//! daemon. One message of news waits for an orchestrator at a time: what happens meanwhile is in the next one, and what is over by then is in none.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::Application;
use super::error::AppError;
use super::messages::Sender;
use crate::domain::id::{MessageId, ProjectId};
use crate::domain::message::MessageState;
use crate::domain::news::News;
use crate::domain::phase::Phase;
use crate::domain::session::{Session, SessionKind};
use crate::fault::{self, Point};
use crate::ports::store::SessionFilter;

/// What a message of news begins with.
const FROM_AO: &str = "[from ao]";

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
        let application = self.clone();
        self.shared.tasks.spawn(async move {
            if let Err(error) = application.announce(&newest).await {
                tracing::error!(%error, "what is new could not be told");
            }
            drop(alone);
        });
    }

    async fn announce(&self, orchestrators: &BTreeMap<ProjectId, Session>) -> Result<(), AppError> {
        let seq = self.shared.changes.last_seq().await?;
        if self.shared.announced_up_to.load(Ordering::Relaxed) == seq {
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
        let mut news = Vec::new();
        for worker in self.shared.sessions.sessions(&all).await? {
            // What was over before it came is not its business.
            let is_its = worker.spec.kind == SessionKind::Worker && worker.facts.activity_at >= orchestrator.created_at;
            if let Some(item) = is_its.then(|| News::of(&worker)).flatten()
                && worker.facts.announced.as_ref() != Some(&item.key())
            {
                news.push((worker, item));
            }
        }
        if news.is_empty() {
            return Ok(true);
        }
        let newest = self.shared.messages.newest_message(&orchestrator.id).await?;
        let waits = |state| matches!(state, MessageState::Queued | MessageState::Returned);
        if newest.is_some_and(|record| waits(record.state) && record.message.body.starts_with(FROM_AO)) {
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
        let body = format!(
            "{FROM_AO} News of your workers:\n{}\nLook with: ao show SESSION, ao output SESSION",
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
