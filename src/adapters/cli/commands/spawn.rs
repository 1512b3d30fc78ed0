//! `ao spawn`.

use std::io::Read;
use std::time::Duration;

use tokio::time::Instant;

use super::super::args::{SpawnArgs, WaitArg};
use super::super::client::{Client, ClientError};
use super::super::context::Context;
use super::super::error::{CliError, ExitCode};
use super::super::ui;
use super::{show, start};
use crate::adapters::http::wire::{Accepted, AddProject, Changes, MAX_WAIT_MS, TerminalText, WaitAnswer};
use crate::app::projects::Registered;
use crate::app::spawn::SpawnRequest;
use crate::app::view::SessionView;
use crate::app::wait::{WaitFor, WaitOutcome};
use crate::domain::change::{Change, ChangeKind};
use crate::domain::id::{ProjectId, SessionId};
use crate::domain::status::Status;

pub(in super::super) async fn run(args: Box<SpawnArgs>, context: &Context) -> Result<(), CliError> {
    let prompt = prompt(&args, context)?;
    let context = &Context { may_start: context.may_start && !args.no_start, ..context.clone() };
    start::ensure_running(context).await?;
    let client = Client::new(&context.socket);
    let project = project(&args, context, &client).await?;
    let request = SpawnRequest {
        // The caller's configuration decides, not the one the daemon was started with.
        agent: Some(args.agent.clone().unwrap_or_else(|| context.agent.clone())),
        prompt,
        branch: args.branch.clone(),
        base: args.base.clone(),
        permission_mode: Some(args.permission_mode.unwrap_or(context.permission_mode)),
        runtime: Some(args.runtime.clone().unwrap_or_else(|| context.runtime.to_string())),
        issue: args.issue.clone(),
        name: args.name.clone(),
        kind: args.kind.into(),
        agent_args: args.agent_args.clone(),
        queue: args.queue,
        ..SpawnRequest::new(project)
    };
    let accepted: Accepted = client.post("/sessions", &request).await?;
    let Some((state, bound)) = wait_for(&args, context) else {
        return print(&args, &accepted.session);
    };
    let shows_progress = context.stderr_is_terminal && !args.json;
    let answer = follow(&client, &accepted, state, bound, shows_progress).await.map_err(|error| {
        let id = &accepted.session.id;
        CliError { message: format!("{id} was spawned, and then: {}", error.message), ..error }
    })?;
    print(&args, &answer.session)?;
    verdict(&client, &answer, state).await
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
    read.map_err(|error| CliError::failed(format!("cannot read the prompt from {}: {error}", file.display())))?;
    if text.is_empty() {
        return Err(CliError::usage(format!("the prompt in {} is empty", file.display())));
    }
    Ok(Some(text))
}

/// The project that was named, else the one of this directory's repository, which is registered when it is not yet.
async fn project(args: &SpawnArgs, context: &Context, client: &Client) -> Result<ProjectId, CliError> {
    if let Some(project) = &args.project {
        return Ok(project.clone());
    }
    let request = AddProject { path: context.cwd.clone(), id: None };
    let registered: Registered = client.post("/projects", &request).await.map_err(|error| {
        let error = CliError::from(error);
        if error.exit == ExitCode::Failed {
            error.hint("go into a git repository, or name one with --project")
        } else {
            error
        }
    })?;
    let project = registered.project;
    if registered.added {
        ui::talk(&format!("registered {} as project {}", project.path.display(), project.id));
    }
    Ok(project.id)
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    /// So long in all.
    InAll(Duration),
    /// So long once it does not wait in line any more.
    OutOfLine(Duration),
    /// Without limit.
    None,
}

impl Bound {
    fn duration(self) -> Option<Duration> {
        match self {
            Self::InAll(bound) | Self::OutOfLine(bound) => Some(bound),
            Self::None => None,
        }
    }
}

/// What to wait for and how long; `None` for not at all.
fn wait_for(args: &SpawnArgs, context: &Context) -> Option<(WaitFor, Bound)> {
    let asked = args.timeout.map(Bound::InAll);
    match args.wait {
        WaitArg::None => None,
        WaitArg::Ready => Some((WaitFor::Ready, asked.unwrap_or(Bound::OutOfLine(context.ready_timeout)))),
        WaitArg::Idle => Some((WaitFor::Idle, asked.unwrap_or(Bound::None))),
        WaitArg::Exit => Some((WaitFor::Exit, asked.unwrap_or(Bound::None))),
    }
}

/// Waits, and meanwhile tells what happens.
pub(super) async fn follow(
    client: &Client,
    accepted: &Accepted,
    state: WaitFor,
    bound: Bound,
    shows_progress: bool,
) -> Result<WaitAnswer, CliError> {
    let id = &accepted.session.id;
    let mut seq = accepted.seq;
    let waited = {
        let waiting = wait(client, &accepted.session, state, bound);
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                answer = &mut waiting => break answer?,
                told = tell(client, id, seq, MAX_WAIT_MS, shows_progress), if shows_progress => seq = told?,
            }
        }
    };
    if shows_progress {
        tell(client, id, seq, 0, true).await?;
    }
    Ok(waited)
}

async fn wait(client: &Client, session: &SessionView, state: WaitFor, bound: Bound) -> Result<WaitAnswer, ClientError> {
    let id = &session.id;
    let mut status = session.status;
    let mut deadline = bound.duration().map(|bound| Instant::now() + bound);
    loop {
        if let (Bound::OutOfLine(bound), Status::Queued) = (bound, status) {
            deadline = Some(Instant::now() + bound);
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left_ms = left.map_or(MAX_WAIT_MS, |left| u64::try_from(left.as_millis()).unwrap_or(MAX_WAIT_MS));
        let path = format!("/sessions/{id}/wait?for={}&timeout_ms={}", state.as_str(), left_ms.min(MAX_WAIT_MS));
        let answer: WaitAnswer = client.get(&path).await?;
        let waited_in_line = matches!(bound, Bound::OutOfLine(_)) && status == Status::Queued;
        let is_over = left.is_some_and(|left| left <= Duration::from_millis(MAX_WAIT_MS)) && !waited_in_line;
        if answer.outcome != WaitOutcome::TimedOut || is_over {
            return Ok(answer);
        }
        status = answer.session.status;
    }
}

/// Tells the changes after `seq`, waiting up to `wait_ms` for one. Gives the last one's number.
async fn tell(client: &Client, id: &SessionId, seq: u64, wait_ms: u64, aloud: bool) -> Result<u64, ClientError> {
    let path = format!("/events?session={id}&since={seq}&wait_ms={wait_ms}");
    let Changes { changes } = client.get(&path).await?;
    for change in changes.iter().filter(|_| aloud) {
        if let Some(line) = line(change) {
            ui::talk(&format!("{id}  {line}"));
        }
    }
    Ok(changes.last().map_or(seq, |change| change.seq))
}

fn line(change: &Change) -> Option<String> {
    let text = |key: &str| change.data.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    match change.kind {
        ChangeKind::SessionRecorded => Some(format!("recorded, branch {}", text("branch"))),
        ChangeKind::SessionStep => match text("step") {
            "workspace" => Some("making the workspace".to_owned()),
            "prepared" => Some("preparing the agent".to_owned()),
            "launched" => Some("starting the agent".to_owned()),
            _ => None,
        },
        ChangeKind::SessionNote | ChangeKind::SessionWorkspace => {
            Some(format!("note: {}", ui::printable(text("note"))))
        }
        ChangeKind::SessionLive => Some(format!("the agent runs, pid {}", change.data["pid"])),
        ChangeKind::SessionReady => Some("the agent is ready".to_owned()),
        ChangeKind::SessionActivity => Some(format!("the agent is {}", text("activity").replace('_', " "))),
        ChangeKind::SessionQueued => Some(format!("waits in line for a place, {} before it", change.data["ahead"])),
        ChangeKind::SessionRestoring => Some("restoring".to_owned()),
        ChangeKind::SessionRestoreFailed => Some(format!("could not be restored: {}", ui::printable(text("cause")))),
        ChangeKind::SessionTerminated => Some("over".to_owned()),
        ChangeKind::SessionRemoved
        | ChangeKind::ProjectAdded
        | ChangeKind::ProjectRemoved
        | ChangeKind::ProjectTrusted => None,
    }
}

fn print(args: &SpawnArgs, session: &SessionView) -> Result<(), CliError> {
    if args.json { ui::json(session) } else { ui::data(&format!("{}\n", session.id)) }
}

/// A state in a sentence.
fn reached(state: WaitFor) -> &'static str {
    if state == WaitFor::Exit { "over" } else { state.as_str() }
}

/// Success, or why what was waited for did not come.
async fn verdict(client: &Client, answer: &WaitAnswer, state: WaitFor) -> Result<(), CliError> {
    let session = &answer.session;
    let id = &session.id;
    let ended = || session.exit.as_ref().map(show::ended).unwrap_or_default();
    let tail = session.exit.as_ref().and_then(|exit| exit.output_tail.as_deref()).map(ui::printable);
    match answer.outcome {
        WaitOutcome::Reached if session.status == Status::Failed => {
            Err(CliError::failed(format!("{id} failed: {}", ended())).detail(tail).hint(format!("see: ao show {id}")))
        }
        WaitOutcome::Reached => Ok(()),
        WaitOutcome::Ended => {
            let message = format!("{id} ended before it was {}: {}", reached(state), ended());
            Err(CliError::failed(message).detail(tail).hint(format!("see: ao show {id}")))
        }
        WaitOutcome::TimedOut => Err(timed_out(client, answer, state).await),
    }
}

/// The error for a state that was not reached in time, with the screen as it is.
pub(super) async fn timed_out(client: &Client, answer: &WaitAnswer, state: WaitFor) -> CliError {
    let id = &answer.session.id;
    let screen = client.get::<TerminalText>(&format!("/sessions/{id}/screen")).await;
    let screen = screen.ok().map(|screen| ui::printable(&screen.text));
    let message = match answer.session.pid {
        Some(_) => format!("{id} runs, but was not {} in time; its screen:", reached(state)),
        None if answer.session.status == Status::Queued => format!("{id} still waits in line for a place"),
        None => format!("{id} is still being built; it was not {} in time", reached(state)),
    };
    let hint = format!("it was left as it is; see: ao show {id}, or end it: ao kill {id}");
    CliError::new(ExitCode::TimedOut, message).detail(screen).hint(hint)
}
