//! `ao approve` and `ao deny`.

use super::super::args::{ApproveArgs, AskedArgs, DenyArgs};
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::ui;
use super::show;
use crate::adapters::http::wire::{DecisionAnswer, DecisionRequest};
use crate::app::view::SessionView;
use crate::domain::approval::Verdict;

pub(in super::super) async fn approve(args: ApproveArgs, context: &Context) -> Result<(), CliError> {
    decide(args.about, Verdict::Allow, None, context).await
}

pub(in super::super) async fn deny(args: DenyArgs, context: &Context) -> Result<(), CliError> {
    decide(args.about, Verdict::Deny, args.reason, context).await
}

async fn decide(
    about: AskedArgs,
    decision: Verdict,
    reason: Option<String>,
    context: &Context,
) -> Result<(), CliError> {
    let AskedArgs { session, request, json } = about;
    let client = Client::new(&context.socket);
    // What is told to be decided is what was asked when this began, not what is asked when the daemon hears of it.
    let mut request = DecisionRequest { decision, reason, request };
    if request.request.is_none() {
        let now: SessionView = client.get(&format!("/sessions/{session}")).await?;
        request.request = now.pending_request.map(|pending| pending.id);
    }
    let answer: DecisionAnswer = client.post(&format!("/sessions/{session}/decision"), &request).await?;
    if json {
        return ui::json(&answer);
    }
    ui::talk(&format!("{session}: {}", ui::printable(&show::answered(&answer.request))));
    if let Some(next) = &answer.session.pending_request {
        let asked = ui::printable(&show::asked(next));
        if next.unheard_since.is_none() {
            ui::talk(&format!("it also asks for {asked}; answer with --request {}", next.id));
        }
    }
    Ok(())
}
