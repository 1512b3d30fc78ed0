//! `ao kill`.

use super::super::args::KillArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::{CliError, several};
use super::super::ui;
use crate::adapters::http::wire::{KillAnswer, KillRequest};
use crate::app::kill::WorkspaceFate;
use crate::app::teardown::{saved, where_its_work_is};
use crate::domain::id::SessionId;
use crate::ports::workspace::{OnWork, Removal};

pub(in super::super) async fn run(args: &KillArgs, context: &Context) -> Result<(), CliError> {
    let client = Client::new(&context.socket);
    let on_work = if args.force { OnWork::Preserve } else { OnWork::Keep };
    // Side by side: an agent may take its time to end. They are told of in the order in which they were asked for.
    let kills: Vec<_> = args
        .sessions
        .iter()
        .map(|id| {
            let (id, client) = (id.clone(), client.clone());
            (id.clone(), tokio::spawn(async move { kill(&id, on_work, &client).await }))
        })
        .collect();
    let mut failures = Vec::new();
    for (id, killed) in kills {
        let killed = killed.await.map_err(|error| CliError::failed(format!("the end of {id} broke off: {error}")))?;
        match killed {
            Ok(answer) if args.json && args.sessions.len() == 1 => ui::json(&answer)?,
            Ok(answer) if args.json => ui::json_line(&answer)?,
            Ok(answer) => tell(&answer, args.force),
            Err(error) => failures.push((id, error)),
        }
    }
    several(failures, args.sessions.len(), "are not over")
}

async fn kill(id: &SessionId, on_work: OnWork, client: &Client) -> Result<KillAnswer, CliError> {
    Ok(client.post(&format!("/sessions/{id}/kill"), &KillRequest { on_work }).await?)
}

fn tell(answer: &KillAnswer, force: bool) {
    let session = &answer.session;
    let workspace = session.workspace.display();
    ui::talk(&format!("{} is over", session.id));
    match &answer.workspace {
        WorkspaceFate::Settled(Removal::Kept { reason }) => {
            ui::talk(&format!("workspace {workspace} kept: {reason}"));
            let id = &session.id;
            ui::talk(&if force {
                format!("it cannot be saved as it is: settle that there, then: ao kill {id}")
            } else {
                format!("commit or discard that there, then: ao kill {id}; or have it saved: ao kill --force {id}")
            });
        }
        WorkspaceFate::Settled(removal) => {
            let (saved, was_there) = (saved(removal), matches!(removal, Removal::Removed { .. }));
            if let Some(work) = where_its_work_is(removal, &session.branch).filter(|_| was_there || saved.is_some()) {
                ui::talk(&format!("workspace {}; {work}", if was_there { "removed" } else { "gone" }));
            }
            if let Some(saved) = saved {
                let (id, reference) = (&session.id, &saved.reference);
                ui::talk(&format!("it comes back with: ao restore {id}; see it with: git show {reference}"));
            }
        }
        WorkspaceFate::Unsettled { cause } => {
            ui::talk(&format!("workspace {workspace} could not be removed: {cause}"));
            ui::talk(&format!("try again with: ao kill {}", session.id));
        }
    }
}
