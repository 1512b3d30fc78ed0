//! The API on a socket of the test's own process, with a log that grows as the test wants, and readers of its events.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ao::adapters::clock::SystemClock;
use ao::adapters::http::access::Access;
use ao::adapters::http::listener::{self, OwnerOnly};
use ao::adapters::http::wire::DaemonInfo;
use ao::adapters::http::{Daemon, Patience};
use ao::adapters::store::SqliteStore;
use ao::app::Application;
use ao::domain::change::{ChangeKind, NewChange};
use ao::domain::session::Session;
use ao::ports::clock::Clock;
use ao::ports::runtime::Runtime;
use ao::ports::store::{ChangeLog, SessionStore};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::application::{application, session};

/// What a loaded machine with two cores stays within.
pub(crate) const BOUND: Duration = Duration::from_secs(90);

pub(crate) struct Server {
    scratch: tempfile::TempDir,
    pub(crate) store: Arc<SqliteStore>,
    application: Application,
    session: Mutex<Session>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(patience: Patience) -> Self {
        Self::start_with(patience, Vec::new()).await
    }

    /// With a live session on the first of these runtimes.
    pub(crate) async fn start_with(patience: Patience, runtimes: Vec<Arc<dyn Runtime>>) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let runtime = runtimes.first().map_or("none", |runtime| runtime.kind().as_str()).to_owned();
        let live = session(1, "command", &runtime, scratch.path().join("nowhere"));
        let id = live.id.clone();
        let (application, store) = application(&scratch, Vec::new(), runtimes, vec![live]).await;
        let session = store.session(&id).await.unwrap().unwrap();
        let socket = scratch.path().join("s");
        let stop = CancellationToken::new();
        let info = DaemonInfo {
            pid: std::process::id(),
            version: String::new(),
            program: None,
            data_dir: scratch.path().to_owned(),
            socket: socket.clone(),
            http: None,
            ready: true,
            started_at: SystemClock.now(),
            bounds: None,
        };
        let (application_too, ready) = (application.clone(), CancellationToken::new());
        let access = Arc::new(Access::load(scratch.path().join("token")).unwrap());
        let daemon = Daemon { application: application_too, info, stop: stop.clone(), ready, patience, access };
        let serving = tokio::spawn(listener::serve(OwnerOnly::bind(&socket).unwrap(), daemon, stop.clone()));
        Self { scratch, store, application, session: Mutex::new(session), stop, serving }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.scratch.path().join("s")
    }

    /// Adds changes of about `bytes` each; gives the newest one's number.
    pub(crate) async fn grow(&self, count: usize, bytes: usize) -> u64 {
        const AT_ONCE: usize = 100;
        let change = NewChange::new(ChangeKind::SessionNote, json!({ "note": "n".repeat(bytes) }));
        let mut session = self.session.lock().await;
        for begin in (0..count).step_by(AT_ONCE) {
            let changes = vec![change.clone(); AT_ONCE.min(count - begin)];
            self.store.update_session(&mut session, &changes).await.unwrap();
        }
        self.store.last_seq().await.unwrap()
    }

    /// Opens a stream after a number.
    pub(crate) async fn follow(&self, since: u64) -> Reader {
        Reader::open(self, &format!("/api/v1/events?since={since}"), "").await
    }

    /// Stops as a daemon does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.application.shut_down().await;
        self.serving.await.unwrap();
        self.store.close().await;
    }
}

/// One end of a stream of events, read only when the test wants to.
pub(crate) struct Reader {
    stream: UnixStream,
    /// What was read and not looked at yet.
    read: Vec<u8>,
    /// The ids, in their order.
    pub(crate) ids: Vec<u64>,
    /// What a named event tells.
    pub(crate) dropped: Option<serde_json::Value>,
    next_is_named: bool,
}

impl Reader {
    pub(crate) async fn open(server: &Server, path: &str, headers: &str) -> Self {
        let mut stream = UnixStream::connect(server.socket()).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: ao\r\nconnection: close\r\naccept: text/event-stream\r\n");
        let request = format!("{head}{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, read: Vec::new(), ids: Vec::new(), dropped: None, next_is_named: false }
    }

    /// Reads what is there, or comes; whether the stream goes on.
    async fn read(&mut self) -> bool {
        let goes_on = self.stream.read_buf(&mut self.read).await.is_ok_and(|count| count > 0);
        let Some(end) = self.read.iter().rposition(|byte| *byte == b'\n') else { return goes_on };
        for line in self.read[..=end].split(|byte| *byte == b'\n') {
            if let Some(id) = line.strip_prefix(b"id: ") {
                self.ids.push(std::str::from_utf8(id).unwrap().parse().unwrap());
            } else if let Some(data) = line.strip_prefix(b"data: ").filter(|_| self.next_is_named) {
                self.dropped = Some(serde_json::from_slice(data).unwrap());
            }
            self.next_is_named |= line == b"event: dropped";
        }
        self.read.drain(..=end);
        goes_on
    }

    /// Reads until the event of that number came.
    pub(crate) async fn read_up_to(&mut self, seq: u64) {
        while self.ids.last().is_none_or(|last| *last < seq) {
            let known = self.ids.len();
            let in_time = tokio::time::timeout(BOUND, async {
                while self.ids.len() == known {
                    assert!(self.read().await, "it ended after {:?}, before {seq}", self.ids.last());
                }
            });
            assert!(in_time.await.is_ok(), "{seq} does not come, after {:?}", self.ids.last());
        }
    }

    /// Reads until the stream ends.
    pub(crate) async fn read_to_end(&mut self) {
        let in_time = tokio::time::timeout(BOUND, async { while self.read().await {} });
        assert!(in_time.await.is_ok(), "it goes on after {:?}", self.ids.last());
    }

    /// Insists that none is missing and none came twice, from the first id on.
    #[track_caller]
    pub(crate) fn has_no_gap(&self) {
        let gap = self.ids.windows(2).find(|pair| pair[1] != pair[0] + 1);
        assert_eq!(gap, None);
    }
}
