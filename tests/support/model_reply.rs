//! An answer of the model in the forms the Messages API gives it: whole, and as a stream of events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use serde_json::{Value, json};

use super::Block;

/// A tool call's input arrives in pieces of this many characters, so that a client has to put them together.
const PIECE_CHARS: usize = 400;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// The whole answer.
pub(crate) fn message(model: &Value, blocks: &[Block]) -> Value {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let content: Vec<Value> = blocks
        .iter()
        .enumerate()
        .map(|(index, block)| match block {
            Block::Text(text) => json!({ "type": "text", "text": text }),
            Block::ToolUse { name, input } => {
                json!({ "type": "tool_use", "id": format!("toolu_{number}_{index}"), "name": name, "input": input })
            }
        })
        .collect();
    let calls_tool = blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    json!({
        "id": format!("msg_{number}"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": if calls_tool { "tool_use" } else { "end_turn" },
        "stop_sequence": null,
        "usage": { "input_tokens": 10, "output_tokens": 5 },
    })
}

/// The same answer as server-sent events, one frame each.
pub(crate) struct Events(VecDeque<Bytes>);

impl Events {
    /// The events of a whole answer.
    pub(crate) fn of(message: &Value) -> Self {
        let mut start = message.clone();
        start["content"] = json!([]);
        start["stop_reason"] = Value::Null;
        let mut events = vec![json!({ "type": "message_start", "message": start })];
        for (index, block) in message["content"].as_array().into_iter().flatten().enumerate() {
            events.extend(block_events(index, block));
        }
        events.push(json!({
            "type": "message_delta",
            "delta": { "stop_reason": message["stop_reason"], "stop_sequence": null },
            "usage": { "output_tokens": 5 },
        }));
        events.push(json!({ "type": "message_stop" }));
        let frame = |event: &Value| {
            let name = event["type"].as_str().expect("every event has a type");
            Bytes::from(format!("event: {name}\ndata: {event}\n\n"))
        };
        Self(events.iter().map(frame).collect())
    }
}

fn block_events(index: usize, block: &Value) -> Vec<Value> {
    let mut empty = block.clone();
    let (whole, delta) = if block["type"] == "text" {
        empty["text"] = json!("");
        (block["text"].as_str().expect("a text").to_owned(), ("text_delta", "text"))
    } else {
        empty["input"] = json!({});
        (block["input"].to_string(), ("input_json_delta", "partial_json"))
    };
    let mut events = vec![json!({ "type": "content_block_start", "index": index, "content_block": empty })];
    let chars: Vec<char> = whole.chars().collect();
    for piece in chars.chunks(PIECE_CHARS) {
        let piece: String = piece.iter().collect();
        let (kind, field) = delta;
        let delta = Value::from_iter([("type", json!(kind)), (field, json!(piece))]);
        events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
    }
    events.push(json!({ "type": "content_block_stop", "index": index }));
    events
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|event| Ok(Frame::data(event))))
    }
}
