//! `ao send`.

use std::io::Read;
use std::time::Duration;

use tokio::time::Instant;

use super::super::args::SendArgs;
use super::super::client::{Client, ClientError};
use super::super::context::Context;
use super::super::error::{CliError, ExitCode};
use super::super::ui;
use super::super::waiting::PatientClient;
use super::start;
use crate::adapters::http::wire::SendRequest;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{MessageRecord, MessageState};

/// How long a message is handed again to daemons that go away meanwhile, and how long it is between two of them.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

pub(in super::super) async fn run(args: &SendArgs, context: &Context) -> Result<(), CliError> {
    let body = body(args, context)?;
    let client = Client::new(&context.socket);
    let sent = post(&args.session, body, context, &client).await?;
    let record = if args.wait {
        let patient = PatientClient::new(client);
        patient.wait_for_message(&sent.message.id, args.timeout, it_waits).await.map_err(|error| {
            let error = CliError::from(error);
            CliError {
                message: format!("message {} was accepted, and then: {}", sent.message.id, error.message),
                ..error
            }
        })?
    } else {
        sent
    };
    if args.json {
        ui::json(&record)?;
    } else {
        ui::data(&format!("{}\n", record.message.id))?;
    }
    if let Some(error) = record.error.as_deref().filter(|_| !args.wait) {
        it_waits(error);
    }
    if args.wait { verdict(&record) } else { Ok(()) }
}

fn it_waits(why: &str) {
    ui::talk(&format!("it waits: {}", ui::printable(why)));
}

/// Hands the message to the daemon. The id makes asking again harmless: a daemon that goes away in the middle may have accepted it.
pub(in crate::adapters) async fn post(
    session: &SessionId,
    body: String,
    context: &Context,
    client: &Client,
) -> Result<MessageRecord, CliError> {
    let request = SendRequest { body, id: Some(MessageId::hash_of(&uuid::Uuid::new_v4().to_string())) };
    let path = format!("/sessions/{session}/messages");
    until_answered(context, || client.post(&path, &request)).await
}

/// Asks daemons that go away meanwhile until one answers, and starts one where none runs. What is asked is done once, however often it is asked.
pub(in crate::adapters) async fn until_answered<T, F: Future<Output = Result<T, ClientError>>>(
    context: &Context,
    ask: impl Fn() -> F,
) -> Result<T, CliError> {
    let begun = Instant::now();
    loop {
        let answer = match start::is_to_be_started(context).await {
            Ok(true) => {
                // Where none can be started, trying longer does not help.
                start::start_and_say(context).await?;
                ask().await.map_err(CliError::from)
            }
            Ok(false) => ask().await.map_err(CliError::from),
            Err(error) => Err(error),
        };
        match answer {
            Err(error) if error.exit == ExitCode::Unreachable && context.may_start && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// The text, exactly as given: what a file or standard input holds is passed on byte for byte.
fn body(args: &SendArgs, context: &Context) -> Result<String, CliError> {
    let unusable = |from: &dyn std::fmt::Display, error: std::io::Error| {
        CliError::usage(format!("cannot read the message from {from}: {error}"))
            .hint("give it as an argument, as a file of text (UTF-8) that is there, or - for standard input")
    };
    match (&args.file, args.message.as_deref()) {
        (Some(file), _) => {
            std::fs::read_to_string(context.absolute(file)).map_err(|error| unusable(&file.display(), error))
        }
        (None, Some("-")) => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map(|_| text).map_err(|error| unusable(&"standard input", error))
        }
        (None, message) => Ok(message.unwrap_or_default().to_owned()),
    }
}

/// A reason at the end of a sentence, if there is one.
fn clause(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {}", ui::printable(why)) }
}

/// Success, or what state was reached instead.
fn verdict(record: &MessageRecord) -> Result<(), CliError> {
    let (id, session) = (&record.message.id, &record.message.session);
    let why = record.error.as_deref().unwrap_or_default();
    match record.state {
        MessageState::Acknowledged => Ok(()),
        MessageState::Returned => {
            Err(CliError::new(ExitCode::TimedOut, format!("message {id} is {}: {why}", record.state))
                .hint(format!("bring the agent back, and it gets it: ao restore {session}")))
        }
        MessageState::Failed => Err(CliError::failed(format!("message {id} is {}: {why}", record.state))
            .hint(format!("see: ao show {session}"))),
        MessageState::Queued | MessageState::Injected => Err(CliError::new(
            ExitCode::TimedOut,
            format!("message {id} is {}, and was not taken in time{}", record.state, clause(why)),
        )
        .hint(format!("it stays on its way; see: ao messages {session}"))),
    }
}
