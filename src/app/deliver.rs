//! Deliver: hand an agent what waits for it, in the process of one of its hooks. Needs no daemon.
//!
//! What is handed over is recorded before and after: a hook that is killed in between leaves a message that the next one hands
//! over again, with the same id. Whether the agent has taken it is told by the agent's own record.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::envelope;
use crate::domain::Timestamp;
use crate::domain::id::MessageId;
use crate::domain::message::Route;
use crate::domain::observation::Signal;
use crate::fault::{self, Point};
use crate::ports::agent::Agent;
use crate::ports::clock::Clock;
use crate::ports::mailbox::{Handover, Mailbox, OpenMailbox, Turn};
use crate::ports::messenger::MessengerError;
use crate::ports::text_hooks::{HookAnswer, Seen, TextHooks};

/// How long the agent's own record may take to show what the agent was handed.
const RECORD_BOUND: Duration = Duration::from_secs(10);
/// How often the agent's record is looked at while the agent is idle and something is unconfirmed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long an agent that is in a turn may be silent before it is woken all the same: a turn that a person interrupted ends without a hook.
const SILENCE: Duration = Duration::from_secs(60);
/// How long the hooks of others may hold up that an agent records what ours answered: agents end a hook after ten minutes unless they are told
/// otherwise.
const OTHERS_HOOKS: Duration = Duration::from_secs(11 * 60);
/// How long after its start an agent may take to begin with what it was given.
const START: Duration = Duration::from_secs(3);

/// A call of a hook.
#[derive(Debug, Clone, Copy)]
pub struct HookCall<'a> {
    /// The hook's name.
    pub event: &'a str,
    /// What it was given, whole.
    pub payload: &'a Value,
}

/// Text on its way to the agent: it is to be printed, and then to be recorded as [handed over](Delivery::handed_over).
pub struct Delivery<'mailbox> {
    answer: HookAnswer,
    messages: Vec<MessageId>,
    via: Route,
    mailbox: Box<dyn OpenMailbox + 'mailbox>,
}

impl Delivery<'_> {
    /// What the hook is to answer.
    #[must_use]
    pub fn answer(&self) -> &HookAnswer {
        &self.answer
    }

    /// Whether it holds up the end of a turn, which is not over then.
    #[must_use]
    pub fn holds_turn_up(&self) -> bool {
        self.via == Route::EndOfTurn
    }

    /// Records that it was printed.
    ///
    /// # Errors
    /// [`MessengerError`]: then it is handed over again.
    pub fn handed_over(mut self) -> Result<(), MessengerError> {
        pass(Point::MessagePrinted)?;
        for id in &self.messages {
            self.mailbox.handed_over(id)?;
        }
        pass(Point::MessageHandedOver)
    }
}

/// Notes what the call tells, and gives what there is to be handed over in its answer.
///
/// # Errors
/// [`MessengerError`]; nothing is handed over then.
pub fn deliver<'mailbox>(
    mailbox: &'mailbox dyn Mailbox,
    agent: &dyn Agent,
    call: HookCall<'_>,
    clock: &dyn Clock,
) -> Result<Option<Delivery<'mailbox>>, MessengerError> {
    let Some(hooks) = agent.text_hooks() else { return Ok(None) };
    let signals = agent.interpret(call.event, call.payload);
    if signals.iter().any(Signal::settles_own) {
        mailbox.note_settled()?;
    }
    let turn = turn_after(&signals);
    let delivery = if mailbox.is_quiet()? {
        None
    } else {
        let mut open = mailbox.open()?;
        // What the agent was handed before this turn's end is in its record by now.
        let is_recorded = turn == Some(false);
        let is_open =
            settle(&mut *open, hooks, call, clock.now(), Look { follows: true, is_recorded, is_rested: false })?;
        match hooks.route(call.event, call.payload) {
            // Nothing newer before what is older was taken: the agent may still have that to come.
            Some(route) if !is_open => take(open, hooks, call, route, clock.now())?,
            _ => None,
        }
    };
    match turn {
        // It goes on, from now: other hooks of this event may take their time before the agent has what it was handed.
        Some(false) if delivery.is_some() => mailbox.note_turn(true)?,
        Some(is_in_turn) => mailbox.note_turn(is_in_turn)?,
        None => {}
    }
    Ok(delivery)
}

/// What a look on behalf of an idle agent came to.
pub enum Waited<'mailbox> {
    /// There is something for it.
    Delivery(Delivery<'mailbox>),
    /// There is nothing: look again when something changes, and after so long at the latest; `None` when nothing waits.
    Rest(Option<Duration>),
}

/// Looks whether there is something for an agent that is idle. `begun`: when whoever looks again and again looked first.
///
/// # Errors
/// [`MessengerError`].
pub fn look_for_idle<'mailbox>(
    mailbox: &'mailbox dyn Mailbox,
    (agent, hooks): (&dyn Agent, &dyn TextHooks),
    call: HookCall<'_>,
    begun: Timestamp,
    clock: &dyn Clock,
) -> Result<Waited<'mailbox>, MessengerError> {
    if mailbox.is_quiet()? {
        return Ok(Waited::Rest(None));
    }
    // A start may be followed by a first prompt, and that a prompt begins a turn is noted by the hook that runs beside this one.
    let begins = |signal: &Signal| matches!(signal, Signal::Ready { .. } | Signal::Prompted | Signal::Woken);
    let is_start = agent.interpret(call.event, call.payload).iter().any(begins);
    let mut open = mailbox.open()?;
    let now = clock.now();
    let turn = mailbox.turn()?;
    let busy = match turn {
        Turn::Running { silent } => SILENCE.checked_sub(silent),
        // What began beside this hook is over already.
        Turn::Over { since: Some(over) } if over < since(begun, now) => None,
        Turn::Over { .. } if is_start => START.checked_sub(since(begun, now)),
        Turn::Over { .. } => None,
    };
    let (is_recorded, is_rested) = match turn {
        Turn::Running { silent } => (silent >= OTHERS_HOOKS, false),
        Turn::Over { since: over } => {
            // What a start is part of, as the end of a compaction, tells of no turn, and lets in what stands in line only when it is done.
            let is_rested = !is_start || since(begun, now) >= RECORD_BOUND;
            (busy.is_none(), busy.is_none() && is_rested && over.is_none_or(|over| over >= RECORD_BOUND))
        }
    };
    let look = Look { follows: false, is_recorded, is_rested };
    if settle(&mut *open, hooks, call, now, look)? {
        return Ok(Waited::Rest(Some(busy.map_or(LOOK_INTERVAL, |left| left.min(LOOK_INTERVAL)))));
    }
    if open.waiting()?.is_empty() {
        return Ok(Waited::Rest(None));
    }
    match busy {
        // What cannot be taken is no message, or one of another ao.
        None => Ok(take(open, hooks, call, Route::Wake, now)?.map_or(Waited::Rest(Some(SILENCE)), Waited::Delivery)),
        Some(left) => Ok(Waited::Rest(Some(left))),
    }
}

/// Whether the agent is in a turn after these; `None` when they do not tell.
fn turn_after(signals: &[Signal]) -> Option<bool> {
    signals.iter().rev().find_map(|signal| match signal {
        Signal::Prompted
        | Signal::Woken
        | Signal::Calling(_)
        | Signal::Called(_)
        | Signal::WaitingInput
        | Signal::Settled { subagent: None } => Some(true),
        // A subagent may work on when the agent's own turn is over.
        Signal::Blocked { tool_use, .. } => tool_use.subagent.is_none().then_some(true),
        Signal::Idle | Signal::Failed { .. } => Some(false),
        // Nothing is begun with an agent that ends in the middle of a turn.
        Signal::Ready { .. } | Signal::Ending | Signal::Settled { subagent: Some(_) } => None,
    })
}

fn since(earlier: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(earlier)).unwrap_or_default()
}

/// When it is looked what became of messages.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Whether the call can only have come after what was handed over.
    follows: bool,
    /// Whether what was handed over some seconds ago must be in the agent's record: an agent puts a hook's answer there when all hooks of
    /// that event are over, and others' may take their time.
    is_recorded: bool,
    /// Whether the agent has had nothing to do for so long that it has got to all it had.
    is_rested: bool,
}

/// Finds out what became of what the agent was handed; gives whether that is still open for any.
fn settle(
    open: &mut dyn OpenMailbox,
    hooks: &dyn TextHooks,
    call: HookCall<'_>,
    now: Timestamp,
    look: Look,
) -> Result<bool, MessengerError> {
    let mut is_open = false;
    for message in open.unconfirmed()? {
        // The mailbox is open here: whoever took it out is gone.
        if !message.was_handed_over {
            open.give_back(&message.id)?;
            continue;
        }
        let handover = &message.handover;
        match hooks.seen(call.event, call.payload, &message.id, handover) {
            Seen::Taken => {
                open.confirm(&message.id, now)?;
                pass(Point::MessageConfirmed)?;
            }
            // What an agent answers after it was handed text is all there is to tell.
            Seen::Unknown if look.follows && handover.via != Route::Wake => open.confirm(&message.id, now)?,
            seen => {
                let is_lost = match seen {
                    Seen::Missing => look.is_recorded,
                    // What wakes an agent begins a turn, now or when what stands in line before it is done, and the hook of its prompt would have
                    // shown it: it was woken in a conversation that is over by now.
                    Seen::Unknown => look.is_rested && handover.via == Route::Wake,
                    // A person takes what stands in line out of it.
                    Seen::Held => look.is_rested,
                    Seen::Taken => false,
                };
                if is_lost && since(handover.at, now) >= RECORD_BOUND {
                    open.give_back(&message.id)?;
                } else {
                    is_open = true;
                }
            }
        }
    }
    Ok(is_open)
}

/// Takes out what fits into one answer, in order.
fn take<'mailbox>(
    mut open: Box<dyn OpenMailbox + 'mailbox>,
    hooks: &dyn TextHooks,
    call: HookCall<'_>,
    route: Route,
    now: Timestamp,
) -> Result<Option<Delivery<'mailbox>>, MessengerError> {
    let handover = Handover { via: route, at: now, trace: hooks.trace(call.payload) };
    let most_bytes = hooks.most_bytes(route);
    let (mut text, mut messages) = (String::new(), Vec::new());
    for id in open.waiting()? {
        let Some(letter) = open.take(&id, &handover)? else { continue };
        let mut next = envelope::whole(&letter);
        if next.len() > most_bytes {
            next = envelope::reference(&letter, &open.keep(&id)?.display().to_string());
        }
        if !text.is_empty() && text.len() + next.len() > most_bytes {
            open.give_back(&id)?;
            break;
        }
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(&next);
        messages.push(id);
    }
    if messages.is_empty() {
        return Ok(None);
    }
    pass(Point::MessageTaken)?;
    let answer = hooks.hand_over(call.event, route, &text);
    Ok(Some(Delivery { answer, messages, via: route, mailbox: open }))
}

fn pass(point: Point) -> Result<(), MessengerError> {
    fault::reach(point).map_err(|injected| MessengerError::File {
        action: "go on after",
        path: PathBuf::from(format!("{point:?}")),
        source: injected.into(),
    })
}
