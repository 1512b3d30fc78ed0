//! Typing: hand an agent that has no hooks for text what waits for it, on its terminal.
//!
//! Text is typed where the agent was seen to wait at its empty prompt, twice and right before; it is submitted where it then stands there
//! alone, or unseen where the agent is said to show nothing. A person may type at any moment, so what cannot be known is not submitted, and the message's record says why it waits.
//!
//! How far the typing of a message has come is on record beside its file before each step. A daemon that follows one which was killed
//! goes on from there where the screen shows that it can; else the message waits again, which at most repeats it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Application;
use super::error::{AppError, ErrorKind};
use super::messages::NO_ECHO;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::Route;
use crate::domain::phase::Phase;
use crate::domain::session::{Activity, Session};
use crate::fault::{self, Point};
use crate::ports::agent::Agent;
use crate::ports::mailbox::{Handover, OpenMailbox, Unconfirmed};
use crate::ports::messenger::MessengerError;
use crate::ports::runtime::{Liveness, Runtime, TerminalKey};
use crate::ports::terminal_input::{Echo, TerminalInput};
use memory::{Memory, Unseen};

mod memory;

/// How long the screen must stay as it is before something is typed.
const STILL: Duration = Duration::from_millis(300);
/// How often it is looked whether a message can be typed, and how often once nothing has come of that for [`PATIENCE`].
const LOOK_INTERVAL: Duration = Duration::from_millis(300);
const SLOW_INTERVAL: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the agent may take to show what was typed, from its screen's last change and at most; how long when the daemon stops; and how
/// often that is looked for.
const ECHO_BOUND: Duration = Duration::from_secs(10);
const ECHO_LIMIT: Duration = Duration::from_secs(60);
const STOP_BOUND: Duration = Duration::from_secs(1);
const ECHO_INTERVAL: Duration = Duration::from_millis(100);
/// How often a changing reason for waiting is put on record.
const TELL_INTERVAL: Duration = Duration::from_secs(2);

/// Why a message that was submitted is not acknowledged yet.
const UNMOVED: &str = "it was typed and submitted, and its terminal has not changed since";

/// The sessions whose agents somebody types to, one for each.
#[derive(Default)]
pub(super) struct Typists {
    sessions: Arc<Mutex<HashSet<SessionId>>>,
}

/// The right to type to a session's agent. Over when dropped.
struct Turn {
    sessions: Arc<Mutex<HashSet<SessionId>>>,
    id: SessionId,
}

impl Typists {
    /// `None` when somebody has it.
    fn begin(&self, id: &SessionId) -> Option<Turn> {
        let is_first = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        is_first.then(|| Turn { sessions: self.sessions.clone(), id: id.clone() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// How far the typing of a message is, on record beside its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Typing {
    stage: Stage,
    /// The empty prompt at which it was typed.
    prompt: String,
    /// Whether it was seen to stand there.
    is_echoed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// Nothing was typed.
    Taken,
    /// A part of it may have been.
    Pasting,
    /// All of it was, and it was not submitted.
    Pasted,
    /// It may have been submitted.
    Submitting,
}

/// What becomes of a typist after a look.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// There is nothing for it to do any more.
    Over,
    /// It looks again after so long.
    Look(Duration),
}

/// How this agent is typed to; `None` for one that takes text through hooks, and for one that takes none.
pub(super) fn typed_to(agent: &dyn Agent) -> Option<&dyn TerminalInput> {
    if agent.text_hooks().is_some() { None } else { agent.terminal_input() }
}

impl Application {
    /// Begins to type what waits for a session's agent, unless somebody does already. Ends when nothing waits any more, with the session,
    /// or with the daemon.
    pub(super) fn begin_to_type(&self, id: &SessionId) {
        let Some(turn) = self.shared.typists.begin(id) else { return };
        // As with a watch: waiting must not keep the application.
        let (shared, stop) = (Arc::downgrade(&self.shared), self.shared.stop.clone());
        self.shared.tasks.spawn(async move {
            let mut memory = Memory::new();
            loop {
                let Some(shared) = shared.upgrade() else { return };
                let application = Self { shared };
                let next = match application.type_what_waits(&turn.id, &mut memory).await {
                    Ok(next) => next,
                    Err(error) => application.tell_of_failure(&turn.id, &error, &mut memory).await,
                };
                let Next::Look(pause) = next else { return };
                drop(application);
                if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
            }
        });
    }

    async fn tell_of_failure(&self, id: &SessionId, error: &AppError, memory: &mut Memory) -> Next {
        tracing::warn!(session = %id, %error, "nothing can be typed; it is tried again");
        if let Some(message) = memory.about.take() {
            // What keeps that from being told is in the log already.
            let _ = self.tell_of_message(id, &message, &format!("it cannot be typed just now: {error}")).await;
        }
        Next::Look(SLOW_INTERVAL)
    }

    async fn type_what_waits(&self, id: &SessionId, memory: &mut Memory) -> Result<Next, AppError> {
        let Some(session) = self.shared.sessions.session(id).await? else { return Ok(Next::Over) };
        if session.phase != Phase::Live || session.facts.kill_requested_at.is_some() {
            return Ok(Next::Over);
        }
        let agent = self.agent(&session.spec.agent)?;
        let Some(input) = typed_to(&**agent) else { return Ok(Next::Over) };
        let (runtime, key) = (&**self.runtime(&session.spec.runtime)?, self.terminal_key(&session));
        Typist { application: self, session: &session, input, runtime, key }.look(memory).await
    }
}

/// Who types to one session's agent.
struct Typist<'a> {
    application: &'a Application,
    session: &'a Session,
    input: &'a dyn TerminalInput,
    runtime: &'a dyn Runtime,
    key: TerminalKey,
}

/// A screen on which the agent waits at its empty prompt.
struct Idle {
    screen: String,
    prompt: String,
}

impl Typist<'_> {
    async fn look(&self, memory: &mut Memory) -> Result<Next, AppError> {
        let (unconfirmed, waiting) = self.mail(|open| Ok((open.unconfirmed()?, open.waiting()?))).await?;
        let mut is_watched = false;
        memory.about = waiting.first().cloned();
        for message in unconfirmed {
            let typing = serde_json::from_value(message.handover.trace.clone()).ok();
            match typing {
                Some(typing) if message.was_handed_over => {
                    is_watched |= self.settle(&message, &typing, memory).await?;
                }
                Some(typing) => return self.go_on(message, typing, memory).await,
                // Not a typist's.
                None if message.was_handed_over => {}
                None => return self.give_back(&message.id, memory).await,
            }
        }
        let Some(first) = waiting.first() else {
            return Ok(if is_watched { memory.look_again() } else { Next::Over });
        };
        match self.idle().await? {
            Ok(idle) => self.begin(&waiting, idle, memory).await,
            Err(cause) => {
                self.tell_why_it_waits(first, &cause, memory).await?;
                Ok(memory.look_again())
            }
        }
    }

    /// Finds out whether the agent waits at its empty prompt.
    ///
    /// # Errors
    /// Inside: why it does not, for a person.
    async fn idle(&self) -> Result<Result<Idle, String>, AppError> {
        if let Some(cause) = self.hindrance().await? {
            return Ok(Err(cause.to_owned()));
        }
        let screen = self.screen().await?;
        let prompt = match self.input.empty_prompt(&screen) {
            Ok(prompt) => prompt,
            Err(cause) => return Ok(Err(cause)),
        };
        tokio::time::sleep(STILL).await;
        if self.is_stopping() || self.screen().await? != screen {
            return Ok(Err("its screen changes still".to_owned()));
        }
        Ok(Ok(Idle { screen, prompt }))
    }

    /// Why nothing may be typed just now, whatever the screen shows: the agent asks something, or the one on record is not the one that runs.
    /// Unknown is no yes.
    async fn hindrance(&self) -> Result<Option<&'static str>, AppError> {
        // As it is now: typing takes its time.
        let session = self.application.session(&self.session.id).await?;
        let facts = &session.facts;
        if matches!(facts.activity, Activity::Blocked | Activity::WaitingInput) || facts.requests.first().is_some() {
            return Ok(Some("the agent waits for an answer, and nothing else is typed meanwhile"));
        }
        let seen = self.application.probe_one(&session, &self.key).await;
        let is_there = matches!(seen, Some(Liveness::Alive(process)) if self.session.facts.process == Some(process));
        Ok((!is_there).then_some("the agent is not known to run"))
    }

    /// Types the first message that waits, and submits it.
    async fn begin(&self, waiting: &[MessageId], idle: Idle, memory: &mut Memory) -> Result<Next, AppError> {
        memory.left = None;
        let typing = Typing { stage: Stage::Taken, prompt: idle.prompt, is_echoed: false };
        for id in waiting {
            let (taken, handover) = (id.clone(), self.handover(&typing)?);
            // What is no message of ao's is passed over.
            let Some(letter) = self.mail(move |open| open.take(&taken, &handover)).await? else { continue };
            fault::reach(Point::TerminalTaken)?;
            if let Err(cause) = self.input.check(&letter.text) {
                self.give_back(id, memory).await?;
                self.tell_why_it_waits(id, &cause, memory).await?;
                return Ok(Next::Look(SLOW_INTERVAL));
            }
            // Right before: a person may have begun to type meanwhile.
            if self.hindrance().await?.is_some() || self.screen().await? != idle.screen {
                return self.give_back(id, memory).await;
            }
            let typing = self.note(id, Typing { stage: Stage::Pasting, ..typing }).await?;
            memory.types(id, idle.screen);
            self.paste(&letter.text).await?;
            let typing = self.note(id, Typing { stage: Stage::Pasted, ..typing }).await?;
            fault::reach(Point::TerminalTyped)?;
            return self.submit_when_alone(id, &letter.text, typing, memory).await;
        }
        Ok(memory.look_again())
    }

    async fn paste(&self, text: &str) -> Result<(), AppError> {
        let paste = self.input.paste(text);
        self.press(paste.opening).await?;
        fault::reach(Point::TerminalPasteOpened)?;
        for piece in paste.pieces {
            self.press(piece.as_bytes()).await?;
        }
        self.press(paste.closing).await
    }

    /// Waits until the text stands at the prompt, and submits it if it does alone, or if the agent shows nothing of what is typed, as is its way.
    async fn submit_when_alone(
        &self,
        id: &MessageId,
        text: &str,
        typing: Typing,
        memory: &mut Memory,
    ) -> Result<Next, AppError> {
        let (echo, screen) = self.echo_of(&typing.prompt, text).await?;
        match echo {
            Echo::Alone | Echo::Similar => {
                return self.submit(id, &screen, Typing { is_echoed: true, ..typing }, memory).await;
            }
            Echo::Nothing if !self.input.echoes() => {
                return self.submit(id, &screen, Typing { is_echoed: false, ..typing }, memory).await;
            }
            Echo::Nothing => return self.wait_for_echo(id, memory).await,
            Echo::Other => {}
        }
        if self.is_stopping() {
            // The next daemon looks at it anew.
            return Ok(Next::Over);
        }
        self.leave(id, "it was typed and is not submitted, for it does not stand there alone", memory).await
    }

    /// What the agent shows of the text once its screen stays so, and that screen.
    async fn echo_of(&self, prompt: &str, text: &str) -> Result<(Echo, String), AppError> {
        let begun = Instant::now();
        let (mut last, mut changed) = (None, begun);
        loop {
            let screen = self.screen().await?;
            let echo = self.input.echo(prompt, &screen, text);
            let stays = last.as_ref() == Some(&screen);
            if !stays {
                changed = Instant::now();
            }
            let is_overdue = changed.elapsed() >= ECHO_BOUND
                || begun.elapsed() >= ECHO_LIMIT
                || self.is_stopping() && begun.elapsed() >= STOP_BOUND;
            if is_overdue || stays && matches!(echo, Echo::Alone | Echo::Similar) {
                return Ok((echo, screen));
            }
            last = Some(screen);
            tokio::time::sleep(ECHO_INTERVAL).await;
        }
    }

    /// Leaves a text alone of which nothing is to be seen: the agent may not have come to it, and what a person typed meanwhile would not show
    /// either. Where the prompt stands empty for long, somebody has cleared it: it is typed again.
    async fn wait_for_echo(&self, id: &MessageId, memory: &mut Memory) -> Result<Next, AppError> {
        let screen = self.screen().await?;
        memory.left = Some(match memory.sees_nothing(&screen, Instant::now()) {
            Unseen::TypeAgain if self.idle().await?.is_ok() => {
                memory.was_never_seen();
                memory.left = Some("it was typed and was never to be seen, so it is typed again");
                return self.give_back(id, memory).await;
            }
            Unseen::Wait | Unseen::TypeAgain => {
                "it was typed, and nothing of it is to be seen, so it is not submitted; it is typed again if that stays so for half a minute or more"
            }
            Unseen::Hangs => {
                "it was typed twice, and the screen has not changed since, so the agent seems to hang; it is typed again once the screen changes \
                 and nothing of it is to be seen. Look with ao attach; what is not taken goes to the agent that ao kill and ao restore bring"
            }
        });
        self.tell_why_it_waits(id, &self.input.standing(&screen), memory).await?;
        Ok(Next::Look(SLOW_INTERVAL))
    }

    /// Submits what stands at the prompt, if the screen is this one still.
    async fn submit(
        &self,
        id: &MessageId,
        screen: &str,
        typing: Typing,
        memory: &mut Memory,
    ) -> Result<Next, AppError> {
        if self.hindrance().await?.is_some() || self.screen().await? != screen {
            // It is on record as typed, and looked at anew.
            return Ok(Next::Look(ECHO_INTERVAL));
        }
        self.note(id, Typing { stage: Stage::Submitting, ..typing }).await?;
        self.press(self.input.submit()).await?;
        fault::reach(Point::TerminalSubmitted)?;
        self.handed_over(id).await?;
        fault::reach(Point::TerminalHandedOver)?;
        tracing::info!(session = %self.session.id, message = %id, is_echoed = typing.is_echoed, "message typed");
        self.application.begin_to_follow(&self.session.id);
        Ok(memory.moved())
    }

    /// Goes on with a message whose typing was broken off.
    async fn go_on(&self, message: Unconfirmed, typing: Typing, memory: &mut Memory) -> Result<Next, AppError> {
        let id = &message.id;
        memory.about = Some(id.clone());
        if let Some(cause) = self.hindrance().await? {
            self.tell_why_it_waits(id, cause, memory).await?;
            return Ok(memory.look_again());
        }
        match typing.stage {
            Stage::Taken => self.give_back(id, memory).await,
            Stage::Pasting => {
                // What is typed into a paste that is open still would be of it.
                self.press(self.input.paste("").closing).await?;
                self.leave(id, "typing it was broken off", memory).await
            }
            Stage::Pasted => {
                let Some(text) = self.text_of(id).await? else {
                    return self.give_back(id, memory).await;
                };
                let (echo, screen) = self.echo_of(&typing.prompt, &text).await?;
                match echo {
                    Echo::Alone => {
                        return self.submit(id, &screen, Typing { is_echoed: true, ..typing }, memory).await;
                    }
                    // It would not be typed twice into an agent that has not come to it.
                    Echo::Nothing if self.input.echoes() && memory.has_typed(id) => {
                        return self.wait_for_echo(id, memory).await;
                    }
                    // What is only similar may be a person's by now. Nothing to be seen may also be that a person submitted or cleared it.
                    Echo::Similar | Echo::Nothing | Echo::Other => {}
                }
                self.leave(id, "it was typed and not submitted before typing it was broken off", memory).await
            }
            Stage::Submitting => {
                // Whether Enter went in is not known, and it is not pressed again: it may answer what the first one brought up. Another daemon
                // does not know who took the text away since.
                if typing.is_echoed && memory.has_typed(id) {
                    let Some(text) = self.text_of(id).await? else { return self.give_back(id, memory).await };
                    let (echo, _) = self.echo_of(&typing.prompt, &text).await?;
                    if !matches!(echo, Echo::Alone | Echo::Similar) {
                        self.handed_over(id).await?;
                        return Ok(memory.moved());
                    }
                }
                self.leave(id, "typing it was broken off when it may have been submitted", memory).await
            }
        }
    }

    /// Looks what became of a message that was submitted; gives whether that may still show.
    async fn settle(&self, message: &Unconfirmed, typing: &Typing, memory: &mut Memory) -> Result<bool, AppError> {
        let id = message.id.clone();
        if !typing.is_echoed {
            if memory.unseen.insert(id.clone()) {
                self.application.tell_of_message(&self.session.id, &id, NO_ECHO).await?;
            }
            return Ok(false);
        }
        let Some(text) = self.text_of(&id).await? else { return Ok(false) };
        let now = self.application.shared.clock.now();
        if self.has_gone(&typing.prompt, &text).await? {
            self.mail(move |open| open.confirm(&id, now)).await?;
            fault::reach(Point::TerminalConfirmed)?;
            memory.moved();
            self.application.begin_to_follow(&self.session.id);
            return Ok(false);
        }
        if Duration::try_from(now.duration_since(message.handover.at)).is_ok_and(|since| since > ECHO_BOUND)
            && memory.unseen.insert(id.clone())
        {
            self.application.tell_of_message(&self.session.id, &id, UNMOVED).await?;
        }
        Ok(true)
    }

    /// Whether a text stands at the prompt no more. Seen twice: what is drawn just now may not be drawn to its end.
    async fn has_gone(&self, prompt: &str, text: &str) -> Result<bool, AppError> {
        let is_there = |screen: String| matches!(self.input.echo(prompt, &screen, text), Echo::Alone | Echo::Similar);
        if is_there(self.screen().await?) {
            return Ok(false);
        }
        tokio::time::sleep(ECHO_INTERVAL).await;
        Ok(!is_there(self.screen().await?))
    }

    /// Lets a message wait again of which something may stand at the prompt.
    async fn leave(&self, id: &MessageId, why: &'static str, memory: &mut Memory) -> Result<Next, AppError> {
        (memory.left, memory.told_at) = (Some(why), None);
        let next = self.give_back(id, memory).await?;
        self.tell_why_it_waits(id, &self.input.standing(&self.screen().await?), memory).await?;
        Ok(next)
    }

    async fn text_of(&self, id: &MessageId) -> Result<Option<String>, AppError> {
        let id = id.clone();
        self.mail(move |open| open.text(&id)).await
    }

    async fn handed_over(&self, id: &MessageId) -> Result<(), AppError> {
        let id = id.clone();
        self.mail(move |open| open.handed_over(&id)).await
    }

    async fn give_back(&self, id: &MessageId, memory: &Memory) -> Result<Next, AppError> {
        let id = id.clone();
        self.mail(move |open| open.give_back(&id)).await?;
        Ok(memory.look_again())
    }

    async fn tell_why_it_waits(&self, id: &MessageId, cause: &str, memory: &mut Memory) -> Result<(), AppError> {
        if memory.told_at.is_some_and(|told| told.elapsed() < TELL_INTERVAL) {
            return Ok(());
        }
        memory.told_at = Some(Instant::now());
        let why = memory.left.map_or_else(|| cause.to_owned(), |left| format!("{left}; {cause}"));
        self.application.tell_of_message(&self.session.id, id, &why).await
    }

    /// Puts on record how far the typing of a message is.
    async fn note(&self, id: &MessageId, typing: Typing) -> Result<Typing, AppError> {
        let (id, handover) = (id.clone(), self.handover(&typing)?);
        self.mail(move |open| open.note(&id, &handover)).await?;
        Ok(typing)
    }

    fn handover(&self, typing: &Typing) -> Result<Handover, AppError> {
        let trace = serde_json::to_value(typing)
            .map_err(|error| AppError::new(ErrorKind::Internal, "internal", error.to_string()))?;
        Ok(Handover { via: Route::Terminal, at: self.application.shared.clock.now(), trace })
    }

    async fn screen(&self) -> Result<String, AppError> {
        Ok(self.runtime.screen(&self.key).await?)
    }

    async fn press(&self, bytes: &[u8]) -> Result<(), AppError> {
        if bytes.is_empty() { Ok(()) } else { Ok(self.runtime.input(&self.key, bytes).await?) }
    }

    fn is_stopping(&self) -> bool {
        self.application.shared.stop.is_cancelled()
    }

    /// Opens the mailbox for a moment. Never while something is typed: who looks at the messages meanwhile would wait for that.
    async fn mail<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn OpenMailbox) -> Result<T, MessengerError> + Send + 'static,
    ) -> Result<T, AppError> {
        let mailbox = self.application.shared.messenger.mailbox(&self.session.spec.workspace);
        let task = tokio::task::spawn_blocking(move || work(&mut *mailbox.open()?));
        let done = task.await.map_err(|error| {
            AppError::new(ErrorKind::Internal, "internal", format!("looking at messages broke off: {error}"))
        })?;
        Ok(done?)
    }
}
