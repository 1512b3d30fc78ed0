//! Asking a holder something.

use std::io;
use std::path::Path;

use tokio::net::UnixStream;

use super::protocol::{ErrorCode, PROTOCOL_VERSION, Reply, Request, receive, send};
use super::server::is_own_user;

/// Why a holder gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The agent has ended.
    #[error("the agent has ended")]
    Ended,
    /// There is no holder, or it hung up.
    #[error("its holder does not answer: {0}")]
    Unreachable(#[from] io::Error),
    /// The holder said no.
    #[error("{0}")]
    Refused(String),
}

/// Asks one thing on a connection of its own. Not bounded in time.
pub(super) async fn ask(socket: &Path, request: &Request, body: &[u8]) -> Result<Vec<u8>, AskError> {
    let mut stream = UnixStream::connect(socket).await?;
    if !is_own_user(&stream) {
        return Err(AskError::Refused("its socket belongs to another user".to_owned()));
    }
    exchange(&mut stream, &Request::Hello { version: PROTOCOL_VERSION }, b"").await?;
    exchange(&mut stream, request, body).await
}

async fn exchange(stream: &mut UnixStream, request: &Request, body: &[u8]) -> Result<Vec<u8>, AskError> {
    send(stream, request, body).await?;
    match receive(stream).await? {
        Some((Reply::Error { code: ErrorCode::Ended, .. }, _)) => Err(AskError::Ended),
        Some((Reply::Error { message, .. }, _)) => Err(AskError::Refused(message)),
        Some((_, body)) => Ok(body),
        None => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}
