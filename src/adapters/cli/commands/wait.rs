//! `ao wait`.

use tokio::task::JoinSet;

use super::super::args::WaitArgs;
use super::super::client::{Client, ClientError};
use super::super::context::Context;
use super::super::error::{CliError, ExitCode};
use super::super::ui;
use super::super::waiting::{Bound, ITS_SCREEN, PatientClient, Wait, in_words};
use super::show;
use crate::adapters::http::wire::WaitAnswer;
use crate::app::wait::WaitFor;
use crate::domain::id::SessionId;

pub(in super::super) async fn run(args: &WaitArgs, context: &Context) -> Result<(), CliError> {
    let client = PatientClient::new(Client::new(&context.socket));
    let wait = Wait { state: args.state.into(), bound: args.timeout.map_or(Bound::None, Bound::InAll) };
    let mut waits = JoinSet::new();
    for id in args.sessions.clone() {
        let client = client.clone();
        waits.spawn(async move { (client.wait(&id, wait).await, id) });
    }
    let mut shortfalls = Vec::new();
    while let Some(waited) = waits.join_next().await {
        let (answer, id): (Result<WaitAnswer, ClientError>, SessionId) =
            waited.map_err(|error| CliError::failed(format!("a wait broke off: {error}")))?;
        // A session that is not there, or can never be seen so, is told at once: the others are not what was meant either.
        let answer = answer.map_err(|error| cannot_wait(&id, wait.state, error))?;
        if args.json {
            ui::json_line(&answer.session)?;
        }
        match client.shortfall(&answer, wait.state).await {
            None => ui::talk(&reached(&answer, wait.state)),
            Some(shortfall) => {
                if args.sessions.len() > 1 {
                    // Several screens would be too much.
                    ui::talk(shortfall.message.trim_end_matches(ITS_SCREEN));
                }
                shortfalls.push(shortfall);
            }
        }
    }
    sum_up(shortfalls, args.sessions.len(), wait.state)
}

fn cannot_wait(id: &SessionId, state: WaitFor, error: ClientError) -> CliError {
    let is_refused = matches!(error, ClientError::Refused { .. });
    let error = CliError::from(error);
    if is_refused {
        return error;
    }
    let message = format!("cannot wait for {id} to be {}: {}", in_words(state), error.message);
    CliError { message, ..error }
}

fn reached(answer: &WaitAnswer, state: WaitFor) -> String {
    let session = &answer.session;
    let id = &session.id;
    if let Some(exit) = &session.exit {
        return format!("{id} is over: {}", show::ended(exit));
    }
    let failed = show::turn_failure(session).map(|cause| format!(": its turn failed: {cause}"));
    format!("{id} is {}{}", in_words(state), failed.unwrap_or_default())
}

/// What several waits came to. Those that still may get there weigh more than those that never will.
fn sum_up(mut shortfalls: Vec<CliError>, waited_for: usize, state: WaitFor) -> Result<(), CliError> {
    if waited_for == 1 {
        return shortfalls.pop().map_or(Ok(()), Err);
    }
    let timed_out = shortfalls.iter().any(|shortfall| shortfall.exit == ExitCode::TimedOut);
    let exit = if timed_out { ExitCode::TimedOut } else { ExitCode::Failed };
    match shortfalls.len() {
        0 => Ok(()),
        short => Err(CliError::new(exit, format!("{short} of {waited_for} sessions were not {}", in_words(state)))
            .hint("see how they are: ao ls -a")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wait_fails_as_it_did_and_several_are_summed_up() {
        let ended = || CliError::failed("app-1 ended");
        let late = || CliError::new(ExitCode::TimedOut, "app-2 is late");
        let sum = |shortfalls, waited_for| sum_up(shortfalls, waited_for, WaitFor::Idle);
        assert_eq!(sum(Vec::new(), 1), Ok(()));
        assert_eq!(sum(vec![late()], 1), Err(late()));
        assert_eq!(sum(Vec::new(), 3), Ok(()));
        assert_eq!(sum(vec![ended()], 3).unwrap_err().exit, ExitCode::Failed);
        let both = sum(vec![late(), ended()], 3).unwrap_err();
        assert_eq!((both.exit, both.message.as_str()), (ExitCode::TimedOut, "2 of 3 sessions were not idle"));
    }
}
