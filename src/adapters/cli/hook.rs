//! `ao hook`: what agents' hooks call. It hands the agent the messages that wait for it, and one report to the daemon, or to the
//! spool when no daemon takes it. It is never an error or a delay for the agent: it says nothing else, and is bounded in time. With `--wait` it
//! stays in the background, and wakes an idle agent when there is something for it. The hook of a request for a permission stays until somebody
//! has decided, beside the agent's own dialog.

use std::io::Read;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

use super::client::{Client, ClientError};
use super::ui;
use crate::adapters::http::wire::MAX_WAIT_MS;
use crate::app::deliver::{self, Delivery, Waited};
use crate::domain::Timestamp;
use crate::domain::approval::{Decision, RequestState};
use crate::domain::id::{AgentKind, RequestId, SessionId};
use crate::domain::observation::Signal;
use crate::domain::report::{HookReport, LEFT_OUT, is_too_deep};
use crate::domain::session::ProcessIdentity;
use crate::platform::process_end;
use crate::ports::agent::Agent;
use crate::ports::clock::Clock;
use crate::ports::mailbox::Mailbox;
use crate::ports::messenger::MessengerError;
use crate::ports::permission_hooks::PermissionHooks;
use crate::ports::spool::ReportSpool;

/// How long the daemon may take before the report goes to the spool.
const DAEMON_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long it is between two looks for a daemon that is away.
const DAEMON_AWAY: Duration = Duration::from_millis(500);
/// How long a daemon may be away until what a subagent asks is left to the agent's dialog, which may be shown only then.
const SUBAGENT_PATIENCE: Duration = Duration::from_secs(10);
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

/// What a call of a hook is answered with, and by what.
pub struct HookPorts<'a> {
    /// The agent that calls.
    pub agent: &'a dyn Agent,
    /// Finds its process, where that is known.
    pub process: &'a dyn Fn() -> Option<ProcessIdentity>,
    /// Its messages.
    pub mailbox: &'a dyn Mailbox,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// Hands the agent what waits for it, and the report on. Gives the exit code. The spool is asked for when no daemon takes the report:
/// what it needs to know is not worth the agent's time otherwise.
pub async fn run<S: ReportSpool>(
    call: HookCall,
    input: &[u8],
    ports: Option<HookPorts<'_>>,
    socket: &Path,
    spool: impl Fn() -> S,
) -> u8 {
    let payload = parse(input);
    let event = deliver::HookCall { event: &call.event, payload: &payload };
    // Whatever is wrong with the inbox: the agent must not be stopped by it. The messages stay where they are.
    let delivery = ports
        .as_ref()
        .and_then(|ports| deliver::deliver(ports.mailbox, ports.agent, event, ports.clock).ok().flatten());
    let mut code = 0;
    if let Some(delivery) = delivery {
        let holds_turn_up = delivery.holds_turn_up();
        let (answered, was_handed_over) = hand_over(delivery);
        if holds_turn_up && was_handed_over {
            // The turn goes on, so there is no end of it to be told.
            return answered;
        }
        code = answered;
    }
    let payload = without_large(input, payload);
    let asked = ports.as_ref().and_then(|ports| Asked::of(&call, &payload, ports));
    let client = Client::new(socket);
    let event = call.event.clone();
    let HookCall { session, agent, event: name, at } = call;
    report(&HookReport { session, agent, event: name, at, payload }, &client, &spool).await;
    // Nobody waits for an agent whose end would not be noticed. It is looked for after the report, which must not be late.
    let Some(asked) = asked else { return code };
    match ports.and_then(|ports| (ports.process)()) {
        Some(agent) => asked.wait(&event, agent, &client, &spool).await,
        None => code,
    }
}

/// A request for a permission that is waited for.
struct Asked<'a> {
    session: SessionId,
    agent: AgentKind,
    request: RequestId,
    at: Timestamp,
    is_of_subagent: bool,
    hooks: &'a dyn PermissionHooks,
    mailbox: &'a dyn Mailbox,
    /// When what the agent asked was last answered, before it asked this.
    settled_before: Option<SystemTime>,
    clock: &'a dyn Clock,
}

impl<'a> Asked<'a> {
    /// What a call asks; `None` when it asks nothing.
    fn of(call: &HookCall, payload: &Value, ports: &HookPorts<'a>) -> Option<Self> {
        let hooks = ports.agent.permission_hooks()?;
        let signals = ports.agent.interpret(&call.event, payload);
        let tool_use = signals.iter().find_map(|signal| match signal {
            Signal::Blocked { tool_use, .. } => Some(tool_use),
            _ => None,
        })?;
        let (session, agent, at) = (call.session.clone(), call.agent.clone(), call.at);
        let request = RequestId::of(&session, tool_use, at);
        let (mailbox, clock) = (ports.mailbox, ports.clock);
        let settled_before = mailbox.settled_at().ok().flatten();
        let is_of_subagent = tool_use.subagent.is_some();
        Some(Self { session, agent, request, at, is_of_subagent, hooks, mailbox, settled_before, clock })
    }

    /// Waits until it is decided, answered elsewhere, or the agent has ended; tells the agent, and gives the exit code.
    async fn wait<S: ReportSpool>(
        self,
        event: &str,
        agent: ProcessIdentity,
        client: &Client,
        spool: &impl Fn() -> S,
    ) -> u8 {
        let decision = tokio::select! {
            decision = self.decision(client) => decision,
            // Also when that cannot be told: nobody must be left behind.
            _ = process_end::ended(agent) => None,
        };
        let Some(decision) = decision else { return 0 };
        let answer = self.hooks.answer(event, &decision);
        if ui::answer(&answer).is_err() {
            return 0;
        }
        // Until then the decision counts as one that nobody heard of, and is undone when this process is gone.
        let told = HookReport::of_told(self.session, self.agent, &self.request, self.clock.now());
        report(&told, client, spool).await;
        answer.code
    }

    /// The decision; `None` when there will be none. A daemon that is away is waited for: it has the request on record, or in its spool.
    /// But not for ever where nobody else can tell that the request was answered, or answer it.
    async fn decision(&self, client: &Client) -> Option<Decision> {
        let Self { session, request, at, .. } = self;
        let plain = format!("/sessions/{session}/requests/{request}?asked_at={at}&timeout_ms={MAX_WAIT_MS}");
        let mut path = format!("{plain}&confirms=true");
        let mut away_since = None;
        loop {
            match client.get::<RequestState>(&path).await {
                Ok(RequestState::Decided { decision }) => return Some(decision),
                Ok(RequestState::Settled) => return None,
                Ok(RequestState::Open) => away_since = None,
                // An older daemon, which takes no confirmation.
                Err(ClientError::Refused { status: StatusCode::BAD_REQUEST, .. }) if path != plain => {
                    path.clone_from(&plain);
                }
                Err(ClientError::Refused { status, .. }) if is_final(status) => return None,
                Err(_) => {
                    let since = *away_since.get_or_insert_with(Instant::now);
                    if self.is_for_the_terminal(since.elapsed()) {
                        return None;
                    }
                    tokio::time::sleep(DAEMON_AWAY).await;
                }
            }
        }
    }

    /// Whether nobody has to wait any more while the daemon has been away for so long.
    fn is_for_the_terminal(&self, away: Duration) -> bool {
        if self.is_of_subagent {
            return away >= SUBAGENT_PATIENCE;
        }
        let settled = self.mailbox.settled_at().ok().flatten();
        settled.is_some() && settled != self.settled_before
    }
}

/// How a waiter ends that another one is to follow.
pub const AGAIN: u8 = 1;

/// What a look for an idle agent came to.
pub enum Looked {
    /// This hook is over, with this exit code.
    Over(u8),
    /// There is nothing yet: look again when something changes, and after so long whatever happens.
    Rest(Option<Duration>),
    /// The messages cannot be got at: somebody has them locked for long, or something stands in their place.
    Failed,
}

/// Looks whether there is something for an agent that is idle, and hands it over. `begun`: when it was looked first; `is_heard`: whether what is printed
/// still reaches the agent.
pub fn look_for_idle(
    call: &HookCall,
    input: &[u8],
    begun: Timestamp,
    is_heard: &dyn Fn() -> bool,
    ports: &HookPorts<'_>,
) -> Looked {
    let Some(hooks) = ports.agent.text_hooks() else { return Looked::Over(0) };
    let payload = parse(input);
    let event = deliver::HookCall { event: &call.event, payload: &payload };
    match deliver::look_for_idle(ports.mailbox, (ports.agent, hooks), event, begun, ports.clock) {
        Ok(Waited::Delivery(delivery)) => Looked::Over(wake(delivery, is_heard)),
        Ok(Waited::Rest(at_most)) => Looked::Rest(at_most),
        Err(MessengerError::File { .. } | MessengerError::Planted { .. }) => Looked::Failed,
        Err(MessengerError::Empty | MessengerError::TooLarge { .. }) => Looked::Over(0),
    }
}

/// Wakes the agent; gives the exit code. What it did not hear was not handed over, and who looks next does it again.
fn wake(delivery: Delivery<'_>, is_heard: &dyn Fn() -> bool) -> u8 {
    let code = delivery.answer().code;
    if ui::answer(delivery.answer()).is_err() || !is_heard() {
        return AGAIN;
    }
    let _ = delivery.handed_over();
    code
}

/// Answers the agent; gives the exit code, and whether that was written.
fn hand_over(delivery: Delivery<'_>) -> (u8, bool) {
    let code = delivery.answer().code;
    // What was not written was not handed over, and the next hook does it again.
    if ui::answer(delivery.answer()).is_err() {
        return (0, false);
    }
    let _ = delivery.handed_over();
    (code, true)
}

async fn report<S: ReportSpool>(report: &HookReport, client: &Client, spool: &impl Fn() -> S) {
    let posted = client.post::<Value>("/reports", report);
    let refused = match tokio::time::timeout(DAEMON_TIMEOUT, posted).await {
        Ok(Ok(_)) => true,
        Ok(Err(ClientError::Refused { status, .. })) => is_final(status),
        Ok(Err(_)) | Err(_) => false,
    };
    if !refused {
        // Nobody is there to be told: the agent must not be.
        let _ = spool().put(report).await;
    }
}

/// Whether asking again would not change the answer: the daemon knows no such session. What it could not do now, as on a full disk, is another
/// matter.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::UNPROCESSABLE_ENTITY
}

/// The input as JSON; null when it is none.
fn parse(input: &[u8]) -> Value {
    serde_json::from_slice(input).unwrap_or(Value::Null)
}

/// What is reported of the input.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn payload(input: &[u8]) -> Value {
    without_large(input, parse(input))
}

/// A report's payload: the input without fields too large to matter, or too deep to arrive.
fn without_large(input: &[u8], mut payload: Value) -> Value {
    if input.len() > MAX_FIELD_BYTES || is_too_deep(&payload) {
        let mut is_cut = false;
        // A person decides by the small fields of a tool's input, for example which file it wants to write.
        if let Some(fields) = payload.get_mut("tool_input").and_then(Value::as_object_mut) {
            for field in fields.values_mut().filter(|field| is_large(field)) {
                *field = Value::Null;
                is_cut = true;
            }
        }
        // A hook's input has fields: what has none says nothing.
        let Some(fields) = payload.as_object_mut() else { return Value::Null };
        is_cut |= fields.get("tool_input").is_some_and(is_large);
        fields.retain(|_, field| !is_large(field));
        // That there is more must show, to them and to rules.
        if is_cut {
            fields.insert(LEFT_OUT.to_owned(), true.into());
        }
    }
    payload
}

fn is_large(field: &Value) -> bool {
    is_too_deep(field) || field.to_string().len() > MAX_FIELD_BYTES
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
        let known = json!({ "tool_input": { "file_path": "/a", "content": null }, "ao_left_out": true });
        assert_eq!(payload(write.as_bytes()), known);
        let fields: Value = (0..3).map(|n| (n.to_string(), json!("x".repeat(MAX_FIELD_BYTES / 2)))).collect();
        let many = json!({ "tool_input": fields }).to_string();
        assert_eq!(payload(many.as_bytes()), json!({ "ao_left_out": true }));
    }

    #[test]
    fn what_is_too_deep_to_arrive_is_left_out_and_the_rest_is_reported() {
        let deep = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        let input =
            json!({ "tool_name": "T", "tool_input": { "a": deep(120), "b": 2 }, "other": deep(120) }).to_string();
        let call = |payload| HookReport {
            session: "app-1".parse().unwrap(),
            agent: "claude-code".parse().unwrap(),
            event: "PermissionRequest".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            payload,
        };
        let sent = serde_json::to_string(&call(payload(input.as_bytes()))).unwrap();
        let arrived: HookReport = serde_json::from_str(&sent).unwrap();
        let known = json!({ "tool_name": "T", "tool_input": { "a": null, "b": 2 }, "ao_left_out": true });
        assert_eq!(arrived.payload, known);
        assert_eq!(payload(deep(120).to_string().as_bytes()), Value::Null);
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
        let handed_on = run(call, b"{}", None, &socket, || &kept);
        tokio::time::timeout(Duration::from_secs(10), handed_on).await.expect("the agent waits");
        let kept = kept.0.lock().unwrap();
        assert_eq!(kept.iter().map(|report| report.event.as_str()).collect::<Vec<_>>(), ["Stop"]);
    }

    /// The boxes of an agent that was never handed anything.
    struct NoMail;

    impl Mailbox for NoMail {
        fn is_quiet(&self) -> Result<bool, MessengerError> {
            unreachable!("nothing is handed over")
        }

        fn open(&self) -> Result<Box<dyn crate::ports::mailbox::OpenMailbox + '_>, MessengerError> {
            unreachable!("nothing is handed over")
        }

        fn note_turn(&self, _: bool) -> Result<(), MessengerError> {
            unreachable!("nothing is handed over")
        }

        fn turn(&self) -> Result<crate::ports::mailbox::Turn, MessengerError> {
            unreachable!("nothing is handed over")
        }

        fn note_settled(&self) -> Result<(), MessengerError> {
            unreachable!("nothing is handed over")
        }

        fn settled_at(&self) -> Result<Option<SystemTime>, MessengerError> {
            Ok(None)
        }

        fn is_waited_at(&self) -> Result<bool, MessengerError> {
            unreachable!("nothing is handed over")
        }
    }

    impl PermissionHooks for NoMail {
        fn answer(&self, _: &str, _: &Decision) -> crate::ports::text_hooks::HookAnswer {
            unreachable!("nothing is printed")
        }
    }

    impl Clock for NoMail {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    #[tokio::test]
    async fn a_daemon_that_takes_no_confirmation_is_asked_without() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("daemon.sock");
        let daemon = tokio::net::UnixListener::bind(&socket).unwrap();
        // As ao before `confirms` answers.
        let served = tokio::spawn(async move {
            let mut asked = Vec::new();
            for _ in 0..2 {
                let (mut hook, _) = daemon.accept().await.unwrap();
                let mut head = vec![0; 4096];
                let length = hook.read(&mut head).await.unwrap();
                let line = String::from_utf8_lossy(&head[..length]).lines().next().unwrap().to_owned();
                let (status, body) = if line.contains("confirms") {
                    let error = json!({ "code": "invalid_request", "message": "x", "hint": null, "request_id": "1" });
                    ("400 Bad Request", json!({ "error": error }))
                } else {
                    let decision = json!({ "verdict": "allow", "reason": null, "by": { "kind": "person" } });
                    ("200 OK", json!({ "state": "decided", "decision": decision }))
                };
                let body = body.to_string();
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                hook.write_all(answer.as_bytes()).await.unwrap();
                asked.push(line);
            }
            asked
        });
        let asked = Asked {
            session: "app-1".parse().unwrap(),
            agent: "claude-code".parse().unwrap(),
            request: RequestId::unknown(),
            at: Timestamp::UNIX_EPOCH,
            is_of_subagent: false,
            hooks: &NoMail,
            mailbox: &NoMail,
            settled_before: None,
            clock: &NoMail,
        };
        let decision = asked.decision(&Client::new(&socket)).await.expect("it is decided");
        assert_eq!(decision.verdict, crate::domain::approval::Verdict::Allow);
        let asked = served.await.unwrap();
        assert!(asked[0].contains("&confirms=true") && !asked[1].contains("confirms"), "{asked:?}");
    }

    #[test]
    fn garbage_is_null() {
        assert_eq!(payload(b"not json"), Value::Null);
        assert_eq!(payload(b""), Value::Null);
    }
}
