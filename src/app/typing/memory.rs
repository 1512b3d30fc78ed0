//! What a typist remembers from one look to the next: what it typed last, and whether anything of that was ever to be seen.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{ECHO_INTERVAL, LOOK_INTERVAL, Next, PATIENCE, SLOW_INTERVAL};
use crate::domain::id::MessageId;

/// How long an agent may take before a text of which nothing was ever to be seen is typed again at its empty prompt.
const UNSEEN_BOUND: Duration = Duration::from_secs(30);

/// The message that a typist typed last.
struct Typed {
    id: MessageId,
    at: Instant,
    /// How often it was typed, this time included once that is known, and nothing of it was ever to be seen.
    unseen: u32,
    /// What the screen showed when it was looked at last, and whether that was ever something else since it was typed.
    screen: String,
    has_moved: bool,
}

/// What is to become of a message that was typed and is not to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unseen {
    /// The agent may show it yet.
    Wait,
    /// The agent had the time that it may need.
    TypeAgain,
    /// The agent has shown nothing at all since it was typed for the second time: one that hangs would read all of them one day.
    Hangs,
}

/// What a typist remembers from one look to the next.
pub(super) struct Memory {
    /// The message that it is about.
    pub(super) about: Option<MessageId>,
    /// What it left at the prompt.
    pub(super) left: Option<&'static str>,
    /// The message that it typed last.
    typed: Option<Typed>,
    /// When something last came of a look.
    moved_at: Instant,
    /// When it last said why a message waits.
    pub(super) told_at: Option<Instant>,
    /// Messages of which it is on record that nothing more was seen.
    pub(super) unseen: BTreeSet<MessageId>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { about: None, left: None, typed: None, moved_at: Instant::now(), told_at: None, unseen: BTreeSet::new() }
    }

    pub(super) fn types(&mut self, id: &MessageId, screen: String) {
        let unseen = self.typed.take().filter(|typed| typed.id == *id).map_or(0, |typed| typed.unseen);
        self.typed = Some(Typed { id: id.clone(), at: Instant::now(), unseen, screen, has_moved: false });
    }

    pub(super) fn has_typed(&self, id: &MessageId) -> bool {
        self.typed.as_ref().is_some_and(|typed| typed.id == *id)
    }

    /// Takes in that nothing of it was ever to be seen.
    pub(super) fn was_never_seen(&mut self) {
        if let Some(typed) = &mut self.typed {
            typed.unseen = typed.unseen.saturating_add(1);
        }
    }

    /// What is to become of the message that was typed last, of which this screen shows nothing.
    pub(super) fn sees_nothing(&mut self, screen: &str, now: Instant) -> Unseen {
        let Some(typed) = &mut self.typed else { return Unseen::TypeAgain };
        if typed.screen != screen {
            screen.clone_into(&mut typed.screen);
            typed.has_moved = true;
        }
        // Twice as long each time.
        if now.duration_since(typed.at) < UNSEEN_BOUND.saturating_mul(2_u32.saturating_pow(typed.unseen)) {
            Unseen::Wait
        } else if typed.unseen > 0 && !typed.has_moved {
            Unseen::Hangs
        } else {
            Unseen::TypeAgain
        }
    }

    pub(super) fn look_again(&self) -> Next {
        Next::Look(if self.moved_at.elapsed() < PATIENCE { LOOK_INTERVAL } else { SLOW_INTERVAL })
    }

    pub(super) fn moved(&mut self) -> Next {
        self.moved_at = Instant::now();
        Next::Look(ECHO_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_hangs_is_typed_to_twice_and_once_more_each_time_it_goes_on() {
        let (id, frozen) = (MessageId::hash_of("a"), "hello\n> ".to_owned());
        let mut memory = Memory::new();
        let sees_nothing =
            |memory: &mut Memory, screen: &str, after: Duration| memory.sees_nothing(screen, Instant::now() + after);
        memory.types(&id, frozen.clone());
        assert_eq!(sees_nothing(&mut memory, &frozen, Duration::ZERO), Unseen::Wait);
        // As when a person cleared the line before it showed: nothing has changed then either.
        assert_eq!(sees_nothing(&mut memory, &frozen, UNSEEN_BOUND), Unseen::TypeAgain);
        // Typed again because of a draft beside it: it was seen.
        memory.types(&id, frozen.clone());
        assert_eq!(sees_nothing(&mut memory, &frozen, UNSEEN_BOUND), Unseen::TypeAgain);
        memory.was_never_seen();
        memory.types(&id, frozen.clone());
        assert_eq!(sees_nothing(&mut memory, &frozen, UNSEEN_BOUND), Unseen::Wait, "twice as long");
        assert_eq!(sees_nothing(&mut memory, &frozen, UNSEEN_BOUND * 100), Unseen::Hangs);
        assert_eq!(sees_nothing(&mut memory, "hello\nagain\n> ", UNSEEN_BOUND * 100), Unseen::TypeAgain);
        assert_eq!(sees_nothing(&mut memory, &frozen, UNSEEN_BOUND * 100), Unseen::TypeAgain, "it did change");
        memory.was_never_seen();
        memory.types(&id, frozen.clone());
        assert_eq!(sees_nothing(&mut memory, &frozen, UNSEEN_BOUND * 100), Unseen::Hangs);
        // Another message is another matter.
        memory.types(&MessageId::hash_of("b"), frozen.clone());
        assert_eq!(sees_nothing(&mut memory, &frozen, UNSEEN_BOUND), Unseen::TypeAgain);
    }
}
