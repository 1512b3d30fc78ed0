//! `ao restore`.

use super::super::args::RestoreArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::{CliError, ExitCode, several};
use super::super::ui;
use super::super::waiting::{Bound, PatientClient, Wait};
use super::spawn::follow;
use super::start;
use crate::adapters::http::wire::{Accepted, RestoreAllAnswer, RestoreRequest};
use crate::app::view::SessionView;
use crate::app::wait::{WaitFor, WaitOutcome};
use crate::domain::change::ChangeKind;
use crate::domain::id::SessionId;

pub(in super::super) async fn run(args: &RestoreArgs, context: &Context) -> Result<(), CliError> {
    start::ensure_running(context).await?;
    let client = Client::new(&context.socket);
    let mut restored = Vec::new();
    let mut failures = Vec::new();
    for (id, begun) in begin(args, &client).await? {
        let outcome = match begun {
            Ok(accepted) => finish(args, context, &client, &accepted).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(session) => {
                if !args.json {
                    ui::data(&format!("{id}\n"))?;
                }
                restored.push(session);
            }
            Err(error) => failures.push((id, error)),
        }
    }
    if args.json {
        ui::json(&restored)?;
    }
    let all = failures.len() + restored.len();
    several(failures, all, "are not restored")
}

/// Asks the daemon to begin; it builds them side by side.
async fn begin(args: &RestoreArgs, client: &Client) -> Result<Vec<(SessionId, Result<Accepted, CliError>)>, CliError> {
    let request = RestoreRequest { queue: args.queue };
    let mut begun = Vec::new();
    if !args.all {
        for id in &args.sessions {
            let answer = client.post::<Accepted>(&format!("/sessions/{id}/restore"), &request).await;
            begun.push((id.clone(), answer.map_err(CliError::from)));
        }
        return Ok(begun);
    }
    let answer: RestoreAllAnswer = client.post("/restore", &request).await?;
    if answer.attempts.is_empty() {
        ui::talk("no session was cut short: there is nothing to restore (ao ls -a shows those that are over)");
    }
    for attempt in answer.attempts {
        let id = attempt.session;
        let outcome = match attempt.refusal {
            Some(refusal) => {
                let exit = if refusal.by_state { ExitCode::Refused } else { ExitCode::Failed };
                Err(CliError { hint: refusal.hint, ..CliError::new(exit, refusal.message) })
            }
            None => match client.get::<SessionView>(&format!("/sessions/{id}")).await {
                Ok(session) => Ok(Accepted { session, seq: answer.seq }),
                Err(error) => Err(error.into()),
            },
        };
        begun.push((id, outcome));
    }
    Ok(begun)
}

/// Waits until the agent is ready; gives why it never was.
async fn finish(
    args: &RestoreArgs,
    context: &Context,
    client: &Client,
    accepted: &Accepted,
) -> Result<SessionView, CliError> {
    let id = &accepted.session.id;
    if args.no_wait {
        return Ok(accepted.session.clone());
    }
    let bound = args.timeout.map_or(Bound::Unheld(context.ready_timeout), Bound::InAll);
    let shows_progress = context.stderr_is_terminal && !args.json;
    let patient = PatientClient::new(client.clone());
    let wait = Wait { state: WaitFor::Ready, bound };
    let answer = follow(&patient, accepted, wait, shows_progress).await?;
    // The session says nothing of it: it is again what it was.
    let changes = patient.changes(id, accepted.seq, 0).await?;
    if let Some(failed) = changes.iter().find(|change| change.kind == ChangeKind::SessionRestoreFailed) {
        let cause = failed.data["cause"].as_str().unwrap_or_default();
        return Err(CliError::failed(format!(
            "{id} could not be restored, and is as it was: {}",
            ui::printable(cause)
        ))
        .hint(format!("when that is mended: ao restore {id}")));
    }
    for note in answer.session.notes.iter().filter(|note| !accepted.session.notes.contains(note)) {
        ui::talk(&format!("{id}: {}", ui::printable(note)));
    }
    match answer.outcome {
        WaitOutcome::TimedOut => Err(patient.timed_out(&answer, WaitFor::Ready).await),
        WaitOutcome::Reached | WaitOutcome::Ended => Ok(answer.session),
    }
}
