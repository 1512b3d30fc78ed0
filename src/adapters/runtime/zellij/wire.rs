//! Talking to a session's server without a command: for what zellij's commands can only take as arguments, which everybody
//! sees in a process listing (input), for what they cannot do (a size), and because commands that follow each other at once
//! disturb each other ([`Server`]).
//!
//! The messages are those of zellij's client/server contract, version 1: a length (4 bytes, little-endian) and a protobuf
//! message. The contract's version is part of the socket's path, so a server that speaks another is not found there.
//! Six messages are needed, and of the answers only their kind and one text, so both are done here by hand.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::panes::{self, Pane};
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
    /// `ClientToServerMsg.kill_session`.
    pub(super) const KILL_SESSION: u64 = 12;
    /// `Action.dump_screen`.
    pub(super) const DUMP_SCREEN: u64 = 15;
    /// `Action.list_panes`.
    pub(super) const LIST_PANES: u64 = 98;
    /// `Action.write_to_pane_id`.
    pub(super) const WRITE_TO_PANE_ID: u64 = 100;
    /// `ServerToClientMsg.render`.
    pub(super) const RENDER: u64 = 1;
    /// `ServerToClientMsg.unblock_input_thread`: done.
    pub(super) const DONE: u64 = 2;
    /// `ServerToClientMsg.log`: what a command would print.
    pub(super) const LOG: u64 = 5;
}

fn write_message(pane: u32, bytes: &[u8]) -> Vec<u8> {
    let pane = number(1, u64::from(pane));
    let mut packed = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        varint(&mut packed, u64::from(*byte));
    }
    action_message(&nested(field::WRITE_TO_PANE_ID, &[nested(1, &pane), nested(2, &packed)].concat()))
}

fn dump_message(pane: u32, full: bool) -> Vec<u8> {
    let pane = number(1, u64::from(pane));
    let (to_no_file, to_stdout) = (nested(1, &[]), number(4, 1));
    action_message(&nested(
        field::DUMP_SCREEN,
        &[to_no_file, number(2, u64::from(full)), nested(3, &pane), to_stdout].concat(),
    ))
}

fn list_message() -> Vec<u8> {
    let as_json = number(6, 1);
    action_message(&nested(field::LIST_PANES, &as_json))
}

fn action_message(action: &[u8]) -> Vec<u8> {
    let from_command = number(4, 1);
    nested(field::ACTION, &[nested(1, action), from_command].concat())
}

fn attach_message(size: TerminalSize) -> Vec<u8> {
    let size = [number(1, u64::from(size.cols)), number(2, u64::from(size.rows))].concat();
    let assets = nested(6, &size);
    nested(field::ATTACH_CLIENT, &nested(1, &assets))
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
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

/// The number at the start of `bytes`, and what follows it.
fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// The nested message or text at the start of `bytes`: its field number, its content, and what follows it.
fn read_nested(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (key, bytes) = read_varint(bytes)?;
    let (length, bytes) = read_varint(bytes)?;
    let (content, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    (key & 7 == 2).then_some((key >> 3, content, rest))
}

/// The texts in field 1 of a message that holds nothing else.
fn texts(mut message: &[u8]) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    while !message.is_empty() {
        let (field, content, rest) = read_nested(message)?;
        if field == 1 {
            texts.push(String::from_utf8_lossy(content).into_owned());
        }
        message = rest;
    }
    Some(texts)
}

/// The texts of an answer, as [`Server::ask`] takes them.
#[cfg(feature = "fuzzing")]
pub(crate) fn answered(message: &[u8]) -> Option<Vec<String>> {
    read_nested(message).filter(|(field, ..)| *field == field::LOG).and_then(|(_, content, _)| texts(content))
}

/// A connection to a server.
///
/// It is left by closing it, and never with `ClientExited`: 0.45.1 removes a client that says so twice, and because it gives
/// the numbers of gone clients to new ones, the second removal can hit whoever connected next (a command then ends with
/// empty output, or gets another's answer). What belongs together is asked on one connection.
#[derive(Debug)]
pub(super) struct Server(UnixStream);

impl Server {
    /// Connects to the server that listens there.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn connect(socket: &Path) -> Result<Self, String> {
        UnixStream::connect(socket).await.map(Self).map_err(|error| format!("cannot connect to its server: {error}"))
    }

    /// Types bytes into terminal pane `pane`, exactly as they are, and waits until the terminal took them.
    ///
    /// # Errors
    /// When the server refuses or does not answer in time; a part may have been typed then.
    pub(super) async fn type_bytes(&mut self, pane: u32, bytes: &[u8]) -> Result<(), String> {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.send(&write_message(pane, piece)).await?;
            self.wait_for(field::DONE).await?;
        }
        Ok(())
    }

    /// The session's panes.
    ///
    /// # Errors
    /// When the server does not answer in time, or not with a listing.
    pub(super) async fn panes(&mut self) -> Result<Vec<Pane>, String> {
        let listing = self.ask(&list_message()).await?;
        panes::parse(&listing).map_err(|error| format!("cannot read its list of panes: {error}: {listing}"))
    }

    /// What terminal pane `pane` shows, as plain text; `full` with its scrollback.
    ///
    /// # Errors
    /// When the server does not answer in time.
    pub(super) async fn dump(&mut self, pane: u32, full: bool) -> Result<String, String> {
        self.ask(&dump_message(pane, full)).await
    }

    /// Gives the session's terminal a size, and leaves: a session made in the background is 50 × 50 until a client of another
    /// size comes, and keeps the size of the last client that left.
    ///
    /// # Errors
    /// When the server does not draw for that size in time.
    pub(super) async fn resize(mut self, size: TerminalSize) -> Result<(), String> {
        self.send(&attach_message(size)).await?;
        self.wait_for(field::RENDER).await.map(drop)
    }

    /// Asks the server to end, with everything that runs in its panes. Does not wait for that.
    ///
    /// # Errors
    /// When the server is gone.
    pub(super) async fn kill(mut self) -> Result<(), String> {
        self.send(&nested(field::KILL_SESSION, &[])).await
    }

    /// Sends a message that is answered with text.
    async fn ask(&mut self, message: &[u8]) -> Result<String, String> {
        self.send(message).await?;
        let answer = self.wait_for(field::LOG).await?;
        let lines = texts(&answer).ok_or_else(|| "its server gave an answer that cannot be read".to_owned())?;
        Ok(lines.join("\n"))
    }

    async fn send(&mut self, message: &[u8]) -> Result<(), String> {
        let length = u32::try_from(message.len()).map_err(|error| error.to_string())?;
        let framed = [&length.to_le_bytes(), message].concat();
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, self.0.write_all(&framed)).await;
        sent.map_err(|_elapsed| "its server does not read".to_owned())?.map_err(|error| error.to_string())
    }

    /// Waits for an answer of one kind and gives its content.
    async fn wait_for(&mut self, wanted: u64) -> Result<Vec<u8>, String> {
        let answer = async {
            loop {
                let message = self.read().await?;
                match read_nested(&message) {
                    Some((field, content, _)) if field == wanted => return Ok(content.to_vec()),
                    // The first is told after every answer that is more than this, so also before the next one. The second is
                    // drawn for a client that just left, whose number this one got.
                    Some((field::DONE | field::RENDER, ..)) => {}
                    Some((field, ..)) => return Err(format!("its server refused (answer {field})")),
                    None => return Err("its server gave an answer that cannot be read".to_owned()),
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
    fn an_answer_is_its_kind_and_its_content() {
        assert_eq!(read_nested(&[0x12, 0]), Some((field::DONE, &[][..], &[][..])));
        let log = nested(field::LOG, &[nested(1, "ä\nb".as_bytes()), nested(1, b"c")].concat());
        let (field, content, _) = read_nested(&log).unwrap();
        assert_eq!((field, texts(content).unwrap()), (field::LOG, vec!["ä\nb".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn a_cut_off_answer_is_none() {
        assert_eq!(read_nested(&[]), None);
        assert_eq!(read_nested(&[0x12, 5, 1]), None);
        assert_eq!(read_nested(&[0x80]), None);
        assert_eq!(texts(&[0x0a, 3, 1]), None);
    }

    #[test]
    fn a_dump_is_asked_for_on_standard_output() {
        let asked = dump_message(0, true);
        assert_eq!(asked, [0x4a, 16, 0x0a, 12, 0x7a, 10, 0x0a, 0, 0x10, 1, 0x1a, 2, 0x08, 0, 0x20, 1, 0x20, 1]);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = Server::connect(&dir.path().join("s")).await.unwrap_err();
        assert!(error.contains("cannot connect"), "{error}");
    }
}
