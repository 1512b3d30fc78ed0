//! `ao ls`.

use super::super::args::LsArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::ui;
use super::show;
use crate::app::view::SessionView;
use crate::domain::status::Status;

/// How much of a task is shown, in characters.
const TASK_WIDTH: usize = 36;

pub(in super::super) async fn run(args: &LsArgs, context: &Context) -> Result<(), CliError> {
    let project = args.project.as_ref().map(|project| format!("&project={project}")).unwrap_or_default();
    let path = format!("/sessions?all={}{project}", args.all);
    let sessions: Vec<SessionView> = Client::new(&context.socket).get(&path).await?;
    if args.json {
        return ui::json(&sessions);
    }
    if sessions.is_empty() {
        ui::talk(if args.all { "no sessions yet" } else { "no live sessions; ao ls -a shows ended ones too" });
        return Ok(());
    }
    let rows: Vec<Vec<String>> = sessions.iter().map(row).collect();
    ui::data(&ui::table(&["SESSION", "STATUS", "AGENT", "RUNTIME", "BRANCH", "TASK"], &rows))
}

fn row(session: &SessionView) -> Vec<String> {
    vec![
        session.id.to_string(),
        status(session),
        session.agent.to_string(),
        session.runtime.to_string(),
        ui::printable(&session.branch),
        about(session),
    ]
}

fn status(session: &SessionView) -> String {
    match session.place_in_line {
        Some(place) => format!("{} ({place})", session.status),
        None => session.status.to_string(),
    }
}

/// What the row is about: the reason first when somebody has to look.
fn about(session: &SessionView) -> String {
    if let Some(pending) = &session.pending_request {
        return ui::first_line(&format!("wants {}", pending.tool_use.tool), TASK_WIDTH);
    }
    if let Some(exit) = &session.exit
        && session.status == Status::Failed
    {
        return ui::first_line(exit.cause.as_deref().unwrap_or(&show::ended(exit)), TASK_WIDTH);
    }
    let text = session.name.as_deref().or(session.prompt.as_deref()).map(str::to_owned);
    ui::first_line(&text.unwrap_or_else(|| shell_words::join(&session.agent_args)), TASK_WIDTH)
}
