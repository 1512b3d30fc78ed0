//! Retention: let go of what was kept long enough: the oldest changes, and the records and private directories of sessions that
//! ended long ago. Runs at the start and on a tick; takes no input, is idempotent, and does a little at a time, so that it never
//! holds up others. Workspaces, branches, saved work and commits that only ao holds are never touched here: what refers to them
//! stays.

use std::time::Duration;

use super::Application;
use super::error::AppError;
use crate::domain::Timestamp;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::ports::runtime::{Liveness, TerminalKey};
use crate::ports::workspace::{OnWork, Removal};

/// How many changes are trimmed in one transaction.
const BATCH: u32 = 1000;

impl Application {
    /// Keeps within bounds until the application is shut down: looks at ended sessions every `interval`, and trims the change
    /// log then and whenever it has grown by a tenth more than it may hold.
    pub async fn keep_within_bounds(&self, interval: Duration) {
        let slack = (self.shared.settings.keep_changes / 10).max(1);
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // What could not be trimmed waits for the tick: the log says at once that it grew.
        let mut trimmed = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if let Err(error) = self.let_go_of_ended().await {
                        tracing::error!(%error, "what ended sessions left could not be looked at");
                    }
                }
                () = self.shared.changes.wait_beyond(trimmed.unwrap_or(0) + slack), if trimmed.is_some() => {}
                () = self.shared.stop.cancelled() => return,
            }
            trimmed = match self.trim_changes().await {
                Ok(newest) => Some(newest),
                Err(error) => {
                    tracing::error!(%error, "the change log could not be trimmed");
                    None
                }
            };
        }
    }

    /// Gives the newest change's number as it was before.
    async fn trim_changes(&self) -> Result<u64, AppError> {
        let newest = self.shared.changes.last_seq().await?;
        let keep = self.shared.settings.keep_changes;
        while !self.shared.stop.is_cancelled()
            && self.shared.changes.trim_changes(keep, BATCH).await? == u64::from(BATCH)
        {
            tokio::task::yield_now().await;
        }
        Ok(newest)
    }

    /// Removes the records and directories of sessions that ended long ago, and directories of sessions on no record.
    async fn let_go_of_ended(&self) -> Result<(), AppError> {
        let Some(keep) = self.shared.settings.keep_ended else { return Ok(()) };
        let Ok(before) = self.shared.clock.now().checked_sub(keep) else { return Ok(()) };
        for id in self.shared.sessions.over_since(before).await? {
            if self.shared.stop.is_cancelled() {
                return Ok(());
            }
            match self.let_go_of(&id, before).await {
                Ok(Some(why)) => tracing::debug!(session = %id, why, "the record stays"),
                Ok(None) => {}
                // The others must not grow because of one.
                Err(error) => tracing::warn!(session = %id, %error, "an ended session's record could not be removed"),
            }
        }
        self.let_go_of_stray_directories(before).await
    }

    /// Removes one session's record and directory. Gives why not, when it is to stay.
    async fn let_go_of(&self, id: &SessionId, before: Timestamp) -> Result<Option<&'static str>, AppError> {
        let Some(_exclusive) = self.shared.running.try_exclusive(id) else { return Ok(Some("somebody works on it")) };
        // The list is older than the right to this session.
        let Some(session) = self.shared.sessions.session(id).await? else { return Ok(None) };
        if !session.phase.is_terminated() || session.updated_at >= before {
            return Ok(Some("it changed"));
        }
        if !self.workspace_is_gone(&session).await? {
            return Ok(Some("something of its workspace, or of work saved from it, is there or out of reach"));
        }
        // As a rule there is nothing left to stop; where there was, nothing would know of it any more.
        self.stop_terminal(&session).await?;
        if self.shared.sessions.session(id).await?.is_none_or(|now| now.version != session.version) {
            return Ok(Some("something was noted of it just now"));
        }
        // What its worktree was on when it went is of use to a restore only, unless it holds commits that nothing else does:
        // so it goes last before the record.
        if !self.shared.workspace.forget(&self.workspace_ref(&session).await?).await? {
            return Ok(Some("what it left on a branch that is gone is held for it alone"));
        }
        self.shared.sessions.remove_session(id, session.version, self.shared.clock.now()).await?;
        tracing::info!(session = %id, "its record and its logs were kept long enough and are removed");
        // Left by a daemon that ends here, it is a stray.
        self.shared.session_dirs.remove(id).await?;
        Ok(None)
    }

    /// Whether nothing is left that `restore`, `kill` or `cleanup` would still need the record for: no workspace, nothing that ao
    /// knows it by in the repository, no saved work there. What cannot be found out counts as left.
    async fn workspace_is_gone(&self, session: &Session) -> Result<bool, AppError> {
        // Most that stay do so for this, and to find out more costs several runs of git.
        if tokio::fs::try_exists(&session.spec.workspace).await.unwrap_or(true) {
            return Ok(false);
        }
        let workspace = self.workspace_ref(session).await?;
        let Some(repository) = &workspace.repository else {
            let facts = &session.facts;
            let is_forgotten = self.shared.projects.project(&session.id.project()).await?.is_none();
            return Ok(is_forgotten
                && facts.preserved.is_none()
                && (facts.base_commit.is_none() || self.would_be_found(session).await));
        };
        let left = self.shared.workspace.assess(&workspace, OnWork::Keep).await?;
        if !matches!(left, Removal::Missing { branch_deleted: false, preserved: None, would_save: None, .. }) {
            return Ok(false);
        }
        // Of one that somebody deleted by hand the repository has an entry, which is for `kill` and `cleanup`.
        let owned = self.shared.workspace.owned(repository, &self.shared.settings.data_dir.worktrees()).await?;
        Ok(owned.iter().all(|owned| owned.session != session.id))
    }

    /// Whether the workspace would be seen if it were there: the disk it was on may not be mounted.
    async fn would_be_found(&self, session: &Session) -> bool {
        let Some(holder) = session.spec.workspace.parent() else { return false };
        tokio::fs::try_exists(holder).await.unwrap_or(false)
    }

    /// Removes directories of sessions that are on no record, once nothing in them changed for as long as ended sessions are
    /// kept: of a record that was lost they are all there is.
    async fn let_go_of_stray_directories(&self, before: Timestamp) -> Result<(), AppError> {
        for directory in self.shared.session_dirs.list().await? {
            let id = directory.session;
            if self.shared.stop.is_cancelled() || directory.changed_at >= before {
                continue;
            }
            let Some(_exclusive) = self.shared.running.try_exclusive(&id) else { continue };
            if self.shared.sessions.session(&id).await?.is_some() {
                continue;
            }
            if !self.is_deserted(&id).await {
                tracing::warn!(session = %id, "an agent may run in a session that is on no record; its directory stays");
                continue;
            }
            tracing::info!(session = %id, "the directory of a session that is on no record is removed");
            self.shared.session_dirs.remove(&id).await?;
        }
        Ok(())
    }

    /// Whether no runtime knows of an agent that runs, or may run, in that session's terminal.
    async fn is_deserted(&self, id: &SessionId) -> bool {
        let key = TerminalKey { session: id.clone(), session_dir: self.shared.session_dirs.path(id), agent: None };
        for runtime in &self.shared.runtimes {
            let mut answers = runtime.probe(std::slice::from_ref(&key)).await;
            if !matches!(answers.remove(id), Some(Liveness::Dead(_))) {
                return false;
            }
        }
        true
    }
}
