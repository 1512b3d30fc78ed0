//! Attach: come to a session's terminal as one more viewer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Application;
use super::caller::Caller;
use super::error::{AppError, ErrorKind};
use crate::domain::id::SessionId;
use crate::ports::runtime::RuntimeError;
use crate::ports::terminal_view::{Attached, Newcomer, Seen, TerminalView};

/// How many viewers a session's terminal has at once, whatever the runtime: each costs a model of it, and with a multiplexer a process.
const MAX_VIEWERS: usize = 32;

impl Application {
    /// Comes to a session's terminal. What is typed there is a person's own, whatever the agent is doing: it is what
    /// answers an agent's question. So an agent is refused: it would answer what it asks itself, and talk to others without a name or a bound.
    ///
    /// # Errors
    /// `unknown_session`; `not_a_person` for agents, and for who says that it is a session's and is not; `too_many_viewers`; `no_terminal` when no
    /// agent of the session runs; or the runtime's failure.
    pub async fn attach(&self, id: &SessionId, newcomer: Newcomer, caller: &Caller) -> Result<Attached, AppError> {
        let session = self.session(id).await?;
        let other_ways = format!("look with: ao output {id}; talk to it with: ao send {id}");
        self.insist_on_person(caller, &format!("comes to the terminal of {id}"), other_ways).await?;
        let seat = self.shared.seats.take(id).ok_or_else(|| {
            let message = format!("the terminal of {id} has {MAX_VIEWERS} viewers already");
            AppError::new(ErrorKind::Refused, "too_many_viewers", message)
                .hint(format!("close one of them; look without one with: ao output {id}"))
        })?;
        let attached = self.runtime(&session.spec.runtime)?.attach(&self.terminal_key(&session), newcomer).await;
        let attached = match attached {
            Ok(attached) => attached,
            Err(error) => return Err(self.no_screen(id, error).await),
        };
        Ok(Attached { view: Box::new(Seated { view: attached.view, _seat: seat }), keys: attached.keys })
    }
}

/// How many are at which terminal.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<HashMap<SessionId, Arc<Semaphore>>>);

impl Seats {
    fn take(&self, id: &SessionId) -> Option<OwnedSemaphorePermit> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, seats| seats.available_permits() < MAX_VIEWERS);
        let seats = all.entry(id.clone()).or_insert_with(|| Arc::new(Semaphore::new(MAX_VIEWERS)));
        Arc::clone(seats).try_acquire_owned().ok()
    }
}

/// What a viewer sees, who has its place until it leaves.
struct Seated {
    view: Box<dyn TerminalView>,
    _seat: OwnedSemaphorePermit,
}

#[async_trait]
impl TerminalView for Seated {
    async fn next(&mut self) -> Result<Seen, RuntimeError> {
        self.view.next().await
    }
}
