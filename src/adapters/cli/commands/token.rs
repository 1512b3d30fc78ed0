//! `ao token`.

use serde_json::json;

use super::super::args::TokenArgs;
use super::super::client::{Client, ClientError};
use super::super::context::Context;
use super::super::error::CliError;
use super::super::ui;
use crate::adapters::http::token::{Token, TokenError};
use crate::adapters::http::wire::Renewed;

pub(in super::super) async fn run(args: &TokenArgs, context: &Context) -> Result<(), CliError> {
    let file = context.data_dir.token();
    if args.renew {
        // The daemon knows the old one, and who came in with it. Where none runs, the next one reads the file.
        match Client::new(&context.socket).post::<Renewed>("/daemon/token", &json!({})).await {
            Ok(_) => {}
            Err(ClientError::NotRunning { .. }) => {
                Token::renew(&file).map_err(|error| failed(&error))?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let token = Token::load_or_make(&file).map_err(|error| failed(&error))?;
    if args.json {
        return ui::json(&json!({ "token": token.secret(), "file": file, "renewed": args.renew }));
    }
    ui::data(&format!("{}\n", token.secret()))
}

fn failed(error: &TokenError) -> CliError {
    let error_text = format!("there is no token that can be used: {error}");
    CliError::failed(error_text).hint("make a new one with: ao token --renew")
}
