//! `ao kill`.

use super::super::args::KillArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::ui;
use crate::adapters::http::wire::{KillAnswer, KillRequest};
use crate::app::kill::WorkspaceFate;
use crate::app::teardown::{saved, where_its_work_is};
use crate::ports::workspace::{OnWork, Removal};

pub(in super::super) async fn run(args: &KillArgs, context: &Context) -> Result<(), CliError> {
    let path = format!("/sessions/{}/kill", args.session);
    let request = KillRequest { on_work: if args.force { OnWork::Preserve } else { OnWork::Keep } };
    let answer: KillAnswer = Client::new(&context.socket).post(&path, &request).await?;
    if args.json {
        return ui::json(&answer);
    }
    let session = &answer.session;
    let workspace = session.workspace.display();
    ui::talk(&format!("{} is over", session.id));
    match &answer.workspace {
        WorkspaceFate::Settled(Removal::Kept { reason }) => {
            ui::talk(&format!("workspace {workspace} kept: {reason}"));
            let id = &session.id;
            ui::talk(&if args.force {
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
    Ok(())
}
