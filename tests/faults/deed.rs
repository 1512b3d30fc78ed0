//! What is done at random, and how often.

use crate::dice::Dice;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Spawn,
    Kill,
    KillForce,
    Restore,
    Cleanup,
    Send,
    Write,
    Commit,
    KillDaemon,
    StopDaemon,
    KillParent,
    KillServer,
    KillAgent,
    KillHook,
}

/// How often each is done, of all.
const DEEDS: [(Deed, usize); 14] = [
    (Deed::Spawn, 24),
    (Deed::Kill, 10),
    (Deed::KillForce, 8),
    (Deed::Restore, 12),
    (Deed::Cleanup, 4),
    (Deed::Send, 36),
    (Deed::Write, 12),
    (Deed::Commit, 6),
    (Deed::KillDaemon, 8),
    (Deed::StopDaemon, 4),
    (Deed::KillParent, 4),
    (Deed::KillServer, 4),
    (Deed::KillAgent, 4),
    (Deed::KillHook, 4),
];

impl Deed {
    /// One of them.
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        let mut roll = dice.below(DEEDS.iter().map(|(_, weight)| weight).sum());
        for (deed, weight) in DEEDS {
            if roll < weight {
                return deed;
            }
            roll -= weight;
        }
        Self::Spawn
    }
}
