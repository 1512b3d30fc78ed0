//! Reads a stream of server-sent events.

use std::collections::VecDeque;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio_util::task::AbortOnDropHandle;

/// How long a daemon may be silent: it says something every 15 s, also where nothing happens.
const SILENCE: Duration = Duration::from_secs(60);

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServerEvent {
    /// Up to where its reader knows everything.
    pub(super) id: Option<String>,
    /// What kind of event it is; a change has no name.
    pub(super) name: Option<String>,
    /// What it tells; `None` when it only has an id.
    pub(super) data: Option<String>,
}

/// A stream under way. Dropped, it hangs up.
pub(super) struct EventStream {
    body: Incoming,
    parser: Parser,
    _connection: AbortOnDropHandle<()>,
}

impl EventStream {
    pub(super) fn new(body: Incoming, connection: AbortOnDropHandle<()>) -> Self {
        Self { body, parser: Parser::default(), _connection: connection }
    }

    /// The next event; `None` when the daemon has ended the stream. What was only half received is left out.
    ///
    /// # Errors
    /// Why the connection broke.
    pub(super) async fn next(&mut self) -> Result<Option<ServerEvent>, String> {
        loop {
            if let Some(event) = self.parser.events.pop_front() {
                return Ok(Some(event));
            }
            let frame = tokio::time::timeout(SILENCE, self.body.frame()).await;
            let frame = frame.map_err(|_elapsed| format!("it is silent for {} s", SILENCE.as_secs()))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.parser.take(&bytes);
                    }
                }
            }
        }
    }
}

/// Makes events of what arrives, wherever that is cut.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    event: ServerEvent,
    events: VecDeque<ServerEvent>,
}

impl Parser {
    fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.take_line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
            }
        }
    }

    fn take_line(&mut self, line: &str) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if event != ServerEvent::default() {
                self.events.push_back(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => self.event.name = Some(value.to_owned()),
            "data" => match &mut self.event.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                nothing => *nothing = Some(value.to_owned()),
            },
            // A comment, which has no field, or something newer than this.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_wherever_the_stream_is_cut() {
        let stream = "id: 4\n\n: still here\n\nid: 5\ndata: {\"note\":\"größe: 1\"}\n\nretry: 7\r\ndata\r\n\r\n\
                      event: dropped\ndata: a\ndata:  b\n\nid: 6\ndata: half";
        let event = |id: Option<u64>, name: Option<&str>, data: Option<&str>| ServerEvent {
            id: id.map(|id| id.to_string()),
            name: name.map(str::to_owned),
            data: data.map(str::to_owned),
        };
        let expected = [
            event(Some(4), None, None),
            event(Some(5), None, Some("{\"note\":\"größe: 1\"}")),
            event(None, None, Some("")),
            event(None, Some("dropped"), Some("a\n b")),
        ];
        for length in [1, 2, 3, 7, stream.len()] {
            let mut parser = Parser::default();
            for part in stream.as_bytes().chunks(length) {
                parser.take(part);
            }
            assert_eq!(parser.events, expected, "in parts of {length}");
        }
    }
}
