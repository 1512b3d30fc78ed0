//! `ao status`.

use super::super::ago;
use super::super::args::JsonArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::ui;
use crate::adapters::http::wire::DaemonInfo;
use crate::app::view::SessionView;

pub(in super::super) async fn run(args: &JsonArgs, context: &Context) -> Result<(), CliError> {
    let client = Client::new(&context.socket);
    let info: DaemonInfo = client.get("/daemon").await?;
    if args.json {
        return ui::json(&info);
    }
    let live: Vec<SessionView> = client.list("/sessions").await?;
    let http = info.http.map(|address| format!("http     http://{address} with the token of: ao token\n"));
    let who = match &info.program {
        Some(program) => format!("program  {program} serves, with ao {} in it", info.version),
        None => format!("daemon   ao {} runs", info.version),
    };
    ui::data(&format!(
        "{who}, pid {}, since {}\ndata     {}\n{}sessions {} live\n",
        info.pid,
        ago::at(info.started_at, context.now(), &context.time_zone),
        info.data_dir.display(),
        http.unwrap_or_default(),
        live.len()
    ))
}
