//! Asking a holder something.

use std::io;
use std::path::Path;

use tokio::net::UnixStream;

use super::protocol::{CLIENT_VERSIONS, ErrorCode, Reply, Request, receive, send};
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
    /// The holder is of an ao too old or too new for this one.
    #[error(
        "its holder speaks none of the protocol versions {offered:?} of this ao ({refusal}); use the ao that started it"
    )]
    Version {
        /// What it was offered.
        offered: Vec<u32>,
        /// What it said to the last one.
        refusal: String,
    },
    /// The holder said no.
    #[error("{0}")]
    Refused(String),
}

/// Asks one thing on a connection of its own. Not bounded in time.
pub(super) async fn ask(socket: &Path, request: &Request, body: &[u8]) -> Result<Vec<u8>, AskError> {
    let mut stream = greet(socket).await?;
    exchange(&mut stream, request, body).await.map(|(_, body)| body)
}

/// Asks for the screen's text and the number of its first line. Not bounded in time.
pub(super) async fn lines(socket: &Path) -> Result<(u64, String), AskError> {
    let mut stream = greet(socket).await?;
    match exchange(&mut stream, &Request::Lines, b"").await? {
        (Reply::Lines { first }, text) => Ok((first, String::from_utf8_lossy(&text).into_owned())),
        (other, _) => Err(AskError::Refused(format!("its holder answered lines with {other:?}"))),
    }
}

/// Connects, and agrees on the newest version that both sides speak.
pub(super) async fn greet(socket: &Path) -> Result<UnixStream, AskError> {
    agree(socket, &CLIENT_VERSIONS).await
}

/// Connects, and agrees on the first of these versions that the holder speaks.
async fn agree(socket: &Path, versions: &[u32]) -> Result<UnixStream, AskError> {
    let mut refusal = String::new();
    for &version in versions {
        // A holder hangs up on a version it does not speak.
        let mut stream = UnixStream::connect(socket).await?;
        if !is_own_user(&stream) {
            return Err(AskError::Refused("its socket belongs to another user".to_owned()));
        }
        match exchange(&mut stream, &Request::Hello { version }, b"").await {
            Ok((Reply::Hello { version: agreed }, _)) if agreed == version => return Ok(stream),
            Ok((other, _)) => return Err(AskError::Refused(format!("its holder answered hello with {other:?}"))),
            Err(AskError::Version { refusal: theirs, .. }) => refusal = theirs,
            Err(error) => return Err(error),
        }
    }
    Err(AskError::Version { offered: versions.to_vec(), refusal })
}

async fn exchange(stream: &mut UnixStream, request: &Request, body: &[u8]) -> Result<(Reply, Vec<u8>), AskError> {
    send(stream, request, body).await?;
    match receive(stream).await? {
        Some((Reply::Error { code: ErrorCode::Ended, .. }, _)) => Err(AskError::Ended),
        Some((Reply::Error { code: ErrorCode::Version, message }, _)) => {
            Err(AskError::Version { offered: Vec::new(), refusal: message })
        }
        Some((Reply::Error { message, .. }, _)) => Err(AskError::Refused(message)),
        Some(answer) => Ok(answer),
        None => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, watch};

    use super::super::server::{Hub, Server};
    use super::*;

    #[tokio::test]
    async fn a_client_comes_down_to_the_version_of_an_older_holder() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let ((commands, _commands), (keys, _keys)) = (mpsc::channel(1), mpsc::channel(1));
        let (_ended, ended) = watch::channel(None);
        // It speaks version 1 and no other.
        let _server = Server::listen(&socket, Hub { commands, keys, ended }).unwrap();
        for versions in [&[1][..], &[2, 1], &[7, 3, 1]] {
            agree(&socket, versions).await.unwrap();
        }
        let refused = agree(&socket, &[3, 2]).await.unwrap_err();
        assert!(matches!(&refused, AskError::Version { offered, .. } if *offered == [3, 2]), "{refused:?}");
        assert!(refused.to_string().contains("speaks protocol version 1, not 2"), "{refused}");
    }
}
