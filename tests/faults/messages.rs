//! What was sent to agents, held against the record of it and against what those agents were told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Row as _};

use crate::bench::{Bench, LOOK};
use crate::findings::Findings;
use crate::hooked::{Heard, heard};
use crate::sandbox::Run;
use crate::world;

/// How long an agent that lives may take to be told all. What it did not take is handed to it again after ten seconds.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// What `ao send` answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// The message was accepted, under this id.
    Accepted(String),
    /// It was refused: the session is over, or has no record.
    Refused,
    /// It could not tell.
    Unknown,
}

/// A message that somebody sent.
#[derive(Debug, Clone)]
struct Sent {
    session: String,
    answer: Answer,
}

/// A message's row. They are in the order in which they were accepted.
#[derive(Debug, Clone)]
struct Record {
    id: String,
    session: String,
    text: String,
    state: String,
    error: Option<String>,
}

/// What it came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) accepted: usize,
    pub(crate) refused: usize,
    /// On record, though nobody was told so.
    pub(crate) unanswered: usize,
    pub(crate) acknowledged: usize,
    /// Told again, with the same id.
    pub(crate) repeats: usize,
    /// Hooks that were killed.
    pub(crate) hooks_killed: usize,
}

/// The messages that were sent, by their texts, of which no two are alike.
#[derive(Debug, Default)]
pub(crate) struct Messages(BTreeMap<String, Sent>);

impl Messages {
    /// A text that no message had.
    pub(crate) fn text(&self) -> String {
        format!("say {}", self.0.len())
    }

    /// Takes in that a message was sent, and what became of that.
    pub(crate) fn sent(&mut self, session: &str, text: String, run: &Run) {
        let answer = match run.code {
            0 => Answer::Accepted(run.json()["id"].as_str().unwrap().to_owned()),
            4 | 5 => Answer::Refused,
            _ => Answer::Unknown,
        };
        self.0.insert(text, Sent { session: session.to_owned(), answer });
    }

    /// The sessions whose agents have not been seen to have taken all.
    pub(crate) async fn open(&self, bench: &Bench) -> BTreeSet<String> {
        let records = records(bench).await;
        records.into_iter().filter(|record| record.state != "acknowledged").map(|record| record.session).collect()
    }

    /// Waits until every live agent was seen to have taken all; what was not taken.
    pub(crate) async fn until_told(&self, bench: &Bench) -> Findings {
        let started = Instant::now();
        loop {
            let live: Vec<_> = world::rows(bench).await.into_iter().filter(world::Row::is_live).collect();
            let mut open = records(bench).await;
            open.retain(|record| record.state != "acknowledged" && live.iter().any(|row| row.id == record.session));
            if open.is_empty() || started.elapsed() > TOLD_WITHIN {
                let lost = open.iter().map(|record| format!("the agent lives, and has not taken {record:?}")).collect();
                return Findings { lost, ..Findings::default() };
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Holds what was sent against the record, and that against what agents were told.
    pub(crate) async fn check(&self, bench: &Bench) -> Findings {
        let mut findings = Findings::default();
        let records = records(bench).await;
        for (text, sent) in &self.0 {
            let found: Vec<&Record> = records.iter().filter(|record| record.text == *text).collect();
            let is_its = |record: &&Record| match &sent.answer {
                Answer::Accepted(id) => record.id == *id && record.session == sent.session,
                Answer::Refused => false,
                Answer::Unknown => record.session == sent.session,
            };
            let is_right = match sent.answer {
                Answer::Accepted(_) => found.len() == 1,
                Answer::Refused | Answer::Unknown => found.len() <= 1,
            };
            if found.len() > 1 {
                findings.duplicated.push(format!("message {text:?}: {found:?}"));
            }
            let is_right = is_right && found.iter().all(is_its);
            findings.expect(is_right, || format!("message {text:?} ({sent:?}) is on record as {found:?}"));
        }
        for record in &records {
            let says_why = record.error.as_deref().is_some_and(|error| !error.is_empty());
            let is_truthful = match record.state.as_str() {
                "queued" | "injected" | "acknowledged" => true,
                "returned" => says_why,
                // Nothing here is such that it could never be handed over.
                _ => false,
            };
            findings.expect(is_truthful, || format!("the state of a message: {record:?}"));
        }
        let sessions: BTreeSet<&str> = records.iter().map(|record| record.session.as_str()).collect();
        for session in sessions {
            let records: Vec<&Record> = records.iter().filter(|record| record.session == session).collect();
            check_agent(session, &records, &heard(bench, session), &mut findings);
        }
        findings
    }

    /// Counts. The repeats are those of which [`check`](Self::check) finds that they had a cause.
    pub(crate) async fn tally(&self, bench: &Bench) -> Tally {
        let records = records(bench).await;
        let sessions: BTreeSet<&str> = records.iter().map(|record| record.session.as_str()).collect();
        let heard: Vec<Vec<Heard>> = sessions.iter().map(|session| heard(bench, session)).collect();
        let told = |heard: &Vec<Heard>| heard.iter().filter(|one| matches!(one, Heard::Told { .. })).count();
        let different = |heard: &Vec<Heard>| {
            let ids = heard.iter().filter_map(|one| if let Heard::Told { id, .. } = one { Some(id) } else { None });
            ids.collect::<BTreeSet<_>>().len()
        };
        let accepted = self.0.values().filter(|sent| matches!(sent.answer, Answer::Accepted(_))).count();
        Tally {
            accepted,
            refused: self.0.values().filter(|sent| sent.answer == Answer::Refused).count(),
            unanswered: records.len().saturating_sub(accepted),
            acknowledged: records.iter().filter(|record| record.state == "acknowledged").count(),
            repeats: heard.iter().map(|heard| told(heard) - different(heard)).sum(),
            hooks_killed: heard.iter().flatten().filter(|one| **one == Heard::HookDied).count(),
        }
    }
}

/// Holds what one session's agent was told against the record: nothing else than what was sent, in that order, all that it is said to have
/// taken, and nothing twice unless the agent or a hook of it had died in between.
fn check_agent(session: &str, records: &[&Record], heard: &[Heard], findings: &mut Findings) {
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    let mut newest = 0;
    let mut deaths = 0;
    for one in heard {
        let Heard::Told { id, text } = one else {
            deaths += 1;
            continue;
        };
        let place = records.iter().position(|record| record.id == *id && record.text == *text);
        let Some(place) = place else {
            findings.duplicated.push(format!("{session} was told {text:?} as {id}, which is no message of it"));
            continue;
        };
        match told.insert(id, deaths) {
            Some(before) if before == deaths => {
                findings.duplicated.push(format!("{session} was told {text:?} again, though nothing had died"));
            }
            Some(_) => {}
            None => {
                findings.expect(place >= newest, || format!("{session} was told {text:?} late: {heard:?}"));
                newest = place;
            }
        }
    }
    for record in records.iter().filter(|record| record.state == "acknowledged") {
        findings.expect(told.contains_key(record.id.as_str()), || format!("{session} was never told {record:?}"));
    }
}

/// The messages on record.
async fn records(bench: &Bench) -> Vec<Record> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(bench.path("data/ao.db")).read_only(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let found = sqlx::query("SELECT * FROM messages ORDER BY number").fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let record = |row: &sqlx::sqlite::SqliteRow| Record {
        id: row.get("id"),
        session: row.get("session_id"),
        text: row.get("body"),
        state: row.get("state"),
        error: row.get("error"),
    };
    found.iter().map(record).collect()
}
