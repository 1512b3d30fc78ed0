//! A client of the daemon's TCP port that says exactly what a test wants said.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::sandbox::{BOUND, Sandbox};

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The status, and the code of an error.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no status: {head:?}")),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }
}

/// The port of a sandbox's daemon, and its token.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Port {
    /// Of a daemon that is started for it.
    pub(crate) async fn of(sandbox: &Sandbox) -> Self {
        sandbox.ao(&["start"]).await.ok();
        let status = sandbox.ao(&["status", "--json"]).await.json();
        let address = status["http"].as_str().expect("it has a TCP port").parse().unwrap();
        Self { address, token: sandbox.ao(&["token"]).await.ok() }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The headers of a client that may ask, for one request on a connection.
    pub(crate) fn headers(&self) -> String {
        format!("Host: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n", self.address, self.token)
    }

    /// Says this and gives what is answered until the connection is closed.
    pub(crate) async fn say(&self, text: &str) -> Response {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        Response::of(&read_to_end(&mut stream).await)
    }

    /// A request of a client that may ask, with more headers, each with its line's end.
    pub(crate) async fn ask(&self, method: &str, path: &str, more: &str, body: Option<&Value>) -> Response {
        let body = body.map(Value::to_string);
        let about = body.as_ref().map_or_else(String::new, |body| {
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
        });
        let text = body.unwrap_or_default();
        self.say(&format!("{method} {path} HTTP/1.1\r\n{}{more}{about}\r\n{text}", self.headers())).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.ask("GET", path, "", None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.ask("POST", path, "", Some(body)).await
    }
}

/// What comes until the other end closes, or breaks off after it has said something.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reading = tokio::time::timeout(BOUND, stream.read_to_end(&mut bytes));
    let read = reading.await.unwrap_or_else(|_| panic!("the connection stays open"));
    assert!(read.is_ok() || !bytes.is_empty(), "{read:?}");
    bytes
}
