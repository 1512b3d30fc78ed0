//! Admission: how many agents there may be at once, and the line of those that wait for a place.
//!
//! Whoever asked for a place first gets it first. A ticket is on record with its session, so the line outlives the daemon;
//! it is given back in the same write that takes the first step ([`super::writer`]), so that a session whose turn was cut
//! off is still where it was. Those at the head, as many as there are places, are the ones whose turn it is, whether or not
//! somebody has begun with them yet. Whoever's repository cannot be used just now, on a disk that is not mounted say, keeps its
//! place in the line and is passed by.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use serde_json::json;
use tokio::sync::Mutex;

use super::Application;
use super::error::{AppError, ErrorKind};
use super::running::Exclusive;
use super::writer::Ended;
use crate::domain::change::{ChangeKind, NewChange};
use crate::domain::id::SessionId;
use crate::domain::phase::Phase;
use crate::domain::session::Session;
use crate::fault::{self, Point};
use crate::ports::repo::{RepoError, Repository};
use crate::ports::store::SessionFilter;

/// The door: one at a time counts the places and takes one.
#[derive(Default)]
pub(super) struct Admission {
    door: Mutex<()>,
}

/// How a session comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admitted {
    /// It has a place, and is to be built now.
    AtOnce,
    /// It waits in line.
    Waits {
        /// Its place in the line, for the record.
        ticket: u64,
        /// How many come before it.
        ahead: usize,
    },
}

impl Admitted {
    /// What is put on record.
    pub(super) fn ticket(self) -> Option<u64> {
        match self {
            Self::AtOnce => None,
            Self::Waits { ticket, .. } => Some(ticket),
        }
    }

    /// What is told of it, beside what is told of the session anyway.
    pub(super) fn change(self) -> Option<NewChange> {
        match self {
            Self::AtOnce => None,
            Self::Waits { ahead, .. } => Some(NewChange::new(ChangeKind::SessionQueued, json!({ "ahead": ahead }))),
        }
    }
}

/// Who is in, and who waits.
struct Places {
    max: usize,
    /// Sessions that have a place.
    taken: usize,
    /// Those that wait, in order.
    line: Vec<(u64, SessionId)>,
    /// Those of them that are passed by.
    held_up: BTreeSet<SessionId>,
}

impl Places {
    /// `sessions` are all that are not over.
    fn of(sessions: &[Session], max: NonZeroUsize) -> Self {
        let mut line: Vec<_> = sessions.iter().filter_map(waiting).collect();
        line.sort();
        let taken = sessions.iter().filter(|session| session.facts.queue_ticket.is_none()).count();
        Self { max: max.get(), taken, line, held_up: BTreeSet::new() }
    }

    /// Whether there is a place that nobody in line is about to take.
    fn has_room(&self) -> bool {
        self.taken + self.line.len() - self.held_up.len() < self.max
    }

    /// Those whose turn it is.
    fn called_up(self) -> impl Iterator<Item = SessionId> {
        let (held_up, free) = (self.held_up, self.max.saturating_sub(self.taken));
        self.line.into_iter().map(|(_, id)| id).filter(move |id| !held_up.contains(id)).take(free)
    }
}

/// The ticket of a session that waits in line. One that is to be ended is out of it.
fn waiting(session: &Session) -> Option<(u64, SessionId)> {
    let facts = &session.facts;
    let ends = facts.kill_requested_at.is_some() || facts.spawn_failure.is_some();
    facts.queue_ticket.filter(|_| !ends).map(|ticket| (ticket, session.id.clone()))
}

impl Application {
    /// Lets a session in when a place is free, or puts it in line if it may wait. `record` puts the session on record, with the
    /// ticket it is given: nobody else is let in before that is done.
    ///
    /// # Errors
    /// `limit_reached`, when no place is free and it may not wait; the store's failure; or what `record` refuses.
    pub(super) async fn admit<T>(
        &self,
        may_wait: bool,
        record: impl AsyncFnOnce(Admitted) -> Result<T, AppError>,
    ) -> Result<T, AppError> {
        let _door = self.shared.admission.door.lock().await;
        let places = self.places_to_give().await?;
        if places.has_room() {
            return record(Admitted::AtOnce).await;
        }
        if !may_wait {
            return Err(limit_reached(&places));
        }
        // Every session that is put in line is an entry of the log, so its numbers grow with every ticket.
        let last = places.line.last().map_or(0, |(ticket, _)| *ticket);
        let ticket = self.shared.changes.last_seq().await?.max(last) + 1;
        let recorded = record(Admitted::Waits { ticket, ahead: places.line.len() }).await?;
        fault::reach(Point::LineJoined)?;
        Ok(recorded)
    }

    /// Begins with those whose turn it is and that nobody has begun with. Nothing happens when no place is free, nobody waits,
    /// or the daemon stops: the line is kept.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn admit_from_line(&self) -> Result<(), AppError> {
        let _door = self.shared.admission.door.lock().await;
        if self.shared.stop.is_cancelled() {
            return Ok(());
        }
        for id in self.places_to_give().await?.called_up() {
            let Some(exclusive) = self.shared.running.try_exclusive(&id) else { continue };
            let application = self.clone();
            self.shared.tasks.spawn(async move { application.take_turn(&id, exclusive).await });
        }
        Ok(())
    }

    /// The sessions that wait in line, the next one first.
    ///
    /// # Errors
    /// The store's failure.
    pub(super) async fn line(&self) -> Result<Vec<SessionId>, AppError> {
        Ok(self.places().await?.line.into_iter().map(|(_, id)| id).collect())
    }

    async fn places(&self) -> Result<Places, AppError> {
        let sessions = self.shared.sessions.sessions(&SessionFilter::default()).await?;
        Ok(Places::of(&sessions, self.shared.settings.max_live_agents))
    }

    /// The places, and who of those in line cannot be given one now: that is looked at only where there is one to give.
    async fn places_to_give(&self) -> Result<Places, AppError> {
        let mut places = self.places().await?;
        if places.taken >= places.max {
            return Ok(places);
        }
        let mut troubles = BTreeMap::new();
        for (_, id) in &places.line {
            let project = id.project();
            if !troubles.contains_key(&project) {
                let trouble = self.shared.repos.resolve(&project).await.err().filter(RepoError::may_pass);
                troubles.insert(project.clone(), trouble.map(|error| error.to_string()));
            }
            if let Some(trouble) = &troubles[&project] {
                places.held_up.insert(id.clone());
                let note = format!("it goes on waiting in line: {trouble}");
                if let Err(error) = self.shared.writer.note(id, &note).await {
                    tracing::warn!(session = %id, %error, note, "what a session in line waits for could not be noted");
                }
            }
        }
        Ok(places)
    }

    /// Checks again what may have changed while the session waited, and builds it.
    async fn take_turn(&self, id: &SessionId, exclusive: Exclusive) {
        let checked = tokio::select! {
            checked = self.check_again(id) => checked,
            () = exclusive.interrupted() => return,
            () = self.shared.stop.cancelled() => return,
        };
        match checked {
            Ok(Some(repository)) => self.provision(id, &repository, exclusive).await,
            // Somebody settled it before this got the right to it.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(session = %id, %error, "its turn came, and it cannot be built");
                if let Err(error) = self.undo(id, &error.full(), Ended::default()).await {
                    tracing::error!(session = %id, %error, "a session in line could not be ended; it is tried again");
                }
            }
        }
    }

    /// The preflight of a session on record, as it would be made now; `None` when it does not wait any more.
    async fn check_again(&self, id: &SessionId) -> Result<Option<Repository>, AppError> {
        let Some(session) = self.shared.sessions.session(id).await? else { return Ok(None) };
        if !matches!(session.phase, Phase::Provisioning { .. }) || waiting(&session).is_none() {
            return Ok(None);
        }
        let repository = match self.shared.repos.resolve(&id.project()).await {
            // It is passed by from now on.
            Err(error) if error.may_pass() => return Ok(None),
            resolved => resolved?,
        };
        self.agent(&session.spec.agent)?.preflight(&session.spec.agent_args).await?;
        self.runtime(&session.spec.runtime)?.preflight().await?;
        self.shared.workspace.check_tools().await?;
        if session.facts.restoring.is_none() {
            self.shared.workspace.preflight(&self.workspace_request(&session, &repository)).await?;
        }
        fault::reach(Point::LineTurnTaken)?;
        Ok(Some(repository))
    }
}

fn limit_reached(places: &Places) -> AppError {
    let agents = if places.max == 1 { "agent" } else { "agents" };
    let mut message = format!("the limit of {} live {agents} is reached", places.max);
    if !places.line.is_empty() {
        message.push_str(&format!(", and {} in line before it", places.line.len()));
    }
    AppError::new(ErrorKind::Refused, "limit_reached", message)
        .hint("wait in line for a place with --queue, end a session (ao ls, ao kill), or raise max_live_agents")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::phase::Step;
    use crate::domain::session::tests::{at, session};

    fn numbered(number: u32, change: impl FnOnce(&mut Session)) -> Session {
        let mut session = session();
        session.id = format!("app-{number}").parse().unwrap();
        change(&mut session);
        session
    }

    fn live(number: u32) -> Session {
        numbered(number, |_| {})
    }

    fn queued(number: u32, ticket: u64) -> Session {
        numbered(number, |session| {
            session.phase = Phase::recorded();
            session.facts.queue_ticket = Some(ticket);
        })
    }

    fn called_up(sessions: &[Session], max: usize) -> Vec<String> {
        let places = Places::of(sessions, NonZeroUsize::new(max).unwrap());
        places.called_up().map(|id| id.to_string()).collect()
    }

    fn has_room(sessions: &[Session], max: usize) -> bool {
        Places::of(sessions, NonZeroUsize::new(max).unwrap()).has_room()
    }

    #[test]
    fn i14_what_is_built_counts_like_what_is_live() {
        let building = numbered(2, |session| session.phase = Phase::Provisioning { step: Step::Setup });
        assert!(has_room(&[live(1), building.clone()], 3));
        assert!(!has_room(&[live(1), building], 2));
        assert!(has_room(&[], 1));
    }

    #[test]
    fn i14_the_lowest_tickets_get_the_free_places() {
        let sessions = [live(1), queued(2, 30), queued(3, 10), queued(4, 20)];
        assert_eq!(called_up(&sessions, 1), [""; 0]);
        assert_eq!(called_up(&sessions, 2), ["app-3"]);
        assert_eq!(called_up(&sessions, 3), ["app-3", "app-4"]);
        assert_eq!(called_up(&sessions, 9), ["app-3", "app-4", "app-2"]);
        assert_eq!(called_up(&[live(1), live(5), queued(2, 1)], 1), [""; 0], "the limit was lowered");
    }

    #[test]
    fn i14_nobody_passes_those_in_line() {
        assert!(!has_room(&[live(1), queued(2, 10)], 2), "its place is spoken for");
        assert!(has_room(&[live(1), queued(2, 10)], 3));
    }

    #[test]
    fn one_whose_repository_is_away_is_passed_by_and_keeps_its_place() {
        let mut places = Places::of(&[live(1), queued(2, 10), queued(3, 20)], NonZeroUsize::new(2).unwrap());
        places.held_up.insert("app-2".parse().unwrap());
        assert!(!places.has_room(), "the place is for the next one");
        assert_eq!(places.line.len(), 2);
        assert_eq!(places.called_up().map(|id| id.to_string()).collect::<Vec<_>>(), ["app-3"]);
        let mut places = Places::of(&[live(1), queued(2, 10)], NonZeroUsize::new(2).unwrap());
        places.held_up.insert("app-2".parse().unwrap());
        assert!(places.has_room(), "nobody else is held up by it");
    }

    #[test]
    fn one_that_is_to_be_killed_is_out_of_line() {
        let mut first = queued(2, 10);
        first.facts.kill_requested_at = Some(at(5));
        assert_eq!(called_up(&[first, queued(3, 20)], 1), ["app-3"]);
    }
}
