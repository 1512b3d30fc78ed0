//! `ao kill`.

use super::super::args::KillArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::ui;
use crate::adapters::http::wire::{KillAnswer, KillRequest};
use crate::app::kill::WorkspaceFate;
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
        WorkspaceFate::Settled(
            Removal::Removed { preserved: Some(saved), .. } | Removal::Missing { preserved: Some(saved), .. },
        ) => {
            ui::talk(&format!("the workspace is gone; its uncommitted work is saved in {}", saved.reference));
            ui::talk(&format!(
                "it comes back with: ao restore {}; see it with: git show {}",
                session.id, saved.reference
            ));
        }
        WorkspaceFate::Settled(Removal::Removed { branch_deleted: true, .. }) => {
            ui::talk(&format!("workspace removed; branch {} held nothing new and went with it", session.branch));
        }
        WorkspaceFate::Settled(Removal::Removed { branch_deleted: false, .. }) => {
            ui::talk(&format!("workspace removed; what it committed is on branch {}", session.branch));
        }
        WorkspaceFate::Settled(Removal::Kept { reason }) => {
            ui::talk(&format!("workspace {workspace} kept: {reason}"));
            let id = &session.id;
            ui::talk(&if args.force {
                format!("it cannot be saved as it is: settle that there, then: ao kill {id}")
            } else {
                format!("commit or discard that there, then: ao kill {id}; or have it saved: ao kill --force {id}")
            });
        }
        WorkspaceFate::Settled(Removal::Missing { .. }) => {}
        WorkspaceFate::Unsettled { cause } => {
            ui::talk(&format!("workspace {workspace} could not be removed: {cause}"));
            ui::talk(&format!("try again with: ao kill {}", session.id));
        }
    }
    Ok(())
}
