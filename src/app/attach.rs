//! Attach: come to a session's terminal as one more viewer.

use super::Application;
use super::caller::{Caller, Identity};
use super::error::{AppError, ErrorKind};
use crate::domain::id::SessionId;
use crate::ports::runtime::TerminalSize;
use crate::ports::terminal_view::Attached;

impl Application {
    /// Comes to a session's terminal with one of that size. What is typed there is a person's own, whatever the agent is doing: it is what
    /// answers an agent's question. So an agent is refused: it would answer what it asks itself, and talk to others without a name or a bound.
    ///
    /// # Errors
    /// `unknown_session`; `not_a_person` for agents, and for who says that it is a session's and is not; `no_terminal` when no agent of the
    /// session runs; or the runtime's failure.
    pub async fn attach(&self, id: &SessionId, size: TerminalSize, caller: &Caller) -> Result<Attached, AppError> {
        let session = self.session(id).await?;
        let who = match self.identify(caller).await? {
            Identity::Person => None,
            Identity::Session(session) => Some(format!("the agent of {session}")),
            Identity::Nobody(who) => Some(who),
        };
        if let Some(who) = who {
            let message = format!("only a person comes to the terminal of {id}, and this is {who}");
            return Err(AppError::new(ErrorKind::Refused, "not_a_person", message)
                .hint(format!("look with: ao output {id}; talk to it with: ao send {id}")));
        }
        Ok(self.runtime(&session.spec.runtime)?.attach(&self.terminal_key(&session), size).await?)
    }
}
