//! `ao messages`.

use super::super::ago::ago;
use super::super::args::SessionArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::live;
use super::super::ui;
use crate::domain::message::MessageRecord;

/// What of a message is cut for a terminal, and to what at most: its text is the last column.
const GIVES_WAY: [(usize, usize); 1] = [(5, 16)];

pub(in super::super) async fn run(args: &SessionArgs, context: &Context) -> Result<(), CliError> {
    let client = Client::new(&context.socket);
    let records: Vec<MessageRecord> = client.list(&format!("/sessions/{}/messages", args.session)).await?;
    if args.json {
        return ui::json(&records);
    }
    if records.is_empty() {
        ui::talk(&format!("no messages for {} yet", args.session));
        return Ok(());
    }
    let now = context.now();
    let row = |record: &MessageRecord| {
        let from = Option::<String>::from(record.message.from.clone());
        let via = record.via.map_or("-", |via| via.as_str());
        vec![
            record.message.id.to_string(),
            ago(record.message.created_at, now),
            from.unwrap_or_else(|| "-".to_owned()),
            record.state.to_string(),
            via.to_owned(),
            ui::first_line(&record.message.body, ui::MAX_TEXT),
        ]
    };
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    let header = ["ID", "SENT", "FROM", "STATE", "VIA", "MESSAGE"];
    let mut text = if context.stdout_is_terminal {
        ui::table_within(live::columns(), &GIVES_WAY, &header, &rows)
    } else {
        ui::table(&header, &rows)
    };
    for record in &records {
        if let Some(error) = &record.error {
            text.push_str(&format!("{}: {}\n", record.message.id, ui::printable(error)));
        }
    }
    ui::data(&text)
}
