//! Attach: come to a session's terminal as one more viewer.

use super::Application;
use super::error::AppError;
use crate::domain::id::SessionId;
use crate::ports::runtime::TerminalSize;
use crate::ports::terminal_view::Attached;

impl Application {
    /// Comes to a session's terminal with one of that size. What is typed there is a person's own, whatever the agent is doing: it is what
    /// answers an agent's question.
    ///
    /// # Errors
    /// `unknown_session`; `no_terminal` when no agent of the session runs; or the runtime's failure.
    pub async fn attach(&self, id: &SessionId, size: TerminalSize) -> Result<Attached, AppError> {
        let session = self.session(id).await?;
        Ok(self.runtime(&session.spec.runtime)?.attach(&self.terminal_key(&session), size).await?)
    }
}
