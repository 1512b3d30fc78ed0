//! Caller: who asks for something, as far as that can be known of a process.
//!
//! What a process says of itself, in its environment, anybody can write. So a session's agent is known by what it cannot choose: its process,
//! from which the caller descends; and, where that family was left, the control group of its launch or the launch's own id, which was made up for it and is
//! nowhere but in its environment and in ao's private records. Who says that it is a session's and is not is refused, and never taken for a
//! person. All the same: whoever runs as the user can do what the user can. This stops those that mean well.

use super::Application;
use super::error::{AppError, ErrorKind};
use crate::domain::id::SessionId;
use crate::domain::session::{ProcessIdentity, Session};
use crate::ports::runtime::Marks;
use crate::ports::store::SessionFilter;

/// Who asks: a process, and what is to be seen of where it comes from.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The process and those it descends from, nearest first. One that has ended has none.
    pub ancestry: Vec<ProcessIdentity>,
    /// What they bear of an agent's launch.
    pub marks: Marks,
    /// The session for which the daemon itself started one of them, for a command of the project's.
    pub serves: Option<SessionId>,
    /// What it says that it belongs to.
    pub claims: Option<Claim>,
    /// Whether no process could be found for it that could be looked at, and it has shown the user's token.
    pub bears_token: bool,
    /// Whether it is the program itself that the application is a part of.
    pub is_host: bool,
}

impl Caller {
    /// The program that the application is a part of, which acts for a person: whoever ran it could as well ask in another way.
    #[must_use]
    pub fn of_this_program() -> Self {
        Self { is_host: true, ..Self::default() }
    }
}

/// What a process's environment says that it belongs to, in this data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// A session, by this id (`AO_SESSION_ID`).
    Session(String),
    /// The launch of some agent (`AO_LAUNCH_ID`).
    Launch,
}

/// Who somebody turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// A person, or a program of theirs.
    Person,
    /// The agent of a session that is not over, something that it started, or a command of the project's in its workspace.
    Session(SessionId),
    /// Nobody that it can be taken for. Says what it is, for a person.
    Nobody(String),
}

impl Application {
    /// Finds out who calls.
    pub(super) async fn identify(&self, caller: &Caller) -> Result<Identity, AppError> {
        if caller.bears_token || caller.is_host {
            return Ok(Identity::Person);
        }
        if caller.ancestry.is_empty() {
            return Ok(Identity::Nobody(
                "a process that cannot be looked at: it has ended, or is of another container".to_owned(),
            ));
        }
        let sessions = self.shared.sessions.sessions(&SessionFilter::default()).await?;
        let is_its = |session: &&Session| session.facts.process.is_some_and(|agent| caller.ancestry.contains(&agent));
        if let Some(session) = sessions.iter().find(is_its) {
            return Ok(Identity::Session(session.id.clone()));
        }
        if !caller.marks.is_none() {
            for session in &sessions {
                if self.has_launched(session, &caller.marks).await {
                    return Ok(Identity::Session(session.id.clone()));
                }
            }
        }
        if let Some(served) = &caller.serves {
            return Ok(Identity::Session(served.clone()));
        }
        match &caller.claims {
            None => Ok(Identity::Person),
            Some(claim) => Ok(Identity::Nobody(self.pretender(claim).await?)),
        }
    }

    /// Insists that a person asks; `what` is only theirs to do.
    ///
    /// # Errors
    /// `not_a_person`, with that hint for one.
    pub(super) async fn insist_on_person(&self, caller: &Caller, what: &str, hint: String) -> Result<(), AppError> {
        let who = match self.identify(caller).await? {
            Identity::Person => return Ok(()),
            Identity::Session(session) => format!("the agent of {session}"),
            Identity::Nobody(who) => who,
        };
        let message = format!("only a person {what}, and this is {who}");
        Err(AppError::new(ErrorKind::Refused, "not_a_person", message).hint(hint))
    }

    async fn has_launched(&self, session: &Session, marks: &Marks) -> bool {
        match self.runtime(&session.spec.runtime) {
            Ok(runtime) => runtime.has_launched(&self.terminal_key(session), marks).await,
            Err(_) => false,
        }
    }

    /// What somebody is whose claim is not true.
    async fn pretender(&self, claim: &Claim) -> Result<String, AppError> {
        let Claim::Session(name) = claim else {
            return Ok("a process of an agent's launch (AO_LAUNCH_ID) that is on no record, or over".to_owned());
        };
        let known = match name.parse::<SessionId>() {
            Ok(id) => self.shared.sessions.session(&id).await?,
            Err(_) => None,
        };
        let why = match known {
            None => "which is on no record",
            Some(session) if session.phase.is_terminated() => "which is over",
            Some(_) => "and neither descends from its agent nor bears the mark of its launch (AO_LAUNCH_ID)",
        };
        Ok(format!("a process that says it is of session {name:?} (AO_SESSION_ID), {why}"))
    }
}
