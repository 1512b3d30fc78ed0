//! Follow: each line of a session's terminal as it comes, until the session is over.
//!
//! Nothing is queued for anybody: each reader asks for what comes next when it can take it. Where the runtime numbers lines it is asked for those
//! that were not told yet, and it is known how many went by; else the text is compared with what was told of it, and it is known whether some may have.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Application;
use super::error::AppError;
use super::told_lines::{self, Look, ToldLines};
use super::view::{ExitView, SessionView};
use crate::domain::Timestamp;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::ports::runtime::{LinesFrom, RuntimeError};
use crate::ports::setup::Stage;

/// How often is looked. No runtime tells of lines by itself.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// As much as any runtime keeps: with less, more lines than that could go by between two looks.
const ALL_LINES: usize = 6_000;

/// What is new of a session's terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputNews {
    /// Lines came.
    Lines(OutputLines),
    /// The session is over; nothing follows.
    End(ExitView),
}

/// Lines of a terminal. One on the screen that changed is told again as it is then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutputLines {
    /// The lines, in order.
    pub lines: Vec<String>,
    /// Lines that came before them and could not be told.
    pub unseen: Option<Unseen>,
}

/// Lines that went by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unseen {
    /// How many; `None` where that is not known, nor whether there were any.
    pub lines: Option<u64>,
}

/// Up to where a reader knows everything. What it is made of means something to ao alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputPlace {
    source: Source,
    next: u64,
    mark: u64,
}

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// What the project's setup prints.
    Setup,
    /// What was kept of a terminal that is not there.
    Kept,
    /// The terminal of the launch at this time.
    Terminal { launched_at_ms: i64 },
}

impl fmt::Display for OutputPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::Setup => write!(f, "setup")?,
            Source::Kept => write!(f, "kept")?,
            Source::Terminal { launched_at_ms } => write!(f, "{launched_at_ms}")?,
        }
        write!(f, "-{}-{:x}", self.next, self.mark)
    }
}

/// A text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is no place in the output of a session")]
pub struct NoPlace;

impl FromStr for OutputPlace {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let mut parts = text.rsplitn(3, '-');
        let mut part = || parts.next().ok_or(NoPlace);
        let mark = u64::from_str_radix(part()?, 16).map_err(|_| NoPlace)?;
        let next = part()?.parse().map_err(|_| NoPlace)?;
        let source = match part()? {
            "setup" => Source::Setup,
            "kept" => Source::Kept,
            time => Source::Terminal { launched_at_ms: time.parse().map_err(|_| NoPlace)? },
        };
        Ok(Self { source, next, mark })
    }
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFrom {
    /// With the last lines there are, so many.
    Last(usize),
    /// After what an earlier reader knew.
    Place(OutputPlace),
}

/// A reader of a session's terminal.
#[derive(Debug)]
pub struct OutputFollower {
    application: Application,
    id: SessionId,
    /// Where it begins; `None` once it has.
    begin: Option<OutputFrom>,
    source: Source,
    told: ToldLines,
    look_at: Instant,
    is_over: bool,
}

impl Application {
    /// Follows what a session's terminal shows, and before it what its project's setup prints.
    ///
    /// # Errors
    /// `unknown_session`, or the store's failure.
    pub async fn follow_output(&self, id: &SessionId, from: OutputFrom) -> Result<OutputFollower, AppError> {
        self.session(id).await?;
        Ok(OutputFollower {
            application: self.clone(),
            id: id.clone(),
            begin: Some(from),
            source: Source::Kept,
            told: ToldLines::default(),
            look_at: Instant::now(),
            is_over: false,
        })
    }
}

/// What one look saw.
struct Seen {
    source: Source,
    look: Look,
    /// Not sure without numbers: what may have gone by is told to be.
    is_sure: bool,
    /// Up to which number it is known already, for the first look of a source.
    known_to: Option<u64>,
    /// Nothing more will come of this source.
    is_all: bool,
}

impl OutputFollower {
    /// Up to where everything was given: who begins anew there misses nothing that is still to be had. `None` as long as nothing was looked at.
    #[must_use]
    pub fn place(&self) -> Option<OutputPlace> {
        match self.begin {
            Some(OutputFrom::Place(place)) => Some(place),
            Some(OutputFrom::Last(_)) => None,
            None => Some(OutputPlace { source: self.source, next: self.told.next(), mark: self.told.mark() }),
        }
    }

    /// What comes next, which is waited for; at first what there is, also where that is nothing. `None` after the end, and once the application is shut down. Nothing is lost when this is
    /// dropped before it answers.
    ///
    /// # Errors
    /// `unknown_session` once it is forgotten; the runtime's failure, or the store's.
    pub async fn next(&mut self) -> Result<Option<OutputNews>, AppError> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            let shared = &self.application.shared;
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return Ok(None),
                () = tokio::time::sleep_until(self.look_at) => {}
            }
            // In this order: what it printed before its end is there by then.
            let session = self.application.session(&self.id).await?;
            let exit = SessionView::of(&session, shared.clock.now()).exit;
            let seen = self.look(&session).await?;
            // Nothing waits from here on, so nothing is lost.
            let is_last = seen.look.is_last && !seen.is_all;
            let is_idle = is_last && exit.is_none();
            self.look_at = if is_idle { Instant::now() + LOOK_INTERVAL } else { Instant::now() };
            let is_first = self.begin.is_some();
            let news = self.take(seen, exit.is_some());
            if is_first || news != OutputLines::default() {
                return Ok(Some(OutputNews::Lines(news)));
            }
            if let Some(exit) = exit.filter(|_| is_last) {
                self.is_over = true;
                return Ok(Some(OutputNews::End(exit)));
            }
        }
    }

    /// What is new in it.
    fn take(&mut self, seen: Seen, is_over: bool) -> OutputLines {
        let Seen { source, look, is_sure, known_to, is_all } = seen;
        let is_first = matches!(self.begin, Some(OutputFrom::Last(_)));
        let expected = known_to.unwrap_or_else(|| self.told.next());
        let missing = look.first.saturating_sub(expected);
        // Who asks for the last lines has what there is.
        let unseen = match (is_first, is_sure) {
            (true, _) => None,
            (false, false) => Some(Unseen { lines: None }),
            (false, true) => (missing > 0).then_some(Unseen { lines: Some(missing) }),
        };
        if let Some(known_to) = known_to {
            self.told.begin(&look, known_to);
        }
        (self.begin, self.source) = (None, source);
        let lines = self.told.news(look, is_over || is_first || is_all);
        if is_all {
            (self.source, self.told) = (Source::Kept, ToldLines::default());
        }
        OutputLines { lines, unseen }
    }

    async fn look(&self, session: &Session) -> Result<Seen, AppError> {
        if let Some(text) = self.application.setup_tail(session, ALL_LINES).await {
            return Ok(self.compare(Source::Setup, &text));
        }
        let before = match self.begin {
            Some(OutputFrom::Place(place)) => place.source,
            Some(OutputFrom::Last(_)) => Source::Kept,
            None => self.source,
        };
        if before == Source::Setup {
            // It is over: what came since the last look is told before anything of the terminal.
            let text = self.application.setup_output(&self.id, Stage::Setup, ALL_LINES).await?;
            return Ok(Seen { is_all: true, ..self.compare(Source::Setup, &text) });
        }
        let launched_at_ms = session.facts.launched_at.map_or(0, Timestamp::as_millisecond);
        let source = Source::Terminal { launched_at_ms };
        let runtime = self.application.runtime(&session.spec.runtime)?;
        let key = self.application.terminal_key(session);
        let from = match self.begin {
            Some(OutputFrom::Last(lines)) => LinesFrom::Last(lines),
            Some(OutputFrom::Place(place)) if place.source == source => LinesFrom::Number(place.next),
            None if self.source == source => LinesFrom::Number(self.told.first()),
            // Another terminal, of which nothing was told.
            _ => LinesFrom::Number(0),
        };
        let text = match runtime.lines(&key, from).await {
            Ok(Some(lines)) => {
                let end = lines.first + lines.lines.len() as u64;
                let known_to = match (self.begin, from) {
                    (Some(OutputFrom::Last(asked)), _) if lines.is_last => {
                        Some(lines.first.max(end.saturating_sub(asked as u64)))
                    }
                    (Some(OutputFrom::Last(_)), _) => Some(lines.first),
                    // A screen that has become shorter is another one.
                    (Some(_), LinesFrom::Number(next)) if lines.is_last && next > end => Some(lines.settled),
                    (Some(_), LinesFrom::Number(next)) => Some(next),
                    _ => (self.source != source).then_some(0),
                };
                let look =
                    Look { first: lines.first, lines: lines.lines, settled: lines.settled, is_last: lines.is_last };
                // Of another launch's terminal nobody knows any more what came at its end.
                let is_sure = before == source || before == Source::Kept;
                return Ok(Seen { source, look, is_sure, known_to, is_all: false });
            }
            Ok(None) => runtime.output(&key, ALL_LINES).await,
            Err(error) => Err(error),
        };
        match text {
            Ok(text) => Ok(self.compare(source, &text)),
            Err(RuntimeError::NoTerminal { .. }) => {
                Ok(self.compare(Source::Kept, session.facts.output_tail.as_deref().unwrap_or_default()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A look at a text whose lines have no numbers.
    fn compare(&self, source: Source, text: &str) -> Seen {
        let (whole, is_sure) = ToldLines::default().number(text);
        let end = whole.lines.len() as u64;
        let begun = |known_to, is_sure| Seen { source, look: whole, is_sure, known_to: Some(known_to), is_all: false };
        match self.begin {
            Some(OutputFrom::Last(lines)) => begun(end.saturating_sub(lines as u64), true),
            Some(OutputFrom::Place(place)) if place.source == source => {
                match told_lines::place(text, place.next, place.mark) {
                    Some(known_to) => begun(known_to, true),
                    // To tell all of it again would be as wrong, and much.
                    None => begun(end, false),
                }
            }
            None if self.source == source => {
                let (look, is_sure) = self.told.number(text);
                Seen { source, look, is_sure, known_to: None, is_all: false }
            }
            _ => begun(0, is_sure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written_and_nothing_else_is_one() {
        for source in [Source::Setup, Source::Kept, Source::Terminal { launched_at_ms: 1_700_000_000_000 }] {
            let place = OutputPlace { source, next: 30_000, mark: u64::MAX };
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for wrong in ["", "17", "setup-1", "setup-x-1", "other-1-1", "setup-1-1-", "--"] {
            assert_eq!(wrong.parse::<OutputPlace>(), Err(NoPlace), "{wrong:?}");
        }
    }
}
