//! Waiting for a session's state, as `ao wait` and `ao spawn --wait` do: by long polls, one after the other, through a
//! restart of the daemon.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::client::{Client, ClientError};
use super::commands::show;
use super::error::{CliError, ExitCode};
use super::ui;
use crate::adapters::http::wire::{Changes, MAX_WAIT_MS, TerminalText, WaitAnswer};
use crate::app::wait::{WaitFor, WaitOutcome};
use crate::domain::change::Change;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{MessageRecord, MessageState};
use crate::domain::phase::Step;
use crate::domain::session::Activity;
use crate::domain::status::Status;

/// How long a daemon that answered before may be away: an upgrade, or a restart on a loaded machine. An agent goes on
/// meanwhile, so a wait through the night must too.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// Ends a message behind which a screen is shown.
pub(super) const ITS_SCREEN: &str = "; its screen:";
/// How often it is looked for meanwhile.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// What is waited for, and how long.
#[derive(Debug, Clone, Copy)]
pub(in crate::adapters) struct Wait {
    pub(in crate::adapters) state: WaitFor,
    pub(in crate::adapters) bound: Bound,
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(in crate::adapters) enum Bound {
    /// So long in all.
    InAll(Duration),
    /// So long while nothing holds it up: the line, and the setup of its project, take the time they take.
    Unheld(Duration),
    /// Without limit.
    None,
}

impl Bound {
    /// When it ends if it begins now.
    fn deadline(self) -> Option<Instant> {
        match self {
            // A time too far away to be told is no limit.
            Self::InAll(bound) | Self::Unheld(bound) => Instant::now().checked_add(bound),
            Self::None => None,
        }
    }
}

/// A daemon that may go away and come back. Clones share what they know of that, so that a person is told once.
#[derive(Debug, Clone)]
pub(in crate::adapters) struct PatientClient {
    client: Client,
    patience: Duration,
    away_since: Arc<Mutex<Option<Instant>>>,
}

impl PatientClient {
    pub(in crate::adapters) fn new(client: Client) -> Self {
        Self { client, patience: PATIENCE, away_since: Arc::default() }
    }

    /// Waits until a session reaches a state, ends, or time is up. Nobody answering at the first request is an error at once:
    /// only a daemon that was there is waited for, for at most [`PATIENCE`], and none is started.
    pub(in crate::adapters) async fn wait(&self, id: &SessionId, wait: Wait) -> Result<WaitAnswer, ClientError> {
        let mut deadline = wait.bound.deadline();
        let mut known = None;
        let mut was_silent = false;
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let left_ms = left.map_or(MAX_WAIT_MS, |left| u64::try_from(left.as_millis()).unwrap_or(MAX_WAIT_MS));
            let path = |wait_ms: u64| format!("/sessions/{id}/wait?for={}&timeout_ms={wait_ms}", wait.state.as_str());
            let answer: WaitAnswer = match known {
                None => self.client.get(&path(0)).await?,
                Some(_) => self.get(&path(left_ms.min(MAX_WAIT_MS)), deadline).await?,
            };
            if answer.outcome != WaitOutcome::TimedOut {
                return Ok(answer);
            }
            let session = &answer.session;
            if session.status == Status::NoSignal && !std::mem::replace(&mut was_silent, true) {
                ui::talk(&format!(
                    "{id} runs, but never reported: a question may stand on its screen; see: ao show {id}"
                ));
            }
            let is_held = session.status == Status::Queued || session.step == Some(Step::Setup);
            // Also when it went on meanwhile: nobody knows how long ago.
            let was_held = known.replace(is_held).unwrap_or(false) || is_held;
            if was_held && matches!(wait.bound, Bound::Unheld(_)) {
                deadline = wait.bound.deadline();
            } else if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                // Not what was asked for counts, but what is left: a daemon that stops ends a wait early.
                return Ok(answer);
            }
        }
    }

    /// Gets a resource of a daemon that was there and may be away for a while.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        deadline: Option<Instant>,
    ) -> Result<T, ClientError> {
        self.patiently(deadline, || self.client.get(path)).await
    }

    /// Asks a daemon that was there and may be away for a while, until it answers.
    pub(super) async fn patiently<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        deadline: Option<Instant>,
        ask: impl Fn() -> F,
    ) -> Result<T, ClientError> {
        loop {
            let error = match ask().await {
                Err(error) if error.may_pass() => error,
                answer => {
                    if self.away_since().take().is_some() {
                        ui::talk("the daemon is back");
                    }
                    return answer;
                }
            };
            let now = Instant::now();
            let since = *self.away_since().get_or_insert_with(|| {
                ui::talk(&format!("{error}; the wait goes on when it is back within {} s", self.patience.as_secs()));
                now
            });
            if now.duration_since(since) >= self.patience || deadline.is_some_and(|deadline| now >= deadline) {
                return Err(error);
            }
            self.rest().await;
        }
    }

    /// Waits as long as it takes until it is worth while to ask again.
    pub(super) async fn rest(&self) {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }

    /// Waits until an agent was seen to have taken a message, until that will not happen any more, or until time is up. `hindered` is told what
    /// keeps it, when that is news.
    pub(in crate::adapters) async fn wait_for_message(
        &self,
        id: &MessageId,
        at_most: Option<Duration>,
        hindered: impl Fn(&str),
    ) -> Result<MessageRecord, ClientError> {
        let deadline = at_most.and_then(|at_most| Instant::now().checked_add(at_most));
        let mut known = None;
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let left_ms = left.map_or(MAX_WAIT_MS, |left| u64::try_from(left.as_millis()).unwrap_or(MAX_WAIT_MS));
            let path = format!("/messages/{id}/wait?timeout_ms={}", left_ms.min(MAX_WAIT_MS));
            let record: MessageRecord = self.get(&path, deadline).await?;
            let is_over = record.state.is_settled() || record.state == MessageState::Returned;
            if is_over || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(record);
            }
            if let Some(why) = record.error.as_deref().filter(|_| record.error != known) {
                hindered(why);
            }
            known = record.error;
        }
    }

    /// A session's changes after `since`, waiting up to `wait_ms` for one. Where much happened elsewhere, and the log is short,
    /// those that are left of it.
    pub(super) async fn changes(
        &self,
        id: &SessionId,
        mut since: u64,
        wait_ms: u64,
    ) -> Result<Vec<Change>, ClientError> {
        loop {
            let path = format!("/events?session={id}&since={since}&wait_ms={wait_ms}");
            match self.get(&path, None).await {
                Ok(Changes { changes, .. }) => return Ok(changes),
                Err(error) => since = error.go_on_from(since).ok_or(error)?,
            }
        }
    }

    fn away_since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.away_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` when the state was reached, else why what was waited for did not come.
    pub(in crate::adapters) async fn shortfall(&self, answer: &WaitAnswer, state: WaitFor) -> Option<CliError> {
        let session = &answer.session;
        let id = &session.id;
        match answer.outcome {
            WaitOutcome::Reached => None,
            WaitOutcome::Ended => {
                let ended = session.exit.as_ref().map(show::ended).unwrap_or_default();
                let message = format!("{id} ended before it was {}: {ended}", in_words(state));
                Some(CliError::failed(message).detail(output_tail(answer)).hint(format!("see: ao show {id}")))
            }
            WaitOutcome::TimedOut => Some(self.timed_out(answer, state).await),
        }
    }

    /// The error for a state that was not reached in time, with the screen as it is.
    pub(super) async fn timed_out(&self, answer: &WaitAnswer, state: WaitFor) -> CliError {
        let session = &answer.session;
        let id = &session.id;
        let screen = self.client.get::<TerminalText>(&format!("/sessions/{id}/screen")).await;
        let screen = screen.ok().map(|screen| ui::printable(&screen.text)).filter(|screen| !screen.trim().is_empty());
        let shown = if screen.is_some() { ITS_SCREEN } else { "" };
        let message = match session.pid {
            Some(_) if session.activity == Activity::Exited => {
                format!(
                    "{id} is being ended: its agent is gone, and its teardown or the removal of its workspace still runs"
                )
            }
            Some(_) => format!("{id} runs, but was not {} in time{shown}", in_words(state)),
            None if session.status == Status::Queued => format!("{id} still waits in line for a place"),
            None => format!("{id} is still being built; it was not {} in time", in_words(state)),
        };
        let hint = format!("it was left as it is; see: ao show {id}, or end it: ao kill {id}");
        CliError::new(ExitCode::TimedOut, message).detail(screen).hint(hint)
    }
}

/// The end of what the agent printed, when it was kept.
pub(super) fn output_tail(answer: &WaitAnswer) -> Option<String> {
    answer.session.exit.as_ref().and_then(|exit| exit.output_tail.as_deref()).map(ui::printable)
}

/// A state in a sentence.
pub(super) fn in_words(state: WaitFor) -> &'static str {
    if state == WaitFor::Exit { "over" } else { state.as_str() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    /// Answers each request with the next of these, and hangs up.
    async fn answer(listener: UnixListener, answers: &[&str]) {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    const BROKEN_OFF: &str = "";
    const INTERNAL: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 76\r\n\r\n\
                            {\"error\":{\"code\":\"internal\",\"message\":\"m\",\"hint\":null,\"request_id\":\"12345\"}}";
    const UNKNOWN: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 76\r\n\r\n\
                           {\"error\":{\"code\":\"internal\",\"message\":\"m\",\"hint\":null,\"request_id\":\"12345\"}}";
    const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"fine\":42}";

    fn impatient(socket: &std::path::Path) -> PatientClient {
        PatientClient { patience: Duration::from_millis(300), ..PatientClient::new(Client::new(socket)) }
    }

    #[tokio::test]
    async fn a_daemon_that_comes_back_answers_in_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let client = PatientClient::new(Client::new(&socket));
        let asked = client.get::<Value>("/x", None);
        let serve = async {
            // Nobody is there at first.
            tokio::time::sleep(LOOK_INTERVAL * 2).await;
            answer(UnixListener::bind(&socket).unwrap(), &[BROKEN_OFF, INTERNAL, FINE]).await;
        };
        let both = async { tokio::join!(asked, serve).0 };
        let answer = tokio::time::timeout(Duration::from_secs(30), both).await.expect("it asked until it was answered");
        assert_eq!(answer.unwrap(), json!({"fine": 42}));
        assert_eq!(*client.away_since(), None, "the next absence is a new one");
    }

    #[tokio::test]
    async fn a_daemon_that_stays_away_and_one_that_says_no_end_the_wait() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let before = Instant::now();
        let away = impatient(&socket).get::<Value>("/x", None).await;
        assert!(matches!(away, Err(ClientError::NotRunning { .. })), "{away:?}");
        assert!(before.elapsed() >= Duration::from_millis(300), "it was given no time");
        let client = PatientClient::new(Client::new(&socket));
        let late = client.get::<Value>("/x", Some(Instant::now())).await;
        assert!(matches!(late, Err(ClientError::NotRunning { .. })), "{late:?}");
        let listener = UnixListener::bind(&socket).unwrap();
        let (refused, ()) = tokio::join!(client.get::<Value>("/x", None), answer(listener, &[UNKNOWN]));
        assert!(matches!(refused, Err(ClientError::Refused { .. })), "{refused:?}");
    }
}
