//! How one talks to a holder: frames over its Unix socket, version 1.
//!
//! A frame is the length of its header and the length of its body (each 4 bytes, big endian), the header (JSON, one of [`Request`] or
//! [`Reply`], told apart by `"type"`), and the body (raw bytes). A header has at most 4 KiB, a body at most 8 MiB; a longer one is refused
//! before it is read and the connection ends.
//!
//! # Versions
//!
//! A holder lives as long as its agent, so a new ao meets the holders of older ones, and after a step back an older ao those of a
//! newer one. The client begins with `hello` and the newest version it speaks. The holder answers `hello` with that version, or `error`
//! with code `version`, and hangs up, when it does not speak it: then the client connects again and offers the next older one it speaks.
//! Where both have none in common the agent goes on, is still seen and can be stopped, for these go by its records; what needs the
//! holder fails and says why. What no version ever changes: the layout of frames, `hello`, and `error` with code `version`.
//!
//! `tests/data/holder-v1/` has the frames of version 1, frozen: they must be spoken for as long as such a holder may run.
//!
//! # Requests
//!
//! After `hello` each request gets one reply, in order:
//!
//! | Request | Body | Reply | Body |
//! | --- | --- | --- | --- |
//! | `input` | the bytes to type | `done` once the terminal took them | |
//! | `resize {rows, cols}` | | `done` | |
//! | `screen` | | `text` | the screen, UTF-8 |
//! | `output {lines}` | | `text` | the last lines, UTF-8; the end of them when they are more than 1 MiB |
//! | `lines` | | `lines {first}` | what is on the screen, UTF-8, whose first line has the number `first`; see below |
//! | `stop {grace_ms}` | | `ended {exit}` | |
//! | `follow` | | see below | |
//! | `attach {rows, cols}` | | see below | |
//! | `watch {rows, cols}` | | see below | |
//!
//! A size beyond 1 to 500 lines and 1 to 1000 columns is brought into that.
//!
//! An `input` waits while the agent does not read. A client that hangs up meanwhile, or sends its next request, calls off what the terminal
//! has not taken by then; a part may have been typed. In the second case it is answered with `error`.
//!
//! Lines are numbered from 0 on. Those before `first` have scrolled off the screen and stay as they are: they stand in the directory `lines` beside the
//! socket's record (`line_log`), as far as they are kept. A holder that has no such directory, of an ao before it, does not know `lines`.
//!
//! After `follow` the holder sends `data` frames: first what is kept of the raw output (its last 256 KiB), then all that comes, and `ended`
//! at the end. A client that reads too slowly misses output rather than slow the agent down, and is told by `lagged`. Nothing else
//! can be asked on that connection.
//!
//! After `attach` the connection is a viewer with a terminal of that size. The holder sends `resized {rows, cols}`, the size of the agent's
//! terminal, now and whenever it changes; `data` frames, which make the viewer's terminal show what the agent's does, the first one from
//! whatever was there; and at the end `ended`. The client sends `input` and `resize` (the viewer's size), neither of which is replied to. The
//! agent's terminal is as high as the lowest viewer and as wide as the narrowest, and stays so when the last one leaves. A viewer is not sent
//! the next `data` before it took the last one, so one that is slow holds nobody up and sees fewer pictures. What a viewer sent before it hung up
//! is typed, unless the agent does not read it within a second. At most 32 at a time.
//!
//! After `watch` the same, but the agent's terminal is not fitted to that viewer, which may see a part of it, and `input` is an error.
//! A holder that does not know `attach` or `watch`, of an ao before it, answers `error` with code `bad_request` and hangs up.
//!
//! A request that cannot be fulfilled is answered with `error {code, message}`; `code` is `version`, `bad_request`, `ended` (the agent does not run any more) or
//! `failed`.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::domain::exit::Exit;

/// The version holders speak.
pub const PROTOCOL_VERSION: u32 = 1;

/// The versions clients speak, newest first.
pub const CLIENT_VERSIONS: [u32; 1] = [PROTOCOL_VERSION];

/// The longest header, in bytes.
const MAX_HEADER_BYTES: u32 = 4 * 1024;
/// The longest body, in bytes.
pub const MAX_BODY_BYTES: u32 = 8 * 1024 * 1024;

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// The first frame.
    Hello {
        /// The version the client speaks.
        version: u32,
    },
    /// Type the body.
    Input,
    /// Change the terminal's size.
    Resize {
        /// Lines.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// What the screen shows.
    Screen,
    /// The last lines of output.
    Output {
        /// How many.
        lines: usize,
    },
    /// What is on the screen, with the number of its first line.
    Lines,
    /// The raw output, from now on.
    Follow,
    /// What the terminal shows, for a viewer who also types.
    Attach {
        /// Lines of the viewer's terminal.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// The same for one who only looks.
    Watch {
        /// Lines of the viewer's terminal.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// End the agent and all its processes.
    Stop {
        /// How long it may take to end in order, in milliseconds.
        grace_ms: u64,
    },
}

/// What a holder says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// The version fits.
    Hello {
        /// The version the holder speaks.
        version: u32,
    },
    /// It is done.
    Done,
    /// The body is text.
    Text,
    /// The body is the text of the screen.
    Lines {
        /// The number of its first line: so many scrolled off before it.
        first: u64,
    },
    /// The body is raw output, or for a viewer what to write to its terminal.
    Data,
    /// The size of the agent's terminal.
    Resized {
        /// Lines.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// Output was left out because the client read too slowly.
    Lagged {
        /// How many `data` frames.
        frames: u64,
    },
    /// The agent has ended; nothing follows.
    Ended {
        /// How.
        exit: Exit,
    },
    /// The request was not fulfilled.
    Error {
        /// What kind of reason.
        code: ErrorCode,
        /// The reason, for a person.
        message: String,
    },
}

/// Kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The holder does not speak that version.
    Version,
    /// The request cannot be understood, or not here.
    BadRequest,
    /// The agent does not run any more.
    Ended,
    /// It was tried and failed.
    Failed,
}

/// Sends one frame.
///
/// # Errors
/// When the connection fails, or the frame is longer than allowed.
pub async fn send(stream: &mut (impl AsyncWrite + Unpin), header: &impl Serialize, body: &[u8]) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    let header_length = bounded(header.len(), MAX_HEADER_BYTES)?;
    let body_length = bounded(body.len(), MAX_BODY_BYTES)?;
    let mut frame = Vec::with_capacity(8 + header.len() + body.len());
    frame.extend(header_length.to_be_bytes());
    frame.extend(body_length.to_be_bytes());
    frame.extend(header);
    frame.extend(body);
    stream.write_all(&frame).await
}

/// Receives one frame; `None` when the other side hung up between frames.
///
/// # Errors
/// When the connection fails or ends within a frame, or the frame is longer than allowed or not understood
/// ([`io::ErrorKind::InvalidData`]).
pub async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut header_length = [0; 4];
    let first = stream.read(&mut header_length).await?;
    if first == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut header_length[first..]).await?;
    let body_length = stream.read_u32().await?;
    let header = read_bounded(stream, u32::from_be_bytes(header_length), MAX_HEADER_BYTES).await?;
    let header = serde_json::from_slice(&header).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some((header, read_bounded(stream, body_length, MAX_BODY_BYTES).await?)))
}

async fn read_bounded(stream: &mut (impl AsyncRead + Unpin), length: u32, most: u32) -> io::Result<Vec<u8>> {
    if length > most {
        return Err(too_long(length as usize, most));
    }
    let mut content = Vec::new();
    // Grows with what arrives: a length alone reserves nothing.
    stream.take(u64::from(length)).read_to_end(&mut content).await?;
    if content.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(content)
}

fn bounded(length: usize, most: u32) -> io::Result<u32> {
    u32::try_from(length).ok().filter(|length| *length <= most).ok_or_else(|| too_long(length, most))
}

fn too_long(length: usize, most: u32) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a part of a frame has {length} bytes, at most {most} are allowed"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_arrive_as_sent_whatever_the_chunks() {
        let (mut near, mut far) = tokio::io::duplex(3);
        let body: Vec<u8> = (0..=255).collect();
        let sent = body.clone();
        let sender = tokio::spawn(async move {
            send(&mut near, &Request::Input, &sent).await.unwrap();
            send(&mut near, &Request::Stop { grace_ms: 7 }, b"").await.unwrap();
        });
        assert_eq!(receive(&mut far).await.unwrap(), Some((Request::Input, body)));
        assert_eq!(receive(&mut far).await.unwrap(), Some((Request::Stop { grace_ms: 7 }, Vec::new())));
        sender.await.unwrap();
        assert_eq!(receive::<Request>(&mut far).await.unwrap(), None, "hung up between frames");
    }

    #[tokio::test]
    async fn a_frame_cut_off_is_an_error() {
        let mut whole = Vec::new();
        send(&mut whole, &Request::Input, b"typed").await.unwrap();
        for length in 1..whole.len() {
            let error = receive::<Request>(&mut &whole[..length]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "after {length} bytes");
        }
    }

    #[tokio::test]
    async fn too_long_is_refused_on_both_sides() {
        let mut claims = Vec::new();
        claims.extend(4_u32.to_be_bytes());
        claims.extend((MAX_BODY_BYTES + 1).to_be_bytes());
        claims.extend(b"null");
        assert_eq!(receive::<()>(&mut claims.as_slice()).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        claims[..4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(receive::<()>(&mut claims.as_slice()).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let body = vec![0; MAX_BODY_BYTES as usize + 1];
        assert!(send(&mut tokio::io::sink(), &Request::Input, &body).await.is_err());
    }

    #[tokio::test]
    async fn an_unknown_request_is_an_error() {
        let mut frame = Vec::new();
        send(&mut frame, &serde_json::json!({"type": "dance"}), b"").await.unwrap();
        assert_eq!(receive::<Request>(&mut frame.as_slice()).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn headers_look_as_documented() {
        let text = serde_json::to_string(&Request::Resize { rows: 2, cols: 3 }).unwrap();
        assert_eq!(text, r#"{"type":"resize","rows":2,"cols":3}"#);
        let text = serde_json::to_string(&Reply::Ended { exit: Exit::Code(3) }).unwrap();
        assert_eq!(text, r#"{"type":"ended","exit":{"code":3}}"#);
    }
}
