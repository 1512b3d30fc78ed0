//! `ao output`.

use super::super::args::OutputArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::ui;
use crate::adapters::http::wire::TerminalText;

pub(in super::super) async fn run(args: &OutputArgs, context: &Context) -> Result<(), CliError> {
    let stage = match (args.setup, args.teardown) {
        (true, _) => "&stage=setup",
        (_, true) => "&stage=teardown",
        _ => "",
    };
    let path = format!("/sessions/{}/output?lines={}{stage}", args.session, args.tail);
    let output: TerminalText = Client::new(&context.socket).get(&path).await?;
    if args.json {
        return ui::json(&output);
    }
    if output.text.trim().is_empty() {
        let of = ["its project's setup", "its project's teardown", "its terminal"];
        let of = of[if args.setup { 0 } else { 1 + usize::from(!args.teardown) }];
        ui::talk(&format!("nothing is kept of what {of} printed"));
    }
    let mut text = output.text;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    ui::data(&text)
}
