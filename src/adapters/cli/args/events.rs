//! `ao events`.

use clap::Args;

use crate::domain::id::SessionId;

/// `ao events`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao events app-1                    what became of one session
  ao events -f --since now           what happens from now on; Ctrl-C leaves it
  ao events -f --json --since 1042   each later change as a line of JSON

A line has the change's number, its time, its session and what happened. With -f nothing is missed and nothing told twice: a daemon that goes away meanwhile is waited for, for two minutes.")]
pub struct EventsArgs {
    /// Only this session's
    pub session: Option<SessionId>,
    /// Go on with what happens
    #[arg(long, short)]
    pub follow: bool,
    /// Only what happened after this number, or now [default: everything on record]
    #[arg(long, value_name = "SEQ")]
    pub since: Option<Since>,
    /// Print each change as JSON, on a line of its own
    #[arg(long)]
    pub json: bool,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// After the newest change there is.
    Now,
    /// After the change of this number.
    Change(u64),
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "now" => Ok(Self::Now),
            number => number.parse().map(Self::Change).map_err(|_| format!("{text:?} is neither a number nor now")),
        }
    }
}
