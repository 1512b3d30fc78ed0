//! Observe: take in what agents' hooks report.

use super::Application;
use super::error::{AppError, ErrorKind};
use super::writer::unknown_session;
use crate::domain::report::HookReport;

impl Application {
    /// Takes a hook's report into the facts of its session. A report of another agent than the session's, or with an event
    /// that says nothing, changes nothing.
    ///
    /// # Errors
    /// `unknown_session`, or the store's failure: the report should be kept and offered again.
    pub async fn observe(&self, report: &HookReport) -> Result<(), AppError> {
        let session = self.shared.sessions.session(&report.session).await?;
        let session = session.ok_or_else(|| unknown_session(&report.session))?;
        if session.spec.agent != report.agent {
            tracing::warn!(session = %report.session, agent = %report.agent, "a report of another agent is not taken");
            return Ok(());
        }
        let signals = self.agent(&report.agent)?.interpret(&report.event, &report.payload);
        tracing::debug!(session = %report.session, event = %report.event, ?signals, "report");
        self.shared
            .writer
            .change(&report.session, |session, now| {
                // A report cannot be from the future; a clock that stepped back must not freeze the activity.
                let at = report.at.min(now);
                Ok(signals.iter().flat_map(|signal| session.observe(signal, at)).collect())
            })
            .await?;
        Ok(())
    }

    /// Takes in the reports that came while no daemon ran. What cannot be read, or is of a session that is not on record,
    /// is dropped with a line in the log.
    ///
    /// # Errors
    /// When the spool or the store fails; nothing is lost then.
    pub async fn drain_spool(&self) -> Result<(), AppError> {
        for spooled in self.shared.spool.pending().await? {
            let observed = match &spooled.report {
                Some(report) => self.observe(report).await,
                None => Err(AppError::new(ErrorKind::NotFound, "no_report", "the file holds no report")),
            };
            match observed {
                Ok(()) => {}
                Err(error) if error.kind == ErrorKind::NotFound => {
                    tracing::warn!(name = spooled.name, %error, "a spooled report is dropped");
                }
                Err(error) => return Err(error),
            }
            self.shared.spool.remove(&spooled.name).await?;
        }
        Ok(())
    }
}
