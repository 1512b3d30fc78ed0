//! The durable state machine of a session:
//! `provisioning(recorded → workspace → setup → prepared → launched) → live → terminated(reason)`; restore leads from
//! `terminated` back to `provisioning`, and a restore that failed back to the end there was.
//!
//! A step is recorded *before* its side effect is taken, so that after a crash the record names the furthest thing that
//! may exist. A transition consumes the phase and refuses, with a typed error, what makes no sense.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::exit::Exit;

/// A step of provisioning. The recorded step is the one being taken: its side effect may or may not have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// The session is on record; nothing else exists.
    Recorded,
    /// The workspace is being made.
    Workspace,
    /// The project's setup runs in the workspace; nothing happens where it has none.
    Setup,
    /// The agent's files are being written.
    Prepared,
    /// The terminal is being made and the agent started in it.
    Launched,
}

impl Step {
    /// The step's name in JSON and in texts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Workspace => "workspace",
            Self::Setup => "setup",
            Self::Prepared => "prepared",
            Self::Launched => "launched",
        }
    }

    /// The step after this one; `None` after the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Recorded => Some(Self::Workspace),
            Self::Workspace => Some(Self::Setup),
            Self::Setup => Some(Self::Prepared),
            Self::Prepared => Some(Self::Launched),
            Self::Launched => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// A person or another session ended it.
    Killed,
    /// The agent's process ended by itself.
    Exited(Exit),
    /// It never became live.
    SpawnFailed {
        /// The step that failed.
        step: Step,
        /// Why, for a person.
        cause: String,
    },
    /// Its terminal is gone, and nothing tells what became of the agent.
    Lost,
}

impl EndReason {
    /// Whether a person should look at it: anything but a kill and a clean exit.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Killed => false,
            Self::Exited(exit) => !exit.is_success(),
            Self::SpawnFailed { .. } | Self::Lost => true,
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed => write!(f, "killed"),
            Self::Exited(exit) => write!(f, "{exit}"),
            Self::SpawnFailed { step, cause } => write!(f, "spawn failed at step {step}: {cause}"),
            Self::Lost => write!(f, "lost"),
        }
    }
}

/// Where a session is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
#[non_exhaustive]
pub enum Phase {
    /// It is being built.
    Provisioning {
        /// The step being taken.
        step: Step,
    },
    /// Its agent was seen running, and has not been seen dead.
    Live,
    /// It is over.
    Terminated {
        /// Why.
        reason: EndReason,
    },
}

/// A transition that makes no sense from the phase a session is in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a session cannot {wanted} while it is {phase}")]
pub struct IllegalTransition {
    /// What was asked for.
    pub wanted: &'static str,
    /// The phase it was asked in.
    pub phase: String,
}

impl Phase {
    /// The phase of a session that was just recorded.
    #[must_use]
    pub fn recorded() -> Self {
        Self::Provisioning { step: Step::Recorded }
    }

    /// On to a provisioning step.
    ///
    /// # Errors
    /// Refused unless `step` is the one after the current one.
    pub fn advance(self, step: Step) -> Result<Self, IllegalTransition> {
        match self {
            Self::Provisioning { step: current } if current.next() == Some(step) => Ok(Self::Provisioning { step }),
            other => Err(other.refuse("take that provisioning step")),
        }
    }

    /// The agent was seen running.
    ///
    /// # Errors
    /// Refused unless the session is at its last provisioning step.
    pub fn go_live(self) -> Result<Self, IllegalTransition> {
        match self {
            Self::Provisioning { step: Step::Launched } => Ok(Self::Live),
            other => Err(other.refuse("go live")),
        }
    }

    /// The spawn failed at the current step.
    ///
    /// # Errors
    /// Refused unless the session is being provisioned.
    pub fn fail(self, cause: String) -> Result<Self, IllegalTransition> {
        match self {
            Self::Provisioning { step } => Ok(Self::Terminated { reason: EndReason::SpawnFailed { step, cause } }),
            other => Err(other.refuse("fail to spawn")),
        }
    }

    /// The session is over.
    ///
    /// # Errors
    /// Refused when it is over already, and for [`EndReason::SpawnFailed`], which is [`Phase::fail`]'s.
    pub fn end(self, reason: EndReason) -> Result<Self, IllegalTransition> {
        match (self, reason) {
            (phase @ Self::Terminated { .. }, _) => Err(phase.refuse("end")),
            (phase, EndReason::SpawnFailed { .. }) => Err(phase.refuse("end as a failed spawn")),
            (_, reason) => Ok(Self::Terminated { reason }),
        }
    }

    /// The session is to be built again. Gives its end, for a restore that fails.
    ///
    /// # Errors
    /// Refused unless the session is over.
    pub fn restore(self) -> Result<(Self, EndReason), IllegalTransition> {
        match self {
            Self::Terminated { reason } => Ok((Self::recorded(), reason)),
            other => Err(other.refuse("be restored")),
        }
    }

    /// The restore failed: the session is over as it was before.
    ///
    /// # Errors
    /// Refused unless the session is being provisioned.
    pub fn give_up_restore(self, reason: EndReason) -> Result<Self, IllegalTransition> {
        match self {
            Self::Provisioning { .. } => Ok(Self::Terminated { reason }),
            other => Err(other.refuse("give up a restore")),
        }
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        matches!(self, Self::Terminated { .. })
    }

    fn refuse(&self, wanted: &'static str) -> IllegalTransition {
        IllegalTransition { wanted, phase: self.to_string() }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provisioning { step } => write!(f, "provisioning ({step})"),
            Self::Live => write!(f, "live"),
            Self::Terminated { reason } => write!(f, "terminated ({reason})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_walks_through_every_step_to_live() {
        let mut phase = Phase::recorded();
        for step in [Step::Workspace, Step::Setup, Step::Prepared, Step::Launched] {
            phase = phase.advance(step).unwrap();
        }
        assert_eq!(phase.go_live().unwrap(), Phase::Live);
    }

    #[test]
    fn steps_are_neither_skipped_nor_repeated() {
        assert!(Phase::recorded().advance(Step::Prepared).is_err());
        assert!(Phase::recorded().advance(Step::Recorded).is_err());
        assert!(Phase::recorded().go_live().is_err());
        assert!(Phase::Live.advance(Step::Workspace).is_err());
    }

    #[test]
    fn the_end_is_final() {
        let over = Phase::Live.end(EndReason::Killed).unwrap();
        assert!(over.clone().end(EndReason::Lost).is_err());
        assert!(over.clone().fail("late".into()).is_err());
        assert!(over.go_live().is_err());
    }

    #[test]
    fn only_what_is_over_is_restored_and_a_failed_restore_is_the_end_it_was() {
        let over = Phase::Live.end(EndReason::Exited(Exit::Code(3))).unwrap();
        let (building, reason) = over.clone().restore().unwrap();
        assert_eq!(building, Phase::recorded());
        assert_eq!(building.give_up_restore(reason).unwrap(), over);
        assert!(Phase::Live.restore().is_err());
        assert!(Phase::recorded().restore().is_err());
        assert!(Phase::Live.give_up_restore(EndReason::Lost).is_err());
    }

    #[test]
    fn a_failed_spawn_names_its_step() {
        let phase = Phase::recorded().advance(Step::Workspace).unwrap().fail("no space".into()).unwrap();
        assert_eq!(phase.to_string(), "terminated (spawn failed at step workspace: no space)");
        assert!(Phase::Live.fail("too late".into()).is_err());
    }
}
