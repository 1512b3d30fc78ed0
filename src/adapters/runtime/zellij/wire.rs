//! Talking to a session's server without a command: for what zellij's commands can only take as arguments, which everybody
//! sees in a process listing, or cannot do at all.
//!
//! The messages are those of zellij's client/server contract, version 1: a length (4 bytes, little-endian) and a protobuf
//! message. The contract's version is part of the socket's path, so a server that speaks another is not found there.
//! Only four messages are needed, and of the answers only their field number, so they are written here by hand.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::ports::runtime::TerminalSize;

/// How long the server may take to answer one message. It answers input only when the terminal took it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Input is sent in pieces of this size, in bytes, each confirmed before the next.
const PIECE_BYTES: usize = 16 * 1024;

/// A longer answer than this, in bytes, is no answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Field numbers of the contract.
mod field {
    /// `ClientToServerMsg.attach_client`.
    pub(super) const ATTACH_CLIENT: u64 = 8;
    /// `ClientToServerMsg.action`.
    pub(super) const ACTION: u64 = 9;
    /// `ClientToServerMsg.client_exited`.
    pub(super) const CLIENT_EXITED: u64 = 11;
    /// `Action.write_to_pane_id`.
    pub(super) const WRITE_TO_PANE_ID: u64 = 100;
    /// `ServerToClientMsg.render`.
    pub(super) const RENDER: u64 = 1;
    /// `ServerToClientMsg.unblock_input_thread`: done.
    pub(super) const DONE: u64 = 2;
}

/// Types bytes into terminal pane `pane`, exactly as they are, and waits until the terminal took them.
///
/// # Errors
/// When the server is not there, refuses, or does not answer in time; a part may have been typed then.
pub(super) async fn type_bytes(socket: &Path, pane: u32, bytes: &[u8]) -> Result<(), String> {
    let mut server = Server::connect(socket).await?;
    for piece in bytes.chunks(PIECE_BYTES) {
        server.send(&write_message(pane, piece)).await?;
        server.wait_for(field::DONE).await?;
    }
    server.leave().await
}

/// Gives the session's terminal a size: a session made in the background is 50 × 50 until a client of another size comes, and
/// keeps the size of the last client that left. So this comes and leaves.
///
/// # Errors
/// When the server is not there or does not draw for that size in time.
pub(super) async fn resize(socket: &Path, size: TerminalSize) -> Result<(), String> {
    let mut server = Server::connect(socket).await?;
    server.send(&attach_message(size)).await?;
    server.wait_for(field::RENDER).await?;
    server.leave().await
}

fn write_message(pane: u32, bytes: &[u8]) -> Vec<u8> {
    let pane = number(1, u64::from(pane));
    let mut packed = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        varint(&mut packed, u64::from(*byte));
    }
    let action = nested(field::WRITE_TO_PANE_ID, &[nested(1, &pane), nested(2, &packed)].concat());
    let from_command = number(4, 1);
    nested(field::ACTION, &[nested(1, &action), from_command].concat())
}

fn attach_message(size: TerminalSize) -> Vec<u8> {
    let size = [number(1, u64::from(size.cols)), number(2, u64::from(size.rows))].concat();
    let assets = nested(6, &size);
    nested(field::ATTACH_CLIENT, &nested(1, &assets))
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, field << 3);
    varint(&mut out, value);
    out
}

fn nested(field: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 8);
    varint(&mut out, field << 3 | 2);
    varint(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}

/// The field number of a message's first field.
fn first_field(message: &[u8]) -> Option<u64> {
    let mut value = 0;
    for (index, byte) in message.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(value >> 3);
        }
    }
    None
}

/// A connection to a server.
struct Server(UnixStream);

impl Server {
    async fn connect(socket: &Path) -> Result<Self, String> {
        UnixStream::connect(socket).await.map(Self).map_err(|error| format!("cannot connect to its server: {error}"))
    }

    async fn send(&mut self, message: &[u8]) -> Result<(), String> {
        let length = u32::try_from(message.len()).map_err(|error| error.to_string())?;
        let framed = [&length.to_le_bytes(), message].concat();
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, self.0.write_all(&framed)).await;
        sent.map_err(|_elapsed| "its server does not read".to_owned())?.map_err(|error| error.to_string())
    }

    async fn wait_for(&mut self, wanted: u64) -> Result<(), String> {
        let answer = async {
            loop {
                match first_field(&self.read().await?) {
                    Some(field) if field == wanted => return Ok(()),
                    // A client that has come is also told that, and other things that do not matter here.
                    Some(field::RENDER | field::DONE) => {}
                    other => return Err(format!("its server gave an unexpected answer ({other:?})")),
                }
            }
        };
        tokio::time::timeout(ANSWER_TIMEOUT, answer)
            .await
            .map_err(|_elapsed| format!("its server did not answer within {} s", ANSWER_TIMEOUT.as_secs()))?
    }

    async fn read(&mut self) -> Result<Vec<u8>, String> {
        let gone = |error: std::io::Error| format!("its server is gone: {error}");
        let length = self.0.read_u32_le().await.map_err(gone)? as usize;
        if length > MAX_ANSWER_BYTES {
            return Err(format!("its server announced an answer of {length} bytes"));
        }
        let mut message = vec![0; length];
        self.0.read_exact(&mut message).await.map_err(gone)?;
        Ok(message)
    }

    async fn leave(&mut self) -> Result<(), String> {
        self.send(&nested(field::CLIENT_EXITED, &[])).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_encoded_byte_by_byte() {
        let expected = [
            vec![0x4a, 15],
            vec![0x0a, 11, 0xa2, 0x06, 8],
            vec![0x0a, 2, 0x08, 0],
            vec![0x12, 2, 0x03, 0x61],
            vec![0x20, 1],
        ]
        .concat();
        assert_eq!(write_message(0, b"\x03a"), expected);
        let high = write_message(0, &[0xff]);
        assert!(high.ends_with(&[0x12, 2, 0xff, 0x01, 0x20, 1]), "{high:02x?}");
    }

    #[test]
    fn a_size_is_encoded_as_columns_and_rows() {
        let message = attach_message(TerminalSize { rows: 40, cols: 200 });
        assert_eq!(message, [0x42, 9, 0x0a, 7, 0x32, 5, 0x08, 0xc8, 0x01, 0x10, 40]);
    }

    #[test]
    fn an_answer_is_told_by_its_first_field() {
        assert_eq!(first_field(&[0x12, 0]), Some(field::DONE));
        assert_eq!(first_field(&[0x0a, 3, 1, 2, 3]), Some(field::RENDER));
        assert_eq!(first_field(&[]), None);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = type_bytes(&dir.path().join("s"), 0, b"x").await.unwrap_err();
        assert!(error.contains("cannot connect"), "{error}");
    }
}
