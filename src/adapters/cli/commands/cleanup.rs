//! `ao cleanup`.

use super::super::args::CleanupArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::ui;
use crate::app::cleanup::{Cleanup, CleanupAction, CleanupRequest};
use crate::ports::workspace::OnWork;

pub(in super::super) async fn run(args: &CleanupArgs, context: &Context) -> Result<(), CliError> {
    let on_work = if args.force { OnWork::Preserve } else { OnWork::Keep };
    let request = CleanupRequest { project: args.project.clone(), dry_run: args.dry_run, on_work };
    let cleanup: Cleanup = Client::new(&context.socket).post("/cleanup", &request).await?;
    if args.json {
        ui::json(&cleanup)?;
    } else {
        tell(&cleanup)?;
    }
    let failed =
        cleanup.items.iter().filter(|item| item.action == CleanupAction::Fail).count() + cleanup.problems.len();
    if failed == 0 {
        return Ok(());
    }
    let shown = if args.json { "see problems, and the items whose action is fail" } else { "see above" };
    Err(CliError::failed(format!("not everything could be cleaned up, nothing was lost: {shown}"))
        .hint("when that is mended: ao cleanup"))
}

fn tell(cleanup: &Cleanup) -> Result<(), CliError> {
    for problem in &cleanup.problems {
        ui::talk(&format!("not looked at: {}", ui::printable(problem)));
    }
    if cleanup.items.is_empty() {
        ui::talk("there is nothing to clean up");
        return Ok(());
    }
    let word = |action| match action {
        CleanupAction::Remove if cleanup.dry_run => "would go",
        CleanupAction::Remove => "removed",
        CleanupAction::Keep if cleanup.dry_run => "would stay",
        CleanupAction::Keep => "kept",
        CleanupAction::Fail => "failed",
    };
    let rows: Vec<Vec<String>> = cleanup
        .items
        .iter()
        .map(|item| vec![item.session.to_string(), word(item.action).to_owned(), ui::printable(&item.reason)])
        .collect();
    ui::data(&ui::table(&["SESSION", "WORKSPACE", "WHY"], &rows))
}
