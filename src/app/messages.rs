//! Messages: accept text for a session's agent, and learn what became of it.
//!
//! A message is a row and a file. The row is written first, and the answer to its sender last. The files tell how far messages have come: the
//! agent's hooks move them, whether or not a daemon runs. [`Application::follow_messages`] brings rows and files together; it is
//! idempotent, and whatever was cut off is made up for by the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Application;
use super::caller::{Caller, Identity};
use super::error::{AppError, ErrorKind};
use super::typing::typed_to;
use crate::domain::Timestamp;
use crate::domain::change::{ChangeKind, NewChange};
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, MessageRecord, MessageState, Progress};
use crate::domain::phase::Phase;
use crate::domain::sender::Sender;
use crate::domain::session::Session;
use crate::fault::{self, Point};
use crate::ports::messenger::MessengerError;
use crate::ports::store::StoreError;

/// What is on record of a message that was typed and submitted unseen.
pub(super) const NO_ECHO: &str =
    "it was typed and submitted, and no echo of it was seen: it may or may not have been taken, and is not typed again";

/// How many messages two sessions may send each other without a person's word to either.
const MAX_DEPTH: u32 = 50;
/// How many messages a session may send another one within [`RATE_PERIOD`].
const MAX_RATE: u32 = 30;
const RATE_PERIOD: Duration = Duration::from_secs(10 * 60);

/// Who works on which session's messages: one at a time, so that rows and files keep their order.
#[derive(Default)]
pub(super) struct MessageLocks {
    locks: Mutex<BTreeMap<SessionId, Arc<tokio::sync::Mutex<()>>>>,
    /// Those of which a task waits for its turn to follow them.
    announced: Mutex<BTreeSet<SessionId>>,
    /// Who has it adds what a session sends another one: what two have sent each other is counted right in both directions.
    counts: tokio::sync::Mutex<()>,
}

impl MessageLocks {
    async fn of(&self, session: &SessionId) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody has are made anew when they are needed.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(session.clone()).or_default().clone()
        };
        lock.lock_owned().await
    }

    /// Whether nobody else is about to follow this session's messages.
    fn announce(&self, session: &SessionId) -> bool {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).insert(session.clone())
    }

    fn begun(&self, session: &SessionId) {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
    }
}

impl Application {
    /// Accepts a message for a session's agent: it is on record and, when the agent runs, in its inbox when this answers. Who sends it
    /// is found out of the caller: the agent of a session, or a person. Asked for again with an id of the caller's, the message
    /// that was accepted under it is answered.
    ///
    /// # Errors
    /// `unknown_session`; `unknown_sender` for who says that it is a session's and is not, or has ended; `session_over`; `message_exists` when another message has that id; `no_text_hooks` when that agent cannot be handed text, and `cannot_be_typed` when not this; `empty_message` and `message_too_large`; or
    /// `inbox_refused` when something stands in the inbox's place.
    pub async fn send(
        &self,
        session: &SessionId,
        id: Option<MessageId>,
        body: String,
        caller: &Caller,
    ) -> Result<MessageRecord, AppError> {
        let (application, session, caller) = (self.clone(), session.clone(), caller.clone());
        self.to_its_end("a message", async move { application.send_now(&session, id, body, &caller).await }).await
    }

    async fn send_now(
        &self,
        id: &SessionId,
        given: Option<MessageId>,
        body: String,
        caller: &Caller,
    ) -> Result<MessageRecord, AppError> {
        let session = self.session(id).await?;
        let sender = match self.identify(caller).await? {
            Identity::Session(from) => Sender::Session(from),
            Identity::Person => Sender::Person,
            Identity::Nobody(who) => {
                let message = format!("{id} is sent nothing by {who}");
                return Err(AppError::new(ErrorKind::Refused, "unknown_sender", message)
                    .hint("in a shell of your own, send as a person: unset AO_SESSION_ID AO_LAUNCH_ID"));
            }
        };
        self.accept(&session, given, body, sender).await
    }

    /// Accepts a message from whoever is known to send it.
    pub(super) async fn accept(
        &self,
        session: &Session,
        given: Option<MessageId>,
        body: String,
        from: Sender,
    ) -> Result<MessageRecord, AppError> {
        // Before anything is refused: it may be answered a second time when the session is over.
        if let Some(given) = &given
            && let Some(known) = self.shared.messages.message(given).await?
        {
            return again(known, &session.id, &body);
        }
        if session.phase.is_terminated() {
            let message = format!("{} is over, so nobody reads its messages", session.id);
            return Err(AppError::new(ErrorKind::Refused, "session_over", message)
                .hint(format!("bring it back with: ao restore {}", session.id)));
        }
        self.takes_text(session)?;
        let lock = self.shared.messages_of.of(&session.id).await;
        let now = self.shared.clock.now();
        let (depth, counts) = match &from {
            Sender::Session(from) => {
                let counts = self.shared.messages_of.counts.lock().await;
                (self.depth_between(from, &session.id, now).await?, Some(counts))
            }
            Sender::Person | Sender::Ao => (0, None),
        };
        let id = given.unwrap_or_else(|| MessageId::hash_of(&uuid::Uuid::new_v4().to_string()));
        let message = Message { id, session: session.id.clone(), from, body, created_at: now };
        self.can_be_handed(session, &message)?;
        let record = MessageRecord { depth, ..MessageRecord::queued(message) };
        match self.shared.messages.insert_message(&record, &[record.change(ChangeKind::MessageQueued)]).await {
            // Asked for twice at once.
            Err(StoreError::Exists { .. }) => {
                return again(self.message(&record.message.id).await?, &session.id, &record.message.body);
            }
            inserted => inserted?,
        }
        drop(counts);
        fault::reach(Point::MessageRecorded)?;
        tracing::info!(session = %session.id, message = %record.message.id, from = %record.message.from, "message accepted");
        self.follow(&session.id).await?;
        drop(lock);
        let record = self.message(&record.message.id).await?;
        match &record.error {
            Some(error) if record.state == MessageState::Failed => {
                Err(AppError::new(ErrorKind::Failed, "message_failed", error.clone())
                    .hint(format!("see what is in the .ao directory of its workspace: ao show {}", session.id)))
            }
            _ => Ok(record),
        }
    }

    /// Insists that the session's agent can be handed text.
    fn takes_text(&self, session: &Session) -> Result<(), AppError> {
        let kind = &session.spec.agent;
        let agent = self.agent(kind)?;
        if agent.text_hooks().is_some() || agent.terminal_input().is_some() {
            return Ok(());
        }
        let message = format!("agent {kind} of {} has no hooks that could hand it a message", session.id);
        let hint = format!(
            "messages are typed into its terminal where config.toml says how its empty prompt looks: prompt = '…' in [agents.{kind}], \
             which names its command too; then ao stop and ao start. See Messages in the README"
        );
        Err(AppError::new(ErrorKind::Refused, "no_text_hooks", message).hint(hint))
    }

    /// Insists that it can be handed this text.
    fn can_be_handed(&self, session: &Session, message: &Message) -> Result<(), AppError> {
        self.shared.messenger.check(message)?;
        let kind = &session.spec.agent;
        let Some(input) = typed_to(&**self.agent(kind)?) else { return Ok(()) };
        input.check(&message.text()).map_err(|cause| {
            let message = format!("the message cannot be typed to {kind} of {}: {cause}", session.id);
            AppError::new(ErrorKind::Invalid, "cannot_be_typed", message).hint(format!(
                "if the program has bracketed paste switched on, say bracketed_paste = true in [agents.{kind}], then ao stop and ao start; \
                 else send one line (the name of a session that sends is a line of its own)"
            ))
        })
    }

    /// How many messages these sessions would have sent each other with this one. What others tell either of them, ao among them, begins nothing
    /// anew: an orchestrator and its worker are bounded as any two are, and one that has thirty workers has as much to say to each.
    async fn depth_between(&self, from: &SessionId, to: &SessionId, now: Timestamp) -> Result<u32, AppError> {
        let depth = self.shared.messages.exchanged(from, to).await?.saturating_add(1);
        if depth > MAX_DEPTH {
            let message = format!(
                "{from} and {to} have sent each other {MAX_DEPTH} messages without a word of a person, so {to} is not sent another one"
            );
            return Err(AppError::new(ErrorKind::Refused, "messages_loop", message)
                .hint(format!("a person's message to either ends that: ao send {from} …")));
        }
        let newest = self.shared.messages.newest_between(from, to, MAX_RATE).await?;
        // What the clock was set back behind counts as long past.
        let is_recent =
            |at: &Timestamp| (0..RATE_PERIOD.as_secs().cast_signed()).contains(&now.duration_since(*at).as_secs());
        if newest.iter().filter(|at| is_recent(at)).count() >= MAX_RATE as usize {
            let message =
                format!("{from} has sent {to} {MAX_RATE} messages within {} minutes", RATE_PERIOD.as_secs() / 60);
            return Err(AppError::new(ErrorKind::Refused, "too_many_messages", message)
                .hint("say more in one message, or wait"));
        }
        Ok(depth)
    }

    /// A message as it is on record.
    ///
    /// # Errors
    /// `unknown_message`, or the store's failure.
    pub async fn message(&self, id: &MessageId) -> Result<MessageRecord, AppError> {
        let unknown = || AppError::new(ErrorKind::NotFound, "unknown_message", format!("there is no message {id}"));
        self.shared.messages.message(id).await?.ok_or_else(unknown)
    }

    /// A session's messages, oldest first.
    ///
    /// # Errors
    /// `unknown_session`, or the store's failure.
    pub async fn messages(&self, session: &SessionId) -> Result<Vec<MessageRecord>, AppError> {
        self.session(session).await?;
        Ok(self.shared.messages.messages(session, false).await?)
    }

    /// Waits until its agent was seen to have taken a message, until that will not happen any more, or for `timeout`.
    ///
    /// # Errors
    /// `unknown_message`, or the store's failure.
    pub async fn wait_for_message(&self, id: &MessageId, timeout: Duration) -> Result<MessageRecord, AppError> {
        let time_is_up = tokio::time::sleep(timeout);
        tokio::pin!(time_is_up);
        loop {
            let seq = self.shared.changes.last_seq().await?;
            let record = self.message(id).await?;
            if record.state.is_settled() || record.state == MessageState::Returned {
                return Ok(record);
            }
            tokio::select! {
                () = self.shared.changes.wait_beyond(seq) => {}
                // As it is by now: what keeps it is no change.
                () = &mut time_is_up => return self.message(id).await,
                () = self.shared.stop.cancelled() => return Ok(record),
            }
        }
    }

    /// Brings the record of a session's messages and their files together: posts those that are not in the inbox yet, and takes in how
    /// far the others have come. Those of an agent that ended go back, for the next one.
    ///
    /// # Errors
    /// The store's failure. What the messenger refuses is on record with the message.
    pub async fn follow_messages(&self, session: &SessionId) -> Result<(), AppError> {
        let _lock = self.shared.messages_of.of(session).await;
        self.follow(session).await
    }

    /// Begins to follow a session's messages, unless somebody is about to: an agent that keeps its inbox locked, or one on a slow disk, must
    /// hold nothing else up.
    pub(super) fn begin_to_follow(&self, session: &SessionId) {
        if !self.shared.messages_of.announce(session) {
            return;
        }
        let (application, session) = (self.clone(), session.clone());
        self.shared.tasks.spawn(async move {
            let _lock = application.shared.messages_of.of(&session).await;
            // Before it looks: what changes from now on is another one's.
            application.shared.messages_of.begun(&session);
            if let Err(error) = application.follow(&session).await {
                tracing::error!(%session, %error, "its messages could not be followed");
            }
        });
    }

    /// Begins to follow the messages of every session that has some of which more may become.
    ///
    /// # Errors
    /// The store's failure.
    pub(super) async fn begin_to_follow_all(&self) -> Result<(), AppError> {
        for session in self.shared.messages.sessions_with_unsettled().await? {
            self.begin_to_follow(&session);
        }
        Ok(())
    }

    /// As [`follow_messages`](Self::follow_messages); the caller works on the session's messages alone.
    async fn follow(&self, id: &SessionId) -> Result<(), AppError> {
        let records = self.shared.messages.messages(id, true).await?;
        if records.is_empty() {
            self.shared.unheard.forget(id);
            return Ok(());
        }
        let Some(session) = self.shared.sessions.session(id).await? else { return Ok(()) };
        match session.phase {
            // Its inbox may not be there yet.
            Phase::Provisioning { .. } => Ok(()),
            Phase::Live => self.follow_live(&session, records).await,
            Phase::Terminated { .. } => self.return_messages(&session, records).await,
        }
    }

    async fn follow_live(&self, session: &Session, records: Vec<MessageRecord>) -> Result<(), AppError> {
        let workspace = &session.spec.workspace;
        let known: BTreeMap<MessageId, Progress> = match self.shared.messenger.progress(workspace).await {
            Ok(known) => known.into_iter().collect(),
            // Whatever stands there, it may be gone at the next look; until then nothing is known of any of them.
            Err(error) => return self.note_hindrance(session, records, &error).await,
        };
        // Those too that are on record as taken, where the daemon died before their files went.
        let open: BTreeSet<&MessageId> = records.iter().map(|record| &record.message.id).collect();
        let is_left = |(id, progress): &(&MessageId, &Progress)| {
            matches!(progress, Progress::Acknowledged { .. }) && !open.contains(id)
        };
        let is_typed_to = self.agent(&session.spec.agent).is_ok_and(|agent| typed_to(&**agent).is_some());
        let why = if is_typed_to { None } else { self.why_unheard(session, &records).await };
        let mut is_to_be_typed = false;
        let mut taken: Vec<MessageId> = known.iter().filter(is_left).map(|(id, _)| id.clone()).collect();
        for mut record in records {
            let changes = match known.get(&record.message.id) {
                Some(progress) => record.observe(progress),
                None => match self.shared.messenger.post(workspace, &record.message).await {
                    Ok(()) => {
                        fault::reach(Point::MessagePosted)?;
                        record.observe(&Progress::Waiting)
                    }
                    // Too long for this messenger, as another ao accepted it.
                    Err(error @ (MessengerError::Empty | MessengerError::TooLarge { .. })) => {
                        record.fail(error.to_string())
                    }
                    Err(error) => {
                        self.note_hindrance(session, vec![record], &error).await?;
                        // Those after it stay behind it.
                        break;
                    }
                },
            };
            // Who types knows what else hinders it.
            if changes.is_empty() && !is_typed_to && record.unchanged(why.as_deref(), self.shared.clock.now()) {
                self.shared.messages.update_message(&record, &[], self.shared.clock.now()).await?;
            }
            self.record(&record, &changes).await?;
            is_to_be_typed |= is_typed_to && awaits_typist(&record);
            if record.state == MessageState::Acknowledged {
                taken.push(record.message.id);
            }
        }
        if is_to_be_typed {
            self.begin_to_type(&session.id);
        }
        if !taken.is_empty() {
            fault::reach(Point::MessageSettled)?;
        }
        // Only now: until it is on record, the file is what knows.
        if !taken.is_empty()
            && let Err(error) = self.shared.messenger.forget(workspace, &taken).await
        {
            tracing::warn!(session = %session.id, %error, "what is left of messages that were taken stays");
        }
        Ok(())
    }

    /// Puts on record what keeps a message from going on, for who asks.
    pub(super) async fn tell_of_message(&self, session: &SessionId, id: &MessageId, why: &str) -> Result<(), AppError> {
        let _lock = self.shared.messages_of.of(session).await;
        // The record as far as its file has come: what is told is about that.
        self.follow(session).await?;
        let Some(mut record) = self.shared.messages.message(id).await? else { return Ok(()) };
        if record.hindered(why) {
            self.shared.messages.update_message(&record, &[], self.shared.clock.now()).await?;
        }
        Ok(())
    }

    /// Puts on record why messages wait, for who asks.
    async fn note_hindrance(
        &self,
        session: &Session,
        records: Vec<MessageRecord>,
        error: &MessengerError,
    ) -> Result<(), AppError> {
        tracing::warn!(session = %session.id, %error, "its messages are not to be got at; it is tried again");
        for mut record in records {
            if record.hindered(&error.to_string()) {
                self.shared.messages.update_message(&record, &[], self.shared.clock.now()).await?;
            }
        }
        Ok(())
    }

    async fn return_messages(&self, session: &Session, records: Vec<MessageRecord>) -> Result<(), AppError> {
        if records.iter().all(|record| record.state == MessageState::Returned) {
            return Ok(());
        }
        let workspace = &session.spec.workspace;
        // What was taken before it ended was taken.
        let known: BTreeMap<MessageId, Progress> =
            self.shared.messenger.progress(workspace).await.unwrap_or_default().into_iter().collect();
        if let Err(error) = self.shared.messenger.take_back(workspace).await {
            tracing::warn!(session = %session.id, %error, "messages of an ended agent could not be taken back");
        }
        for mut record in records {
            let mut changes = match known.get(&record.message.id) {
                Some(progress @ Progress::Acknowledged { .. }) => record.observe(progress),
                _ => Vec::new(),
            };
            changes.extend(record.agent_ended());
            self.record(&record, &changes).await?;
        }
        Ok(())
    }

    async fn record(&self, record: &MessageRecord, changes: &[NewChange]) -> Result<(), AppError> {
        if changes.is_empty() {
            return Ok(());
        }
        tracing::debug!(session = %record.message.session, message = %record.message.id, state = %record.state, "message");
        match self.shared.messages.update_message(record, changes, self.shared.clock.now()).await {
            // Its session's record was removed meanwhile.
            Err(StoreError::Missing { .. }) => Ok(()),
            updated => Ok(updated?),
        }
    }
}

/// Whether a message was typed and submitted, and nothing of it will be seen. Told by what is on record: the words of [`NO_ECHO`] stay.
fn is_unseen(record: &MessageRecord) -> bool {
    record.error.as_deref() == Some(NO_ECHO)
}

/// Whether a message is to be typed, or was and may be seen to be taken.
fn awaits_typist(record: &MessageRecord) -> bool {
    match record.state {
        MessageState::Queued => true,
        MessageState::Injected => !is_unseen(record),
        _ => false,
    }
}

/// The answer to who asks for a message that was accepted before.
fn again(known: MessageRecord, session: &SessionId, body: &str) -> Result<MessageRecord, AppError> {
    if known.message.session == *session && known.message.body == body {
        return Ok(known);
    }
    let message = format!("there is another message {} already", known.message.id);
    Err(AppError::new(ErrorKind::Refused, "message_exists", message).hint("leave the id out, and one is made"))
}

impl From<MessengerError> for AppError {
    fn from(error: MessengerError) -> Self {
        let (kind, code, hint) = match &error {
            MessengerError::Empty => (ErrorKind::Invalid, "empty_message", None),
            MessengerError::TooLarge { .. } => (
                ErrorKind::Invalid,
                "message_too_large",
                Some("put it into a file in the workspace, and send the file's name"),
            ),
            MessengerError::Planted { .. } => {
                (ErrorKind::Failed, "inbox_refused", Some("take away what stands there, and send again"))
            }
            MessengerError::File { .. } => (ErrorKind::Failed, "messenger", None),
        };
        Self::new(kind, code, error.to_string()).hint_opt(hint)
    }
}
