//! What the tools give back: JSON, as structure and as text, in which nothing is left that a terminal would obey.

use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::adapters::cli::client::ClientError;
use crate::adapters::cli::error::{CliError, ExitCode};
use crate::app::view::SessionView;
use crate::domain::message::MessageRecord;
use crate::domain::text::{cut, printable};

/// How much of a task is given where sessions are listed, in characters: it all ends up in a model's context.
const PROMPT_CHARS: usize = 300;
/// How much of a message, likewise.
const BODY_CHARS: usize = 2000;

/// What a call gives: a result, or an error that the model reads.
pub(super) type Answer = Result<CallToolResult, ToolError>;

/// An error that is the tool's answer, and not one of the protocol.
#[derive(Debug)]
pub(super) struct ToolError(pub(super) CliError);

impl From<CliError> for ToolError {
    fn from(error: CliError) -> Self {
        Self(error)
    }
}

impl From<ClientError> for ToolError {
    fn from(error: ClientError) -> Self {
        Self(error.into())
    }
}

impl IntoCallToolResult for ToolError {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::from(self).into())
    }
}

impl From<ToolError> for CallToolResult {
    /// The message, what there is to see, and what to do next; as text, and the same as structure.
    fn from(ToolError(error): ToolError) -> Self {
        let CliError { exit, message, hint, detail } = error;
        let [message, hint, detail] =
            [Some(message), hint, detail].map(|text| text.map(|text| printable(text.trim_end())));
        let lines = [message.clone(), detail.clone(), hint.as_ref().map(|hint| format!("hint: {hint}"))];
        let text = lines.into_iter().flatten().collect::<Vec<_>>().join("\n");
        let mut result = Self::error(vec![ContentBlock::text(text)]);
        let code = code(exit);
        result.structured_content =
            Some(json!({ "error": { "code": code, "message": message, "detail": detail, "hint": hint } }));
        result
    }
}

fn code(exit: ExitCode) -> &'static str {
    match exit {
        ExitCode::Done | ExitCode::Failed => "failed",
        ExitCode::Usage => "invalid",
        ExitCode::Unreachable => "unreachable",
        ExitCode::NotFound => "not_found",
        ExitCode::Refused => "refused",
        ExitCode::TimedOut => "timed_out",
    }
}

/// A value as a result.
pub(super) fn result(value: &impl Serialize) -> Answer {
    let value =
        serde_json::to_value(value).map_err(|error| CliError::failed(format!("cannot write this as JSON: {error}")))?;
    Ok(CallToolResult::structured(in_print(value)))
}

/// What goes out. Parameters that the schema forbids are refused before a tool is asked, with their own words.
pub(super) fn response(response: CallToolResponse) -> CallToolResponse {
    let CallToolResponse::Complete(mut result) = response else { return response };
    for content in &mut result.content {
        if let ContentBlock::Text(text) = content {
            text.text = printable(&text.text);
        }
    }
    CallToolResponse::Complete(result)
}

/// Several values as a result: what is structured must be an object.
pub(super) fn list(name: &str, values: &impl Serialize) -> Answer {
    result(&json!({ name: values }))
}

/// A session as it stands in a list: its task and what it asks cut, and without the end of its output and what it asked before.
pub(super) fn brief(mut session: SessionView) -> SessionView {
    session.prompt = session.prompt.map(|prompt| cut(&prompt, PROMPT_CHARS));
    if let Some(exit) = &mut session.exit {
        exit.output_tail = None;
    }
    session.answered_requests.clear();
    if let Some(request) = &mut session.pending_request {
        let input = request.tool_use.input.to_string();
        if input.chars().count() > PROMPT_CHARS {
            request.tool_use.input = Value::String(cut(&input, PROMPT_CHARS));
        }
    }
    session
}

/// A message as it stands in a list.
pub(super) fn brief_message(mut record: MessageRecord) -> MessageRecord {
    record.message.body = cut(&record.message.body, BODY_CHARS);
    record
}

/// The value with every text in it made printable.
fn in_print(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text)),
        Value::Array(values) => values.into_iter().map(in_print).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (printable(&name), in_print(value))).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_answer_is_obeyed_by_a_terminal() {
        let answer = list("things", &json!([{ "a\u{1b}[2Jb": ["x\u{9b}31m\r\n", 7, null] }])).unwrap();
        let expected = json!({ "things": [{ "a\u{fffd}[2Jb": ["x\u{fffd}31m\u{fffd}\n", 7, null] }] });
        assert_eq!(answer.structured_content, Some(expected.clone()));
        let text = &answer.content[0].as_text().unwrap().text;
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), expected, "{text}");
    }

    #[test]
    fn an_error_says_what_to_do_next() {
        let error = CliError::new(ExitCode::NotFound, "there is no session app-\u{1b}9").hint("see: ao ls -a");
        let result = CallToolResult::from(ToolError(error));
        assert_eq!(result.is_error, Some(true));
        let text = &result.content[0].as_text().unwrap().text;
        assert_eq!(text, "there is no session app-\u{fffd}9\nhint: see: ao ls -a");
        assert_eq!(result.structured_content.unwrap()["error"]["code"], "not_found");
    }
}
