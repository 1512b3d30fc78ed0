//! The holder's socket: one task per connection, each speaking [`super::protocol`] and passing what is asked on to the owner of the
//! terminal.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

use super::protocol::{ErrorCode, PROTOCOL_VERSION, Reply, Request, receive, send};
use super::viewers::{self, Sight, Viewer, ViewerId};
use crate::adapters::runtime::cut_to_last_bytes;
use crate::domain::exit::Exit;
use crate::ports::runtime::TerminalSize;
use crate::ports::terminal_view::Newcomer;

/// More connections than this at a time are turned away.
const MAX_CONNECTIONS: usize = 64;

/// What the owner of the terminal is asked. Each answer goes to whoever asked.
pub(super) enum Command {
    Screen(oneshot::Sender<String>),
    Output {
        lines: usize,
        answer: oneshot::Sender<String>,
    },
    /// The screen's text, and the number of its first line.
    Lines(oneshot::Sender<(u64, String)>),
    Resize {
        size: TerminalSize,
        answer: oneshot::Sender<io::Result<()>>,
    },
    Follow(oneshot::Sender<Following>),
    /// Somebody comes; `None` when there are too many.
    Attach {
        newcomer: Newcomer,
        answer: oneshot::Sender<Option<Viewer>>,
    },
    /// What a viewer does not see yet.
    Look {
        viewer: ViewerId,
        answer: oneshot::Sender<Sight>,
    },
    ViewerSize {
        viewer: ViewerId,
        size: TerminalSize,
    },
    Leave(ViewerId),
    Stop(Duration),
}

/// The raw output so far, and from then on.
pub(super) type Following = (Vec<u8>, broadcast::Receiver<Arc<[u8]>>);

/// Something to type.
pub(super) struct Keys {
    pub(super) bytes: Vec<u8>,
    /// Told when the terminal took all of it. When nobody waits for that any more, the rest is not typed.
    pub(super) taken: Option<oneshot::Sender<io::Result<()>>>,
}

/// How connections reach the rest of the holder.
#[derive(Clone)]
pub(super) struct Hub {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) keys: mpsc::Sender<Keys>,
    pub(super) ended: watch::Receiver<Option<Exit>>,
}

impl Hub {
    /// `None` when the agent has ended.
    pub(super) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.ok()?;
        answered.await.ok()
    }
}

/// The listening socket and its connections.
pub(super) struct Server {
    accepting: tokio::task::JoinHandle<()>,
    connections: TaskTracker,
}

impl Server {
    /// Listens; the socket is there for its owner alone (0600) from the moment it has its name.
    pub(super) fn listen(socket: &Path, hub: Hub) -> io::Result<Self> {
        let unfinished = socket.with_extension("new");
        let listener = UnixListener::bind(&unfinished)?;
        std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&unfinished, socket)?;
        let connections = TaskTracker::new();
        let accepting = tokio::spawn(accept(listener, hub, connections.clone()));
        Ok(Self { accepting, connections })
    }

    /// Takes no more connections and gives those that are there some time to hear of the end.
    pub(super) async fn finish(&self, bound: Duration) {
        self.accepting.abort();
        self.connections.close();
        // Those that do not listen are cut off with the process.
        let _ = tokio::time::timeout(bound, self.connections.wait()).await;
    }
}

async fn accept(listener: UnixListener, hub: Hub, connections: TaskTracker) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if connections.len() < MAX_CONNECTIONS && is_own_user(&stream) => {
                let hub = hub.clone();
                connections.spawn(async move {
                    // The client is gone or does not follow the protocol; there is nobody to tell.
                    let _ = Connection { stream, hub }.serve().await;
                });
            }
            Ok(_) => {}
            // Out of file handles, most likely: trying at once again would only burn time.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Whether the other side is a process of this user.
pub(super) fn is_own_user(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
}

struct Connection {
    stream: UnixStream,
    hub: Hub,
}

impl Connection {
    async fn serve(mut self) -> io::Result<()> {
        if !self.greet().await? {
            return Ok(());
        }
        loop {
            let (request, body) = match receive(&mut self.stream).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return self.refuse(ErrorCode::BadRequest, &error.to_string()).await;
                }
                Err(error) => return Err(error),
            };
            match request {
                Request::Follow => return self.follow().await,
                Request::Attach { rows, cols } => {
                    return self.attach(Newcomer { size: TerminalSize { rows, cols }, is_watching: false }).await;
                }
                Request::Watch { rows, cols } => {
                    return self.attach(Newcomer { size: TerminalSize { rows, cols }, is_watching: true }).await;
                }
                _ => {}
            }
            let (reply, body) = self.answer(request, body).await;
            send(&mut self.stream, &reply, &body).await?;
        }
    }

    /// Whether both sides speak the same version.
    async fn greet(&mut self) -> io::Result<bool> {
        match receive(&mut self.stream).await {
            Ok(Some((Request::Hello { version: PROTOCOL_VERSION }, _))) => {
                send(&mut self.stream, &Reply::Hello { version: PROTOCOL_VERSION }, b"").await?;
                return Ok(true);
            }
            Ok(Some((Request::Hello { version }, _))) => {
                let message = format!("this terminal speaks protocol version {PROTOCOL_VERSION}, not {version}");
                self.refuse(ErrorCode::Version, &message).await?;
            }
            Ok(Some(_)) => self.refuse(ErrorCode::BadRequest, "the first request must be hello").await?,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.refuse(ErrorCode::BadRequest, &error.to_string()).await?;
            }
            Ok(None) | Err(_) => {}
        }
        Ok(false)
    }

    async fn refuse(&mut self, code: ErrorCode, message: &str) -> io::Result<()> {
        send(&mut self.stream, &error(code, message), b"").await
    }

    async fn answer(&mut self, request: Request, body: Vec<u8>) -> (Reply, Vec<u8>) {
        let answered = match request {
            Request::Input => self.type_in(body).await,
            Request::Resize { rows, cols } => {
                self.ask(|answer| Command::Resize { size: TerminalSize { rows, cols }, answer }).await.map(done)
            }
            Request::Screen => self.ask(Command::Screen).await.map(|shown| text(&shown)),
            Request::Output { lines } => {
                self.ask(|answer| Command::Output { lines, answer }).await.map(|shown| text(&shown))
            }
            Request::Lines => self.ask(Command::Lines).await.map(|(first, shown)| lines(first, &shown)),
            Request::Stop { grace_ms } => return (self.stop(Duration::from_millis(grace_ms)).await, Vec::new()),
            Request::Hello { .. } | Request::Follow | Request::Attach { .. } | Request::Watch { .. } => {
                return (error(ErrorCode::BadRequest, "not at this point"), Vec::new());
            }
        };
        answered.unwrap_or_else(|| (error(ErrorCode::Ended, "the agent has ended"), Vec::new()))
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        self.hub.ask(command).await
    }

    async fn type_in(&mut self, bytes: Vec<u8>) -> Option<(Reply, Vec<u8>)> {
        let (taken, was_taken) = oneshot::channel();
        let type_it = async {
            self.hub.keys.send(Keys { bytes, taken: Some(taken) }).await.ok()?;
            was_taken.await.ok()
        };
        // Dropping the receiver calls off what was not typed yet: who asked reported it as failed and may ask again.
        tokio::select! {
            biased;
            typed = type_it => Some(done(typed?)),
            () = self.until_more_is_heard() => Some((error(ErrorCode::Failed, "called off by the client"), Vec::new())),
        }
    }

    /// Waits until the client hangs up or sends something more, and leaves that to be received.
    async fn until_more_is_heard(&self) {
        while self.stream.readable().await.is_ok() {
            let mut byte = [0_u8; 1];
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            let look = || Ok(rustix::net::recv(&self.stream, &mut byte, flags)?);
            // The readiness may be left over from what was received before.
            match self.stream.try_io(Interest::READABLE, look) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    }

    async fn stop(&mut self, grace: Duration) -> Reply {
        // When it cannot be asked, it has ended already.
        let _ = self.hub.commands.send(Command::Stop(grace)).await;
        match self.hub.ended.wait_for(Option::is_some).await {
            Ok(exit) => Reply::Ended { exit: exit.unwrap_or(Exit::Unknown) },
            Err(_) => error(ErrorCode::Failed, "the holder is ending"),
        }
    }

    async fn follow(&mut self) -> io::Result<()> {
        let Some((replay, mut output)) = self.ask(Command::Follow).await else {
            return self.refuse(ErrorCode::Ended, "the agent has ended").await;
        };
        send(&mut self.stream, &Reply::Data, &replay).await?;
        loop {
            match output.recv().await {
                Ok(chunk) => send(&mut self.stream, &Reply::Data, &chunk).await?,
                Err(broadcast::error::RecvError::Lagged(frames)) => {
                    send(&mut self.stream, &Reply::Lagged { frames }, b"").await?;
                }
                Err(broadcast::error::RecvError::Closed) => break,
            }
        }
        let exit = self.hub.ended.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
        send(&mut self.stream, &Reply::Ended { exit: exit.unwrap_or(Exit::Unknown) }, b"").await
    }

    async fn attach(mut self, newcomer: Newcomer) -> io::Result<()> {
        match self.ask(|answer| Command::Attach { newcomer, answer }).await {
            Some(Some(viewer)) => viewers::serve(self.stream, &self.hub, viewer).await,
            Some(None) => self.refuse(ErrorCode::Failed, "too many are attached already").await,
            None => self.refuse(ErrorCode::Ended, "the agent has ended").await,
        }
    }
}

fn error(code: ErrorCode, message: &str) -> Reply {
    Reply::Error { code, message: message.to_owned() }
}

fn text(text: &str) -> (Reply, Vec<u8>) {
    (Reply::Text, cut_to_last_bytes(text).as_bytes().to_vec())
}

fn lines(first: u64, shown: &str) -> (Reply, Vec<u8>) {
    (Reply::Lines { first }, cut_to_last_bytes(shown).as_bytes().to_vec())
}

fn done(result: io::Result<()>) -> (Reply, Vec<u8>) {
    let reply = match result {
        Ok(()) => Reply::Done,
        Err(cause) => error(ErrorCode::Failed, &cause.to_string()),
    };
    (reply, Vec::new())
}
