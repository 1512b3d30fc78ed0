//! `/sessions/{id}/terminal`: a session's terminal as a WebSocket.
//!
//! Binary frames are bytes: from here what to write to the viewer's terminal, to here what the viewer typed. Text frames are JSON: from here
//! [`TerminalNews`], to here [`ViewerNews`]. Whoever begins to close it is answered before the connection ends. A picture is asked of the runtime when the one before was taken, so nothing queues up for a
//! viewer that is slow, and neither the agent nor another viewer waits for one. One that takes nothing for too long is told why in the frame
//! that closes the connection, which it finds when it reads on.

use std::ops::ControlFlow;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt, stream};
use serde::Deserialize;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::extract::{Ids, Params, session_id};
use super::patience::Patience;
use super::peer::Asking;
use super::router::Daemon;
use super::wire::{TerminalNews, ViewerNews};
use crate::domain::id::SessionId;
use crate::ports::runtime::{RuntimeError, TerminalSize};
use crate::ports::terminal_view::{Attached, Newcomer, Seen, TerminalKeys, TerminalView};

/// The longest frame that is taken, in bytes: a paste comes in several.
const MAX_FRAME_BYTES: usize = 1024 * 1024;
/// How long a viewer may take to answer the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a reason can be, in bytes.
const MAX_REASON_BYTES: usize = 123;

/// Who comes.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ViewerQuery {
    /// The lines of the viewer's terminal; those that terminals of agents begin with when missing.
    #[param(minimum = 0)]
    rows: Option<u16>,
    /// Its columns, likewise.
    #[param(minimum = 0)]
    cols: Option<u16>,
    /// Whether the viewer only watches: it types nothing, and the agent's terminal is not fitted to it.
    read_only: Option<bool>,
}

pub(super) fn routes() -> OpenApiRouter<Daemon> {
    OpenApiRouter::new().routes(routes!(terminal))
}

/// Sit down at a session's terminal: a WebSocket
///
/// Binary frames are bytes of the terminal, to be written to the viewer's and typed by the viewer. Text frames are JSON: from here
/// `{"type": "resize", "rows", "cols"}` and `{"type": "exit", "exit"}`, to here the first. The terminal has the size that all viewers have room for who do not only watch, of at least 4 lines and 20 columns. For persons only.
#[utoipa::path(get, path = "/sessions/{id}/terminal", tag = "sessions", params(("id" = SessionId, Path), ViewerQuery), responses(
    (status = 101, description = "The connection is a WebSocket from here on"),
))]
async fn terminal(
    State(daemon): State<Daemon>,
    Asking(caller): Asking,
    Ids(id): Ids<String>,
    Params(ViewerQuery { rows, cols, read_only }): Params<ViewerQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
    let usual = TerminalSize::default();
    let size = usable(TerminalSize { rows: rows.unwrap_or(usual.rows), cols: cols.unwrap_or(usual.cols) });
    let newcomer = Newcomer { size, is_watching: read_only == Some(true) };
    let attached = daemon.application.attach(&session_id(&id)?, newcomer, &caller).await?;
    let (patience, stop) = (daemon.patience, daemon.stop);
    let upgrade = upgrade.max_message_size(MAX_FRAME_BYTES).max_frame_size(MAX_FRAME_BYTES);
    Ok(upgrade.on_upgrade(move |socket| serve(socket, attached, newcomer, patience, stop)))
}

/// How a viewer's connection ends.
enum End {
    /// The viewer is gone, without a word.
    Gone,
    /// The viewer said that it leaves, and is to be answered.
    Left,
    /// The viewer is told to leave, and answers.
    Told(CloseFrame),
    /// The same to one who said what is no message, and whose answer cannot be found behind that.
    Unreadable(CloseFrame),
}

/// Serves one viewer to its end.
async fn serve(
    socket: WebSocket,
    attached: Attached,
    Newcomer { is_watching, .. }: Newcomer,
    patience: Patience,
    stop: CancellationToken,
) {
    let (mut to, mut from) = socket.split();
    let Attached { view, keys } = attached;
    let end = {
        let mut listening = std::pin::pin!(listen(&mut from, keys, is_watching));
        tokio::select! {
            end = show(&mut to, view, patience) => {
                if let End::Gone = end {
                    // What was typed before that is there to be read still.
                    let _ = timeout(FAREWELL, &mut listening).await;
                }
                end
            }
            end = &mut listening => end,
            () = stop.cancelled() => End::Told(close(close_code::AWAY, "the daemon stops; the agent goes on")),
        }
    };
    let bound = if stop.is_cancelled() { patience.cut_off_at_stop } else { patience.cut_off };
    let told = match end {
        End::Gone => return,
        End::Left => {
            // The answer is made where the farewell was read, and has to be sent.
            let _ = timeout(bound, to.close()).await;
            return;
        }
        End::Told(ref told) | End::Unreadable(ref told) => told.clone(),
    };
    if told.code != close_code::NORMAL {
        tracing::info!(code = told.code, reason = told.reason.as_str(), "a terminal's viewer is let go");
    }
    // One that takes not even this is gone. And one that is hung up on before it answered may not find what it was sent.
    let _ = timeout(bound, to.send(Message::Close(Some(told)))).await;
    if let End::Unreadable(_) = end {
        tokio::time::sleep(FAREWELL).await;
    } else {
        let _ = timeout(FAREWELL, async { while let Some(Ok(_)) = from.next().await {} }).await;
    }
}

/// Shows what there is to see, until there is no more.
async fn show(to: &mut SplitSink<WebSocket, Message>, view: Box<dyn TerminalView>, patience: Patience) -> End {
    // A stream keeps what is under way, while something else is to be done.
    let views = stream::unfold(view, async |mut view| Some((view.next().await, view)));
    let mut views = std::pin::pin!(views);
    let mut alive = tokio::time::interval(patience.keep_alive);
    alive.reset();
    loop {
        let (message, goes_on) = tokio::select! {
            seen = views.next() => match seen {
                Some(seen) => as_message(seen),
                None => return End::Gone,
            },
            _ = alive.tick() => (Message::Ping(Vec::new().into()), ControlFlow::Continue(())),
        };
        match timeout(patience.slow, to.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_gone)) => return End::Gone,
            Err(_elapsed) => return End::Told(too_slow(patience.slow)),
        }
        if let ControlFlow::Break(end) = goes_on {
            return End::Told(end);
        }
        alive.reset();
    }
}

fn as_message(seen: Result<Seen, RuntimeError>) -> (Message, ControlFlow<CloseFrame>) {
    let text = |news: &TerminalNews| Message::Text(serde_json::to_string(news).unwrap_or_default().into());
    match seen {
        Ok(Seen::Picture(picture)) => (Message::Binary(picture.into()), ControlFlow::Continue(())),
        Ok(Seen::Size(TerminalSize { rows, cols })) => {
            (text(&TerminalNews::Resize { rows, cols }), ControlFlow::Continue(()))
        }
        Ok(Seen::Ended(exit)) => {
            let end = close(close_code::NORMAL, "the agent has ended");
            (text(&TerminalNews::Exit { exit }), ControlFlow::Break(end))
        }
        Err(error) => {
            let end = close(close_code::ERROR, &error.to_string());
            (Message::Ping(Vec::new().into()), ControlFlow::Break(end))
        }
    }
}

/// Hears a viewer until it leaves, or says something that makes no sense.
async fn listen(from: &mut SplitStream<WebSocket>, mut keys: Box<dyn TerminalKeys>, is_watching: bool) -> End {
    loop {
        let message = match from.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return unreadable(error),
            None => return End::Gone,
        };
        let done = match message {
            Message::Binary(_) if is_watching => {
                return End::Told(close(close_code::POLICY, "read_only: this viewer only watches, and types nothing"));
            }
            Message::Binary(bytes) => keys.type_bytes(&bytes).await,
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(ViewerNews::Resize { rows, cols }) => keys.resize(usable(TerminalSize { rows, cols })).await,
                Err(error) => return End::Told(close(close_code::UNSUPPORTED, &format!("not understood: {error}"))),
            },
            Message::Close(_) => return End::Left,
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        };
        if let Err(error) = done {
            // How the agent ended is told by the other half.
            tracing::debug!(%error, "a terminal takes no more input");
            std::future::pending::<()>().await;
        }
    }
}

/// What becomes of a viewer who sent what is no message.
fn unreadable(error: axum::Error) -> End {
    let Ok(error) = error.into_inner().downcast::<WebSocketError>() else { return End::Gone };
    match *error {
        WebSocketError::Capacity(_) => {
            let reason = format!("too_large: a message has {MAX_FRAME_BYTES} bytes at most");
            End::Unreadable(close(close_code::SIZE, &reason))
        }
        WebSocketError::Utf8(_) => End::Unreadable(close(close_code::INVALID, "not understood: no UTF-8")),
        WebSocketError::Protocol(cause) => {
            End::Unreadable(close(close_code::PROTOCOL, &format!("not understood: {cause}")))
        }
        _ => End::Gone,
    }
}

/// A size that an agent can work with: its terminal keeps what its last viewer left it.
fn usable(size: TerminalSize) -> TerminalSize {
    TerminalSize { rows: size.rows.clamp(4, 500), cols: size.cols.clamp(20, 1000) }
}

fn too_slow(patience: Duration) -> CloseFrame {
    close(close_code::POLICY, &format!("too_slow: nothing of what was sent was taken for {} s", patience.as_secs()))
}

fn close(code: u16, reason: &str) -> CloseFrame {
    let ends = reason.char_indices().map(|(at, letter)| at + letter.len_utf8());
    let end = ends.take_while(|end| *end <= MAX_REASON_BYTES).last().unwrap_or(0);
    CloseFrame { code, reason: Utf8Bytes::from(&reason[..end]) }
}
