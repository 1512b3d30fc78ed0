//! Asks the daemon over its socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

use super::error::{CliError, ExitCode};
use super::event_stream::EventStream;
use super::taken::Size;
use super::terminal_stream::{self, TerminalStream};
use crate::adapters::http::wire::{EVENT_STREAM, ErrorBody, LAST_EVENT_ID, MAX_PAGE, Page};
use crate::domain::id::SessionId;

/// A connection has one request.
const CLOSE: (&str, &str) = ("connection", "close");
/// What is asked again under the same key is done once.
const KEY: &str = "idempotency-key";

/// How long a daemon may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to answer: a kill waits for a checkout under way to end.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(180);

/// Why the daemon gave no answer to a request.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon serves the socket.
    #[error("no daemon answers at {}", socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
    },
    /// The connection broke, or what came was not HTTP or not JSON.
    #[error("the daemon at {} broke off: {cause}", socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// Why.
        cause: String,
    },
    /// The daemon refused.
    #[error("{}", body.error.message)]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// Its words.
        body: ErrorBody,
    },
}

impl ClientError {
    /// Whether a daemon that stops and starts again answers like this: asking again may help.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::NotRunning { .. } | Self::Broken { .. } => true,
            Self::Refused { status, .. } => *status == StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl ClientError {
    /// Where a reader of the change log goes on who asked for changes after `since`, of which some were trimmed; `None` when that
    /// is not what went wrong.
    #[must_use]
    pub fn go_on_from(&self, since: u64) -> Option<u64> {
        let Self::Refused { body, .. } = self else { return None };
        // Always further on, so that nobody asks for ever.
        body.error.oldest.map(|oldest| oldest.saturating_sub(1)).filter(|next| *next > since)
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::NotRunning { .. } | ClientError::Broken { .. } => ExitCode::Unreachable,
            ClientError::Refused { status, .. } => match *status {
                StatusCode::NOT_FOUND => ExitCode::NotFound,
                StatusCode::CONFLICT => ExitCode::Refused,
                StatusCode::BAD_REQUEST => ExitCode::Usage,
                _ => ExitCode::Failed,
            },
        };
        let hint = match &error {
            ClientError::NotRunning { .. } => Some("start one with: ao start; ao spawn does so by itself".to_owned()),
            ClientError::Broken { .. } => {
                Some("see how it is with: ao status; daemon.log in the data directory says why".to_owned())
            }
            ClientError::Refused { status, body } => {
                let is_internal = *status == StatusCode::INTERNAL_SERVER_ERROR;
                let id = if is_internal { format!(": {}", body.error.request_id) } else { String::new() };
                let other_version = || {
                    let is_it = body.error.code == "no_such_path";
                    is_it.then(|| "the daemon is of another version; begin one of this: ao stop && ao start".to_owned())
                };
                body.error.hint.as_ref().map(|hint| format!("{hint}{id}")).or_else(other_version)
            }
        };
        Self { exit, message: error.to_string(), hint, detail: None }
    }
}

/// Speaks HTTP to a daemon; a connection a request.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon that serves `socket`.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Gets a resource. `path` begins with `/`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.request(Method::GET, path, Bytes::new()).await
    }

    /// Gets every page of a list. `path` may have a query.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ClientError> {
        let sign = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{sign}limit={MAX_PAGE}");
        let (mut all, mut next) = (Vec::new(), Some(first.clone()));
        while let Some(path) = next {
            let page: Page<T> = self.get(&path).await?;
            all.extend(page.items);
            next = page.next.map(|cursor| format!("{first}&cursor={cursor}"));
        }
        Ok(all)
    }

    /// Posts a body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.broken(error))?;
        self.request(Method::POST, path, body.into()).await
    }

    /// Posts a body under a key that was made up for this: asked again with the same one, it is answered as it was, and done once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(in crate::adapters) async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        key: &str,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.broken(error))?;
        self.request_under(Some(key), Method::POST, path, body.into()).await
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.request(Method::DELETE, path, Bytes::new()).await
    }

    /// Opens the stream of events at `path`, after the one whose id is `last_seen`; without one as the path says.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(super) async fn events(&self, path: &str, last_seen: Option<String>) -> Result<EventStream, ClientError> {
        let mut headers = [CLOSE, ("accept", EVENT_STREAM)].map(|(name, value)| (name, value.to_owned())).to_vec();
        headers.extend(last_seen.map(|id| (LAST_EVENT_ID, id)));
        let opening = async {
            let (response, connection) = self.send(Method::GET, path, &headers, Bytes::new()).await?;
            if response.status().is_success() {
                return Ok(EventStream::new(response.into_body(), connection));
            }
            Err(self.refusal(response.status(), &self.whole(response).await?))
        };
        self.in_time(opening).await
    }

    /// Comes to a session's terminal with one of that size, or only to watch.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(super) async fn terminal(
        &self,
        session: &SessionId,
        Size { rows, cols }: Size,
        is_watching: bool,
    ) -> Result<TerminalStream, ClientError> {
        let watching = if is_watching { "&read_only=true" } else { "" };
        let path = format!("/sessions/{session}/terminal?rows={rows}&cols={cols}{watching}");
        let headers = terminal_stream::HEADERS.map(|(name, value)| (name, value.to_owned()));
        let opening = async {
            let (response, _connection) = self.send(Method::GET, &path, &headers, Bytes::new()).await?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Err(self.refusal(response.status(), &self.whole(response).await?));
            }
            let upgraded = hyper::upgrade::on(response).await.map_err(|error| self.broken(error))?;
            Ok(TerminalStream::new(upgraded).await)
        };
        self.in_time(opening).await
    }

    async fn request<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, ClientError> {
        self.request_under(None, method, path, body).await
    }

    async fn request_under<T: DeserializeOwned>(
        &self,
        key: Option<&str>,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let exchange = async {
            let headers = [CLOSE, ("content-type", "application/json")].into_iter();
            let headers = headers.chain(key.map(|key| (KEY, key)));
            let headers: Vec<_> = headers.map(|(name, value)| (name, value.to_owned())).collect();
            let (response, _connection) = self.send(method, path, &headers, body).await?;
            let status = response.status();
            let body = self.whole(response).await?;
            if status.is_success() {
                return serde_json::from_slice(&body).map_err(|error| self.broken(error));
            }
            Err(self.refusal(status, &body))
        };
        self.in_time(exchange).await
    }

    async fn in_time<T>(&self, exchange: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        let late = format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
        tokio::time::timeout(ANSWER_TIMEOUT, exchange).await.map_err(|_elapsed| self.broken(late))?
    }

    /// Sends a request on a connection of its own, which ends when what is given for it is dropped.
    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Bytes,
    ) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), ClientError> {
        let stream = self.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(error))?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async {
            // What it fails of shows in the answer.
            let _ = connection.with_upgrades().await;
        }));
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.header("host", "ao").body(Full::new(body)).map_err(|error| self.broken(error))?;
        let response = sender.send_request(request).await.map_err(|error| self.broken(error))?;
        Ok((response, connection))
    }

    async fn connect(&self) -> Result<UnixStream, ClientError> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, UnixStream::connect(&self.socket));
        let Ok(Ok(stream)) = connecting.await else {
            return Err(ClientError::NotRunning { socket: self.socket.clone() });
        };
        // Prompts and tool inputs go through here: whoever serves it must be this user.
        let peer = stream.peer_cred().map_err(|error| self.broken(error))?.uid();
        if peer != rustix::process::geteuid().as_raw() {
            return Err(self.broken(format!("it belongs to user {peer}")));
        }
        Ok(stream)
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        Ok(response.into_body().collect().await.map_err(|error| self.broken(error))?.to_bytes())
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> ClientError {
        match serde_json::from_slice(body) {
            Ok(body) => ClientError::Refused { status, body },
            Err(error) => self.broken(format!("{status}, {error}")),
        }
    }

    fn broken(&self, cause: impl std::fmt::Display) -> ClientError {
        ClientError::Broken { socket: self.socket.clone(), cause: cause.to_string() }
    }
}
