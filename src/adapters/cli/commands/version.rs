//! `ao version`.

use serde_json::json;

use super::super::args::JsonArgs;
use super::super::error::CliError;
use super::super::ui;

pub(in super::super) fn run(args: &JsonArgs) -> Result<(), CliError> {
    let version = env!("CARGO_PKG_VERSION");
    if args.json { ui::json(&json!({ "version": version })) } else { ui::data(&format!("ao {version}\n")) }
}
