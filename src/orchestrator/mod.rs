//! The library's front: an [`Orchestrator`] runs coding agents from within a program of your own, as the daemon does for the command line.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`driver`] | what must go on as long as there are sessions |
//! | [`events`] | what happened, as a stream |
//! | `builder` | the adapters, yours or their defaults (feature `adapters`) |
//! | `server` | the API on the data directory's socket (feature `http`) |
//! | `surroundings` | what default adapters are made of (feature `adapters`) |
//!
//! # Theory of operation
//! Orchestrators know nothing of each other: each has a data directory of its own, and any number of them live in one process. What a process
//! has once (a test of the architecture knows all of it) are counters that keep names apart, and since when a dead agent's end waits to be
//! recorded, by the agent's process. Handles are clones of one another. What was spawned lives in processes of its own, so it outlives the program; the next orchestrator
//! on the same data directory, or an `ao daemon` there, adopts it.

#[cfg(feature = "adapters")]
pub mod builder;
pub mod driver;
pub mod events;
#[cfg(feature = "http")]
pub mod server;
#[cfg(feature = "adapters")]
pub mod surroundings;

use std::path::Path;
#[cfg(feature = "http")]
use std::sync::{Arc, atomic::AtomicBool};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::caller::Caller;
use crate::app::kill::Killed;
use crate::app::projects::Registered;
use crate::app::spawn::SpawnRequest;
use crate::app::view::SessionView;
use crate::app::wait::{WaitFor, WaitOutcome};
use crate::app::{AppError, Application, Ports, Settings};
use crate::domain::approval::{AnsweredRequest, Verdict};
use crate::domain::id::{MessageId, ProjectId, RequestId, SessionId};
use crate::domain::message::MessageRecord;
use crate::ports::store::SessionFilter;
use crate::ports::workspace::OnWork;

use driver::Driver;
use events::EventStream;

/// A handle on the sessions of one data directory. Cheap to clone; clones share everything. Its methods need a tokio runtime.
///
/// Each gives what the use case of its name gives; [`application`](Self::application) has those that are not here.
#[derive(Debug, Clone)]
pub struct Orchestrator {
    application: Application,
    settled: CancellationToken,
    /// Whether there is a [`server::Server`] of it.
    #[cfg(feature = "http")]
    is_served: Arc<AtomicBool>,
}

impl Orchestrator {
    /// Over adapters of yours alone. With the feature `adapters`, `builder` has defaults for all of them.
    ///
    /// Nothing is done before the driver runs but what the handle is asked for. Who composes sees to it that no other process works on the
    /// same records: the builder does, by a lock.
    pub fn over(ports: Ports, settings: Settings) -> (Self, Driver) {
        Self::drive(Application::new(ports, settings))
    }

    fn drive(application: Application) -> (Self, Driver) {
        let settled = CancellationToken::new();
        let driver = Driver::new(application.clone(), settled.clone());
        let orchestrator = Self {
            application,
            settled,
            #[cfg(feature = "http")]
            is_served: Arc::default(),
        };
        (orchestrator, driver)
    }

    /// Begins to compose one of the default adapters and yours.
    ///
    /// `data_dir` is where its records, workspaces and sockets live; it is made when needed. `ao_program` is the absolute path of an `ao`
    /// of this version: terminals are held by processes of it, and agents' hooks call it.
    #[cfg(feature = "adapters")]
    pub fn builder(data_dir: impl AsRef<Path>, ao_program: impl AsRef<Path>) -> builder::Builder {
        builder::Builder::new(data_dir.as_ref(), ao_program.as_ref())
    }

    /// Every use case, for what the handle has no method for.
    #[must_use]
    pub fn application(&self) -> &Application {
        &self.application
    }

    /// Cancelled once what an earlier process left was settled, or 30 s after the driver began: what could not be settled by then is tried again.
    #[must_use]
    pub fn settled(&self) -> CancellationToken {
        self.settled.clone()
    }

    /// Registers the repository that a directory is in, under the name of its directory; one that is registered is given as it is.
    ///
    /// # Errors
    /// When the directory is in no usable repository, or the store fails.
    pub async fn add_project(&self, directory: &Path) -> Result<Registered, AppError> {
        self.application.add_project(directory, None::<ProjectId>).await
    }

    /// Checks that a session can be spawned and records it; the driver's process builds it in the background. [`wait`](Self::wait) tells when
    /// its agent runs, or why not.
    ///
    /// # Errors
    /// What refuses or is missing, for example `unknown_agent`, `limit_reached` or `untrusted_project_file`; nothing was begun then.
    pub async fn spawn(&self, request: SpawnRequest) -> Result<SessionView, AppError> {
        Ok(self.application.view(&self.application.spawn(request).await?))
    }

    /// Accepts a message for a session's agent, from a person: it is on record when this answers.
    ///
    /// # Errors
    /// `unknown_session`; `session_over`; `no_text_hooks` when that agent cannot be handed text; `empty_message`, `message_too_large`, and the
    /// others of [`Application::send`].
    pub async fn send(&self, session: &SessionId, body: impl Into<String>) -> Result<MessageRecord, AppError> {
        self.application.send(session, None, body.into(), &Caller::of_this_program()).await
    }

    /// Waits until its agent was seen to have taken a message, until that will not happen any more, or for `timeout`; gives it as it is then.
    ///
    /// # Errors
    /// `unknown_message`, or the store's failure.
    pub async fn wait_for_message(&self, message: &MessageId, timeout: Duration) -> Result<MessageRecord, AppError> {
        self.application.wait_for_message(message, timeout).await
    }

    /// Decides, as a person, about `request` of a session's agent, else about what it asked first. The agent's hook is told where it waits: on
    /// the data directory's socket, which has to be served (`serve`, with the feature `http`).
    ///
    /// # Errors
    /// `unknown_session`; `nothing_asked` and `request_not_open`; `nobody_waits` where no hook asks; `invalid_reason`.
    pub async fn decide(
        &self,
        session: &SessionId,
        request: Option<&RequestId>,
        verdict: Verdict,
        reason: Option<String>,
    ) -> Result<AnsweredRequest, AppError> {
        let decided = self.application.decide(session, request, verdict, reason, &Caller::of_this_program()).await?;
        Ok(decided.0)
    }

    /// Ends a session. Idempotent. `on_work` says what becomes of a workspace that holds uncommitted work.
    ///
    /// # Errors
    /// `unknown_session`; `runtime_failed` when the agent could not be ended.
    pub async fn kill(&self, session: &SessionId, on_work: OnWork) -> Result<Killed, AppError> {
        self.application.kill(session, on_work).await
    }

    /// Builds an ended session again, in the background, as [`spawn`](Self::spawn) does. Where no place is free it is refused.
    ///
    /// # Errors
    /// `unknown_session`; `not_over`; `agent_not_dead`; `limit_reached`; or what is missing. The session is as it was then.
    pub async fn restore(&self, session: &SessionId) -> Result<SessionView, AppError> {
        Ok(self.application.view(&self.application.restore(session, false).await?))
    }

    /// Sessions, by project and number; with the default filter those that are not over.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn list(&self, filter: &SessionFilter) -> Result<Vec<SessionView>, AppError> {
        self.application.list(filter).await
    }

    /// One session.
    ///
    /// # Errors
    /// `unknown_session`, or the store's failure.
    pub async fn show(&self, session: &SessionId) -> Result<SessionView, AppError> {
        self.application.show(session).await
    }

    /// The last `lines` lines that a session's terminal showed, as plain text.
    ///
    /// # Errors
    /// `unknown_session`, or the runtime's failure.
    pub async fn output(&self, session: &SessionId, lines: usize) -> Result<String, AppError> {
        self.application.output(session, lines).await
    }

    /// Waits until a session reaches a state, ends, or `timeout` is over; gives which, and the session as it is then. A
    /// [`shut_down`](Self::shut_down) meanwhile is `TimedOut`, however early.
    ///
    /// # Errors
    /// `unknown_session`; `no_reports` when this agent can never be seen in that state; or the store's failure.
    pub async fn wait(
        &self,
        session: &SessionId,
        state: WaitFor,
        timeout: Duration,
    ) -> Result<(WaitOutcome, SessionView), AppError> {
        let (outcome, session) = self.application.wait(session, state, timeout).await?;
        Ok((outcome, self.application.view(&session)))
    }

    /// What happened after number `since`, or happens from now on; of one session where one is named. See [`EventStream`].
    ///
    /// # Errors
    /// `unknown_session` where there is no such session and the log tells of none; `changes_gone` when the next one is not kept any more;
    /// `changes_ahead` for a number that no change has yet; or the store's failure.
    pub async fn events(&self, since: Option<u64>, session: Option<SessionId>) -> Result<EventStream, AppError> {
        Ok(EventStream::of(self.application.events(since, session).await?))
    }

    /// Ends what goes on in the background, and with it the driver and every stream of events: spawns under way are undone. Agents are not
    /// touched. Returns when all has ended; the caller bounds it.
    pub async fn shut_down(&self) {
        self.application.shut_down().await;
    }
}
