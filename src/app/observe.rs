//! Observe: take in what agents' hooks report.

use super::Application;
use super::error::{AppError, ErrorKind};
use super::writer::unknown_session;
use crate::domain::id::RequestId;
use crate::domain::observation::Signal;
use crate::domain::report::HookReport;
use crate::domain::session::Session;
use crate::fault::{self, Point};
use crate::ports::spool::Spooled;

impl Application {
    /// Takes a hook's report into the facts of its session. A report of another agent than the session's, or with an event
    /// that says nothing, changes nothing.
    ///
    /// # Errors
    /// `unknown_session`, or the store's failure: the report should be kept and offered again.
    pub async fn observe(&self, report: &HookReport) -> Result<(), AppError> {
        self.take_in_report(report, true).await
    }

    /// `is_fresh`: the hook that made it is at work, and hears of what is decided now. What was reported to nobody may have been answered since.
    async fn take_in_report(&self, report: &HookReport, is_fresh: bool) -> Result<(), AppError> {
        let session = self.shared.sessions.session(&report.session).await?;
        let session = session.ok_or_else(|| unknown_session(&report.session))?;
        if session.spec.agent != report.agent {
            tracing::warn!(session = %report.session, agent = %report.agent, "a report of another agent is not taken");
            return Ok(());
        }
        if let Some(request) = report.told_about() {
            let told = |session: &mut Session, now| Ok(session.hook_told(&request, now));
            self.shared.writer.change(&report.session, told).await?;
            return Ok(());
        }
        let signals = self.agent(&report.agent)?.interpret(&report.event, &report.payload);
        tracing::debug!(session = %report.session, event = %report.event, ?signals, "report");
        self.shared
            .writer
            .change(&report.session, |session, now| {
                let mut changes = Vec::new();
                for signal in &signals {
                    changes.extend(session.observe(signal, report.at, now));
                    if let (true, Signal::Blocked { tool_use, .. }) = (is_fresh, signal) {
                        let request = RequestId::of(&session.id, tool_use, report.at);
                        if let Some(decision) = session.ruled(&request) {
                            changes.extend(session.decide(&request, decision, now));
                        }
                    }
                }
                Ok(changes)
            })
            .await?;
        // Its hooks move messages before they report.
        self.begin_to_follow(&report.session);
        Ok(())
    }

    /// Takes in the reports that came while no daemon ran. What cannot be read, or is refused (its session is not on record,
    /// its agent is not configured any more), is dropped with a line in the log: one report must not hold up the rest.
    ///
    /// # Errors
    /// When the spool or the store fails; nothing is lost then.
    pub async fn drain_spool(&self) -> Result<(), AppError> {
        loop {
            // A batch at a time, oldest first.
            let batch = self.shared.spool.pending().await?;
            if batch.is_empty() {
                return Ok(());
            }
            for spooled in batch {
                self.take_spooled(&spooled).await?;
                fault::reach(Point::SpoolTaken)?;
                self.shared.spool.remove(&spooled.name).await?;
            }
        }
    }

    async fn take_spooled(&self, spooled: &Spooled) -> Result<(), AppError> {
        let observed = match &spooled.report {
            Some(report) => self.take_in_report(report, false).await,
            None => Err(AppError::new(ErrorKind::NotFound, "no_report", "the file holds no report")),
        };
        match observed {
            // What the store cannot take now, it is offered again.
            Err(error) if !matches!(error.kind, ErrorKind::Internal | ErrorKind::Failed) => {
                tracing::warn!(name = spooled.name, %error, "a spooled report is dropped");
                Ok(())
            }
            taken => taken,
        }
    }
}
