//! Being attached to a holder, on the daemon's side: one connection, whose two halves are what a viewer sees and what it types.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::client::{self, AskError};
use super::protocol::{ErrorCode, Reply, Request, receive, send};
use crate::adapters::runtime::launch;
use crate::domain::id::RuntimeKind;
use crate::ports::runtime::{Liveness, RuntimeError, TerminalSize};
use crate::ports::terminal_view::{Attached, Newcomer, Seen, TerminalKeys, TerminalView};

/// How long after a holder is gone its agent's end may take to be on record.
const END_BOUND: Duration = Duration::from_secs(2);

/// Connects as a viewer. Not bounded in time.
pub(super) async fn attach(
    socket: &Path,
    Newcomer { size: TerminalSize { rows, cols }, is_watching }: Newcomer,
    kind: &RuntimeKind,
    session_dir: &Path,
) -> Result<Attached, AskError> {
    let mut stream = client::greet(socket).await?;
    let request = if is_watching { Request::Watch { rows, cols } } else { Request::Attach { rows, cols } };
    send(&mut stream, &request, b"").await?;
    let first = match receive(&mut stream).await? {
        Some((Reply::Resized { rows, cols }, _)) => TerminalSize { rows, cols },
        Some((Reply::Error { code: ErrorCode::Ended, .. }, _)) => return Err(AskError::Ended),
        Some((Reply::Error { code: ErrorCode::BadRequest, .. }, _)) => {
            let whom = if is_watching { "nobody who only watches" } else { "nobody" };
            let cause = format!("its holder is of an older ao, which shows its terminal to {whom}; see ao output");
            return Err(AskError::Refused(cause));
        }
        Some((Reply::Error { message, .. }, _)) => return Err(AskError::Refused(message)),
        Some((other, _)) => return Err(AskError::Refused(format!("its holder answered attach with {other:?}"))),
        None => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
    };
    let (from, to) = stream.into_split();
    let view = View { from, first: Some(first), kind: kind.clone(), session_dir: session_dir.to_owned() };
    Ok(Attached { view: Box::new(view), keys: Box::new(Keyboard { to, is_watching, kind: kind.clone() }) })
}

struct View {
    from: OwnedReadHalf,
    /// The size that is told first.
    first: Option<TerminalSize>,
    kind: RuntimeKind,
    session_dir: PathBuf,
}

#[async_trait]
impl TerminalView for View {
    async fn next(&mut self) -> Result<Seen, RuntimeError> {
        if let Some(size) = self.first.take() {
            return Ok(Seen::Size(size));
        }
        let cause = match receive(&mut self.from).await {
            Ok(Some((Reply::Data, picture))) => return Ok(Seen::Picture(picture)),
            Ok(Some((Reply::Resized { rows, cols }, _))) => return Ok(Seen::Size(TerminalSize { rows, cols })),
            Ok(Some((Reply::Ended { exit }, _))) => return Ok(Seen::Ended(exit)),
            Ok(Some((other, _))) => format!("its holder said {other:?}"),
            Ok(None) => "its holder hung up".to_owned(),
            Err(error) => format!("its holder hung up: {error}"),
        };
        after_the_end(&self.session_dir, &self.kind, cause).await
    }
}

/// What a viewer is told whose terminal went without a word: how the agent ended, if it did.
pub(in crate::adapters::runtime) async fn after_the_end(
    session_dir: &Path,
    kind: &RuntimeKind,
    cause: String,
) -> Result<Seen, RuntimeError> {
    let _ = tokio::time::timeout(END_BOUND, launch::ended(session_dir)).await;
    match launch::probe(session_dir) {
        Liveness::Dead(exit) => Ok(Seen::Ended(exit)),
        Liveness::Alive(_) | Liveness::Unknown(_) => {
            Err(RuntimeError::Failed { runtime: kind.clone(), action: "show the terminal", cause })
        }
    }
}

struct Keyboard {
    to: OwnedWriteHalf,
    is_watching: bool,
    kind: RuntimeKind,
}

impl Keyboard {
    async fn tell(&mut self, request: &Request, body: &[u8]) -> Result<(), RuntimeError> {
        send(&mut self.to, request, body).await.map_err(|error| RuntimeError::Failed {
            runtime: self.kind.clone(),
            action: "type into the terminal",
            cause: format!("its holder is gone: {error}"),
        })
    }
}

#[async_trait]
impl TerminalKeys for Keyboard {
    async fn type_bytes(&mut self, bytes: &[u8]) -> Result<(), RuntimeError> {
        if self.is_watching {
            return Ok(());
        }
        self.tell(&Request::Input, bytes).await
    }

    async fn resize(&mut self, TerminalSize { rows, cols }: TerminalSize) -> Result<(), RuntimeError> {
        self.tell(&Request::Resize { rows, cols }, b"").await
    }
}
