//! `ao hook`: what agents' hooks call. It hands one report to the daemon, or to the spool when no daemon takes it, and is
//! never an error or a delay for the agent: it says nothing, always succeeds, and is bounded in time.

use std::io::Read;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;

use super::client::{Client, ClientError};
use crate::domain::Timestamp;
use crate::domain::id::{AgentKind, SessionId};
use crate::domain::report::HookReport;
use crate::ports::spool::ReportSpool;

/// How long the daemon may take before the report goes to the spool.
const DAEMON_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long the hook's input is waited for.
const INPUT_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of the hook's input is read, in bytes: tool results can be huge.
const MAX_INPUT_BYTES: u64 = 32 * 1024 * 1024;
/// How large one field of the report may be, in bytes; larger ones are left out.
const MAX_FIELD_BYTES: usize = 16 * 1024;

/// One call of a hook.
#[derive(Debug)]
pub struct HookCall {
    /// The session the agent runs in.
    pub session: SessionId,
    /// The agent that called.
    pub agent: AgentKind,
    /// The hook's name.
    pub event: String,
    /// When it was called.
    pub at: Timestamp,
}

/// Reads a hook's whole input, bounded in size and in time: an agent that does not close it must not be held up.
pub fn read_input(input: impl Read + Send + 'static) -> Vec<u8> {
    let (sender, receiver) = mpsc::channel();
    // When time is up the thread stays behind; it ends with this process.
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = input.take(MAX_INPUT_BYTES).read_to_end(&mut text);
        let _ = sender.send(text);
    });
    receiver.recv_timeout(INPUT_TIMEOUT).unwrap_or_default()
}

/// Hands the report on. The spool is asked for when no daemon takes the report: what it needs to know is not worth the agent's
/// time otherwise.
pub async fn run<S: ReportSpool>(call: HookCall, input: &[u8], socket: &Path, spool: impl FnOnce() -> S) {
    let HookCall { session, agent, event, at } = call;
    let report = HookReport { session, agent, event, at, payload: payload(input) };
    let client = Client::new(socket);
    let posted = client.post::<Value>("/reports", &report);
    let refused = match tokio::time::timeout(DAEMON_TIMEOUT, posted).await {
        Ok(Ok(_)) => true,
        // The daemon knows no such session: keeping the report would not change that. What it could not do now, as on a full
        // disk, is another matter.
        Ok(Err(ClientError::Refused { status, .. })) => {
            status.is_client_error() && status != StatusCode::UNPROCESSABLE_ENTITY
        }
        Ok(Err(_)) | Err(_) => false,
    };
    if !refused {
        // Nobody is there to be told: the agent must not be.
        let _ = spool().put(&report).await;
    }
}

/// The input as JSON, without fields too large to matter; null when it is no JSON.
fn payload(input: &[u8]) -> Value {
    let mut payload: Value = serde_json::from_slice(input).unwrap_or(Value::Null);
    if input.len() > MAX_FIELD_BYTES {
        // A person decides by the small fields of a tool's input, for example which file it wants to write.
        leave_out_large(payload.get_mut("tool_input"));
        leave_out_large(Some(&mut payload));
    }
    payload
}

fn leave_out_large(value: Option<&mut Value>) {
    if let Some(fields) = value.and_then(Value::as_object_mut) {
        fields.retain(|_, field| field.to_string().len() <= MAX_FIELD_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::spool::{SpoolError, Spooled};
    use serde_json::json;

    #[test]
    fn large_fields_are_left_out_and_the_rest_stays() {
        let input = json!({ "tool_name": "Read", "tool_response": "x".repeat(MAX_FIELD_BYTES) }).to_string();
        assert_eq!(payload(input.as_bytes()), json!({ "tool_name": "Read" }));
        let write = json!({ "tool_input": { "file_path": "/a", "content": "x".repeat(MAX_FIELD_BYTES) } }).to_string();
        assert_eq!(payload(write.as_bytes()), json!({ "tool_input": { "file_path": "/a" } }));
    }

    #[test]
    fn an_input_that_stays_open_is_not_waited_for() {
        let (reader, writer) = std::io::pipe().unwrap();
        assert_eq!(read_input(reader), b"");
        drop(writer);
    }

    /// Keeps what is put.
    #[derive(Default)]
    struct Kept(std::sync::Mutex<Vec<HookReport>>);

    #[async_trait::async_trait]
    impl ReportSpool for &Kept {
        async fn put(&self, report: &HookReport) -> Result<(), SpoolError> {
            self.0.lock().unwrap().push(report.clone());
            Ok(())
        }

        async fn pending(&self) -> Result<Vec<Spooled>, SpoolError> {
            Ok(Vec::new())
        }

        async fn remove(&self, _name: &str) -> Result<(), SpoolError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_daemon_that_hangs_holds_no_agent_up_and_its_report_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("daemon.sock");
        // It is connected to, and never answers.
        let _hanging = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let kept = Kept::default();
        let (session, agent) = ("app-1".parse().unwrap(), "claude-code".parse().unwrap());
        let call = HookCall { session, agent, event: "Stop".to_owned(), at: Timestamp::UNIX_EPOCH };
        let handed_on = run(call, b"{}", &socket, || &kept);
        tokio::time::timeout(Duration::from_secs(10), handed_on).await.expect("the agent waits");
        let kept = kept.0.lock().unwrap();
        assert_eq!(kept.iter().map(|report| report.event.as_str()).collect::<Vec<_>>(), ["Stop"]);
    }

    #[test]
    fn garbage_is_null() {
        assert_eq!(payload(b"not json"), Value::Null);
        assert_eq!(payload(b""), Value::Null);
    }
}
