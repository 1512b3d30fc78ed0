//! `ao messages`.

use super::super::args::SessionArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::ui;
use crate::domain::message::MessageRecord;

/// How much of a message is shown, in columns.
const BODY_WIDTH: usize = 60;

pub(in super::super) async fn run(args: &SessionArgs, context: &Context) -> Result<(), CliError> {
    let client = Client::new(&context.socket);
    let records: Vec<MessageRecord> = client.get(&format!("/sessions/{}/messages", args.session)).await?;
    if args.json {
        return ui::json(&records);
    }
    if records.is_empty() {
        ui::talk(&format!("no messages for {} yet", args.session));
        return Ok(());
    }
    let row = |record: &MessageRecord| {
        let from = record.message.from.as_ref().map_or("-", |from| from.as_str());
        let via = record.via.map_or("-", |via| via.as_str());
        vec![
            record.message.id.to_string(),
            record.message.created_at.strftime("%F %T").to_string(),
            from.to_owned(),
            record.state.to_string(),
            via.to_owned(),
            ui::first_line(&record.message.body, BODY_WIDTH),
        ]
    };
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    let mut text = ui::table(&["ID", "SENT", "FROM", "STATE", "VIA", "MESSAGE"], &rows);
    for record in &records {
        if let Some(error) = &record.error {
            text.push_str(&format!("{}: {}\n", record.message.id, ui::printable(error)));
        }
    }
    ui::data(&text)
}
