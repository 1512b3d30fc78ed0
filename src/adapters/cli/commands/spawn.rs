//! `ao spawn`.

use std::io::Read;

use super::super::args::{SpawnArgs, WaitArg};
use super::super::client::{Client, ClientError};
use super::super::context::Context;
use super::super::error::CliError;
use super::super::waiting::{self, Bound, PatientClient, Wait};
use super::super::{happened, ui};
use super::{project, show, start};
use crate::adapters::http::wire::{Accepted, MAX_WAIT_MS, WaitAnswer};
use crate::app::spawn::{SpawnDefaults, SpawnRequest};
use crate::app::view::SessionView;
use crate::app::wait::WaitFor;
use crate::domain::change::{Change, ChangeKind};
use crate::domain::id::SessionId;
use crate::domain::status::Status;

pub(in super::super) async fn run(args: Box<SpawnArgs>, context: &Context) -> Result<(), CliError> {
    let prompt = prompt(&args, context)?;
    let context = &Context { may_start: context.may_start && !args.no_start, ..context.clone() };
    start::ensure_running(context).await?;
    let client = Client::new(&context.socket);
    let project = project::named_or_here(args.project.as_ref(), "--project", context, &client).await?;
    let request = SpawnRequest {
        agent: args.agent.clone(),
        prompt,
        branch: args.branch.clone(),
        base: args.base.clone(),
        permission_mode: args.permission_mode,
        runtime: args.runtime.clone(),
        issue: args.issue.clone(),
        name: args.name.clone(),
        kind: args.kind.into(),
        agent_args: args.agent_args.clone(),
        queue: args.queue,
        // The caller's configuration decides, not the one the daemon was started with.
        defaults: SpawnDefaults {
            agent: Some(context.agent.clone()),
            permission_mode: Some(context.permission_mode),
            runtime: Some(context.runtime.to_string()),
        },
        ..SpawnRequest::new(project)
    };
    let accepted: Accepted = client.post("/sessions", &request).await?;
    let Some((state, bound)) = wait_for(&args, context) else {
        return print(&args, &accepted.session);
    };
    let shows_progress = context.stderr_is_terminal && !args.json;
    let patient = PatientClient::new(client);
    let answer = follow(&patient, &accepted, Wait { state, bound }, shows_progress).await.map_err(|error| {
        let id = &accepted.session.id;
        CliError { message: format!("{id} was spawned, and then: {}", error.message), ..error }
    })?;
    print(&args, &answer.session)?;
    verdict(&patient, &answer, state).await
}

/// The task, exactly as given: what a file or standard input holds is passed on byte for byte.
fn prompt(args: &SpawnArgs, context: &Context) -> Result<Option<String>, CliError> {
    let Some(file) = &args.prompt_file else { return Ok(args.prompt.clone()) };
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(context.absolute(file)).map(|content| text = content)
    };
    read.map_err(|error| {
        CliError::usage(format!("cannot read the prompt from {}: {error}", file.display()))
            .hint("name a file of text (UTF-8) that is there, or - for standard input")
    })?;
    if text.is_empty() {
        return Err(CliError::usage(format!("the prompt in {} is empty", file.display()))
            .hint("write the task into it, or leave --prompt-file out for an agent that is to wait"));
    }
    Ok(Some(text))
}

/// What to wait for and how long; `None` for not at all.
fn wait_for(args: &SpawnArgs, context: &Context) -> Option<(WaitFor, Bound)> {
    let asked = args.timeout.map(Bound::InAll);
    match args.wait {
        WaitArg::None => None,
        WaitArg::Ready => Some((WaitFor::Ready, asked.unwrap_or(Bound::Unheld(context.ready_timeout)))),
        WaitArg::Idle => Some((WaitFor::Idle, asked.unwrap_or(Bound::None))),
        WaitArg::Exit => Some((WaitFor::Exit, asked.unwrap_or(Bound::None))),
    }
}

/// Waits, and meanwhile tells what happens.
pub(super) async fn follow(
    client: &PatientClient,
    accepted: &Accepted,
    wait: Wait,
    shows_progress: bool,
) -> Result<WaitAnswer, CliError> {
    let id = &accepted.session.id;
    let mut seq = accepted.seq;
    let waited = {
        let waiting = client.wait(id, wait);
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                answer = &mut waiting => break answer?,
                told = tell(client, id, seq, MAX_WAIT_MS), if shows_progress => seq = told?,
            }
        }
    };
    if shows_progress {
        tell(client, id, seq, 0).await?;
    }
    Ok(waited)
}

/// Tells the changes after `seq`, waiting up to `wait_ms` for one. Gives the last one's number.
async fn tell(client: &PatientClient, id: &SessionId, seq: u64, wait_ms: u64) -> Result<u64, ClientError> {
    let changes = client.changes(id, seq, wait_ms).await?;
    for line in changes.iter().filter_map(line) {
        ui::talk(&format!("{id}  {line}"));
    }
    Ok(changes.last().map_or(seq, |change| change.seq))
}

/// What of a spawn is worth telling while it goes on.
fn line(change: &Change) -> Option<String> {
    let is_told = match change.kind {
        // Its commands are told one by one.
        ChangeKind::SessionStep => change.data["step"] != "setup",
        ChangeKind::SessionRecorded
        | ChangeKind::SessionSetup
        | ChangeKind::SessionNote
        | ChangeKind::SessionWorkspace
        | ChangeKind::SessionLive
        | ChangeKind::SessionReady
        | ChangeKind::SessionActivity
        | ChangeKind::SessionQueued
        | ChangeKind::SessionRestoring
        | ChangeKind::SessionRestoreFailed
        | ChangeKind::SessionTerminated => true,
        ChangeKind::MessageQueued
        | ChangeKind::MessageInjected
        | ChangeKind::MessageAcknowledged
        | ChangeKind::MessageReturned
        | ChangeKind::MessageFailed
        | ChangeKind::SessionRemoved
        | ChangeKind::SessionAsked
        | ChangeKind::SessionUnheard
        | ChangeKind::SessionDecided
        | ChangeKind::SessionSettled
        | ChangeKind::ProjectAdded
        | ChangeKind::ProjectRemoved
        | ChangeKind::ProjectTrusted => false,
    };
    is_told.then(|| happened::in_words(change))
}

fn print(args: &SpawnArgs, session: &SessionView) -> Result<(), CliError> {
    if args.json { ui::json(session) } else { ui::data(&format!("{}\n", session.id)) }
}

/// Success, or why what was waited for did not come. An agent that failed is a failure also where its end was waited for.
async fn verdict(client: &PatientClient, answer: &WaitAnswer, state: WaitFor) -> Result<(), CliError> {
    if let Some(shortfall) = client.shortfall(answer, state).await {
        return Err(shortfall);
    }
    let session = &answer.session;
    let id = &session.id;
    if let Some(cause) = show::turn_failure(session) {
        let error = CliError::failed(format!("{id} is idle, for its turn failed: {cause}"));
        return Err(error.hint(format!("it takes what it is told next; see: ao show {id}, ao output {id}")));
    }
    if session.status != Status::Failed {
        return Ok(());
    }
    let ended = session.exit.as_ref().map(show::ended).unwrap_or_default();
    let error = CliError::failed(format!("{id} failed: {ended}")).detail(waiting::output_tail(answer));
    Err(error.hint(format!("see: ao show {id}")))
}
