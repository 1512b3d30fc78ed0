//! A session's terminal as the daemon gives it: a WebSocket.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::taken::Size;
use crate::adapters::http::wire::{TerminalNews, ViewerNews};
use crate::domain::exit::Exit;

/// What asks for one. The key guards against caches, of which there are none on a socket of one's own.
pub(super) const HEADERS: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "YW8gYXR0YWNoZXMgaGVyZQ=="),
];

/// Both halves of one.
pub(super) struct TerminalStream {
    pub(super) view: TerminalPictures,
    pub(super) keys: TerminalKeyboard,
}

/// What is to see.
pub(super) struct TerminalPictures(SplitStream<WebSocketStream<TokioIo<Upgraded>>>);

/// What is typed.
pub(super) struct TerminalKeyboard(SplitSink<WebSocketStream<TokioIo<Upgraded>>, Message>);

/// Something to see, or why there is nothing more.
#[derive(Debug)]
pub(super) enum Seen {
    Picture(Vec<u8>),
    /// The agent has ended.
    Ended(Exit),
    /// The daemon went, or stops.
    Away,
    /// The daemon wants no more of this viewer.
    Dropped(String),
}

impl TerminalStream {
    pub(super) async fn new(upgraded: Upgraded) -> Self {
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
        let (keys, view) = socket.split();
        Self { view: TerminalPictures(view), keys: TerminalKeyboard(keys) }
    }
}

impl TerminalPictures {
    /// What is to see next. The daemon's farewell is answered when the next thing is asked for.
    pub(super) async fn next(&mut self) -> Seen {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Binary(picture))) => return Seen::Picture(picture.into()),
                Some(Ok(Message::Text(text))) => {
                    // One that is newer than this may tell more.
                    if let Ok(TerminalNews::Exit { exit }) = serde_json::from_str(&text) {
                        return Seen::Ended(exit);
                    }
                }
                Some(Ok(Message::Close(Some(frame)))) if frame.code != CloseCode::Away => {
                    return Seen::Dropped(frame.reason.to_string());
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Seen::Away,
            }
        }
    }
}

impl TerminalKeyboard {
    /// Says that this viewer leaves, after all that was typed. It has left when nothing more is to see.
    pub(super) async fn leave(&mut self) {
        // A daemon that is gone needs no telling.
        let _ = self.0.close().await;
    }

    /// Types bytes; false when the daemon is gone.
    pub(super) async fn type_bytes(&mut self, bytes: Vec<u8>) -> bool {
        self.0.send(Message::Binary(bytes.into())).await.is_ok()
    }

    /// Tells this terminal's size; false when the daemon is gone.
    pub(super) async fn resize(&mut self, Size { rows, cols }: Size) -> bool {
        let most = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let news = ViewerNews::Resize { rows: most(rows), cols: most(cols) };
        let text = serde_json::to_string(&news).unwrap_or_default();
        self.0.send(Message::Text(text.into())).await.is_ok()
    }
}
