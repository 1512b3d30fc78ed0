//! Being attached to a multiplexer's terminal: its own client, in a pseudo-terminal of the daemon's.
//!
//! The client knows what a new viewer has to be shown, how the terminal fits all of them and which keys it takes, and each multiplexer's
//! client knows that for its own: nothing else of them would (tmux's `pipe-pane` gives raw output from now on, and zellij nothing but whole
//! screens to ask for again and again). What it draws goes into a model, as an agent's output does in the holder, and the viewer is given
//! pictures of that. So a slow viewer is none for the multiplexer, whatever that would do about it; what the client asks its terminal, the
//! model answers; and what it says at its end is not for the viewer.
//!
//! A daemon that is killed takes the pseudo-terminal along, and with it the client.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pty_process::{OwnedReadPty, OwnedWritePty, Size};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::adapters::runtime::pty::after_the_end;
use crate::adapters::runtime::pty::paint::Painter;
use crate::adapters::runtime::pty::screen::Screen;
use crate::domain::id::RuntimeKind;
use crate::ports::runtime::{RuntimeError, TerminalSize};
use crate::ports::terminal_view::{Attached, Seen, TerminalKeys, TerminalView};

/// What comes within is one picture.
const PICTURE_INTERVAL: Duration = Duration::from_millis(15);
/// How many pieces of input wait for a client that takes none.
const TYPED_AHEAD: usize = 64;
/// The terminal that clients are told they draw on.
const TERM: (&str, &str) = ("TERM", "xterm-256color");

/// A program that shows a terminal to whoever calls it.
#[derive(Debug)]
pub(in crate::adapters::runtime) struct Client {
    pub(in crate::adapters::runtime) program: PathBuf,
    pub(in crate::adapters::runtime) args: Vec<OsString>,
    /// The whole environment, but for what says which kind of terminal it draws on.
    pub(in crate::adapters::runtime) env: BTreeMap<String, String>,
}

/// Starts the client on a terminal of that size.
pub(super) fn attach(
    client: Client,
    size: TerminalSize,
    kind: &RuntimeKind,
    session_dir: &Path,
) -> io::Result<Attached> {
    let (pty, pts) = pty_process::open().map_err(io::Error::other)?;
    pty.resize(Size::new(size.rows.max(1), size.cols.max(1))).map_err(io::Error::other)?;
    let command = pty_process::Command::new(client.program)
        .args(client.args)
        .env_clear()
        .envs(client.env)
        .env(TERM.0, TERM.1)
        .current_dir("/")
        .kill_on_drop(true);
    let child = command.spawn(pts).map_err(io::Error::other)?;
    let (output, input) = pty.into_split();
    let model = Model { screen: Screen::new(size), painter: Painter::new(size), size, is_size_told: false };
    let model = Arc::new(Mutex::new(model));
    let ((tell, changed), (keys, typed)) = (watch::channel(()), mpsc::channel(TYPED_AHEAD));
    let drawing = draw(child, output, Arc::clone(&model), keys.clone(), tell.clone());
    let typing = type_in(input, typed, Arc::clone(&model), tell);
    let tasks = [AbortOnDropHandle::new(tokio::spawn(drawing)), AbortOnDropHandle::new(tokio::spawn(typing))];
    let view = View { model, changed, kind: kind.clone(), session_dir: session_dir.to_owned(), tasks };
    Ok(Attached { view: Box::new(view), keys: Box::new(Keyboard { keys, kind: kind.clone() }) })
}

/// What the client drew, and what of that its viewer knows.
struct Model {
    screen: Screen,
    painter: Painter,
    size: TerminalSize,
    is_size_told: bool,
}

fn lock(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Done {
    Typed(Vec<u8>),
    Resized(TerminalSize),
}

/// Keeps the model as the client draws it, to the client's end.
async fn draw(
    mut client: Child,
    mut output: OwnedReadPty,
    model: Arc<Mutex<Model>>,
    keys: mpsc::Sender<Done>,
    tell: watch::Sender<()>,
) {
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            read = output.read(&mut chunk) => read.unwrap_or(0),
            _ = client.wait() => 0,
        };
        if read == 0 {
            return;
        }
        let answers = lock(&model).screen.feed(&chunk[..read]);
        if !answers.is_empty() {
            // A client that asks and never reads gets no more answers.
            let _ = keys.try_send(Done::Typed(answers));
        }
        tell.send_replace(());
    }
}

async fn type_in(
    mut input: OwnedWritePty,
    mut typed: mpsc::Receiver<Done>,
    model: Arc<Mutex<Model>>,
    tell: watch::Sender<()>,
) {
    while let Some(done) = typed.recv().await {
        let is_done = match done {
            Done::Typed(bytes) => input.write_all(&bytes).await.is_ok(),
            Done::Resized(size) => {
                {
                    let mut model = lock(&model);
                    model.screen.resize(size);
                    model.painter.resize(size);
                    (model.size, model.is_size_told) = (size, false);
                }
                tell.send_replace(());
                input.resize(Size::new(size.rows.max(1), size.cols.max(1))).is_ok()
            }
        };
        if !is_done {
            return;
        }
    }
}

struct View {
    model: Arc<Mutex<Model>>,
    changed: watch::Receiver<()>,
    kind: RuntimeKind,
    session_dir: PathBuf,
    /// The first one goes on as long as the client does.
    tasks: [AbortOnDropHandle<()>; 2],
}

impl View {
    fn look(&self) -> Option<Seen> {
        let mut model = lock(&self.model);
        if !std::mem::replace(&mut model.is_size_told, true) {
            return Some(Seen::Size(model.size));
        }
        let Model { screen, painter, .. } = &mut *model;
        screen.paint(painter).map(Seen::Picture)
    }
}

#[async_trait]
impl TerminalView for View {
    async fn next(&mut self) -> Result<Seen, RuntimeError> {
        loop {
            // What a client says at its end is for a shell.
            if self.tasks[0].is_finished() {
                let cause = format!("its {} client has ended", self.kind);
                return after_the_end(&self.session_dir, &self.kind, cause).await;
            }
            if let Some(seen) = self.look() {
                return Ok(seen);
            }
            let told = tokio::select! {
                told = self.changed.changed() => told,
                _ = &mut self.tasks[0] => continue,
            };
            if told.is_ok() {
                tokio::time::sleep(PICTURE_INTERVAL).await;
            }
        }
    }
}

struct Keyboard {
    keys: mpsc::Sender<Done>,
    kind: RuntimeKind,
}

impl Keyboard {
    async fn hand_on(&mut self, done: Done) -> Result<(), RuntimeError> {
        self.keys.send(done).await.map_err(|_gone| RuntimeError::Failed {
            runtime: self.kind.clone(),
            action: "type into the terminal",
            cause: format!("its {} client has ended", self.kind),
        })
    }
}

#[async_trait]
impl TerminalKeys for Keyboard {
    async fn type_bytes(&mut self, bytes: &[u8]) -> Result<(), RuntimeError> {
        self.hand_on(Done::Typed(bytes.to_vec())).await
    }

    async fn resize(&mut self, size: TerminalSize) -> Result<(), RuntimeError> {
        self.hand_on(Done::Resized(size)).await
    }
}
