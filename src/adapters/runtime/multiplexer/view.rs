//! Being attached to a multiplexer's terminal: its own client, in a pseudo-terminal of the daemon's.
//!
//! The client knows what a new viewer has to be shown, how the terminal fits all of them and which keys it takes, and each multiplexer's
//! client knows that for its own: nothing else of them would (tmux's `pipe-pane` gives raw output from now on, and zellij nothing but whole
//! screens to ask for again and again). What it draws goes into a model, as an agent's output does in the holder, and the viewer is given
//! pictures of that. So a slow viewer is none for the multiplexer, whatever that would do about it; what the client asks its terminal, the
//! model answers; and what it says at its end is not for the viewer.
//!
//! One who only watches has a client whose terminal always is as large as the agent's ([`super::audience`]), and is shown the part of it that
//! there is room for.
//!
//! A daemon that is killed takes the pseudo-terminal along, and with it the client.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pty_process::{OwnedReadPty, OwnedWritePty, Size};
use rustix::fs::{Mode, OFlags};
use rustix::termios::OptionalActions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::{OwnedMutexGuard, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::audience::{Audience, Sitter};
use crate::adapters::runtime::launch;
use crate::adapters::runtime::pty::after_the_end;
use crate::adapters::runtime::pty::paint::Painter;
use crate::adapters::runtime::pty::screen::Screen;
use crate::domain::id::RuntimeKind;
use crate::domain::session::ProcessIdentity;
use crate::platform::process;
use crate::ports::runtime::{RuntimeError, TerminalSize};
use crate::ports::terminal_view::{Attached, Newcomer, Seen, TerminalKeys, TerminalView};

/// What comes within is one picture.
const PICTURE_INTERVAL: Duration = Duration::from_millis(15);
/// How many pieces of input wait for a client that takes none.
const TYPED_AHEAD: usize = 64;
/// How often the size of the agent's terminal is looked at while nothing is drawn.
const SIZE_INTERVAL: Duration = Duration::from_millis(500);
/// How long what was typed before its viewer left may take to be read, and how often it is looked.
const LAST_KEYS: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);
/// How long a client has been seen at rest that has given its server what it read.
const AT_REST: Duration = Duration::from_millis(50);
/// How long a client may take to draw, and how long its server to take in that one has come or gone.
const FIRST_PICTURE: Duration = Duration::from_secs(1);
const TAKEN_IN: Duration = Duration::from_millis(150);
/// How long a terminal that was just made may take to have a size.
const FIRST_SIZE: Duration = Duration::from_secs(2);
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

/// Starts the client, on a terminal of the viewer's size; of one who only watches, of the size that the agent's has.
pub(super) async fn attach(
    client: Client,
    Newcomer { size, is_watching }: Newcomer,
    audience: &Arc<Audience>,
    kind: &RuntimeKind,
    session_dir: &Path,
) -> io::Result<Attached> {
    let terminal = AgentsTerminal::of(session_dir)?;
    let fits = audience.fits();
    let drawn_at = if is_watching {
        let unseen =
            |_elapsed| io::Error::other("how large it is cannot be seen, which one who watches must not change");
        timeout(FIRST_SIZE, known_size(&fits, &terminal)).await.map_err(unseen)?
    } else {
        size
    };
    let (pty, pts) = pty_process::open().map_err(io::Error::other)?;
    pty.resize(cells(drawn_at)).map_err(io::Error::other)?;
    let keyboard = pty.as_fd().try_clone_to_owned()?;
    // What is typed before the client has made it so reaches the client as it was typed, and no signal is made of it.
    let mut termios = rustix::termios::tcgetattr(&keyboard)?;
    termios.make_raw();
    rustix::termios::tcsetattr(&keyboard, OptionalActions::Now, &termios)?;
    let command = pty_process::Command::new(client.program)
        .args(client.args)
        .env_clear()
        .envs(client.env)
        .env(TERM.0, TERM.1)
        .current_dir("/")
        .kill_on_drop(true);
    let turn = audience.turn().await;
    let child = command.spawn(pts).map_err(io::Error::other)?;
    let (output, input) = pty.into_split();
    let model = Arc::new(Mutex::new(Model { screen: Screen::new(drawn_at), painter: Painter::new(size) }));
    let ((tell, changed), (keys, typed)) = (watch::channel(()), mpsc::channel(TYPED_AHEAD));
    let left = CancellationToken::new();
    let easel =
        Easel { child, output, input, keyboard, model: Arc::clone(&model), tell, audience: Arc::clone(audience) };
    tokio::spawn(easel.serve(turn, typed, is_watching.then_some(fits), left.clone()));
    let session_dir = session_dir.to_owned();
    let view = View {
        model,
        changed,
        terminal,
        known_size: None,
        kind: kind.clone(),
        session_dir,
        _leaves: left.drop_guard(),
    };
    let sitter = (!is_watching).then(|| audience.sit(size));
    Ok(Attached { view: Box::new(view), keys: Box::new(Keyboard { keys, sitter, kind: kind.clone() }) })
}

/// The size that the agent's terminal has, or is about to have, once it has one.
async fn known_size(fits: &watch::Receiver<Option<TerminalSize>>, terminal: &AgentsTerminal) -> TerminalSize {
    loop {
        let fitted = *fits.borrow();
        if let Some(size) = fitted.or_else(|| terminal.size()) {
            return size;
        }
        tokio::time::sleep(POLL).await;
    }
}

fn cells(TerminalSize { rows, cols }: TerminalSize) -> Size {
    Size::new(rows.max(1), cols.max(1))
}

/// The terminal that the agent has: the one its supervisor sits on.
struct AgentsTerminal(ProcessIdentity);

impl AgentsTerminal {
    fn of(session_dir: &Path) -> io::Result<Self> {
        let started = launch::started(session_dir)?;
        started.map(|started| Self(started.supervisor)).ok_or_else(|| io::Error::other("its start is not on record"))
    }

    fn size(&self) -> Option<TerminalSize> {
        let (rows, cols) = process::terminal_size(self.0)?;
        // 0 × 0 is one whose multiplexer has not got round to it.
        (rows > 0 && cols > 0).then_some(TerminalSize { rows, cols })
    }
}

/// What the client drew, and what of that its viewer knows.
struct Model {
    screen: Screen,
    painter: Painter,
}

fn lock(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Done {
    Typed(Vec<u8>),
    Resized(TerminalSize),
}

/// The client, with the pseudo-terminal that it draws on.
struct Easel {
    child: Child,
    output: OwnedReadPty,
    input: OwnedWritePty,
    /// The pseudo-terminal once more, to see what of the input was taken.
    keyboard: OwnedFd,
    model: Arc<Mutex<Model>>,
    tell: watch::Sender<()>,
    /// That whoever comes next is one of, also where nobody sits there meanwhile.
    audience: Arc<Audience>,
}

impl Easel {
    /// Keeps the model as the client draws it and types what the viewer does, until the client ends, or the viewer `left` and what it had
    /// typed was taken. `fits` is the size to follow, for one who only watches.
    async fn serve(
        self,
        turn: Option<OwnedMutexGuard<()>>,
        typed: mpsc::Receiver<Done>,
        fits: Option<watch::Receiver<Option<TerminalSize>>>,
        left: CancellationToken,
    ) {
        let Self { mut child, output, mut input, keyboard, model, tell, audience } = self;
        let (answer, answers) = mpsc::channel(TYPED_AHEAD);
        let client = child.id();
        let typing = async {
            type_in(&mut input, typed, answers, fits, &model, &tell).await;
            until_taken(&keyboard).await;
            until_passed_on(client).await;
        };
        let mut drawn = tell.subscribe();
        let come = async move {
            let _ = timeout(FIRST_PICTURE, drawn.changed()).await;
            tokio::time::sleep(TAKEN_IN).await;
            drop(turn);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = come => {}
            () = draw(&mut child, output, &model, &answer, &tell) => {}
            () = typing => {}
            () = async {
                left.cancelled().await;
                tokio::time::sleep(LAST_KEYS).await;
            } => {}
        }
        // Each multiplexer knows that one that is gone has left. Before its terminal goes, so that it does nothing about that.
        let _turn = audience.turn().await;
        let _ = timeout(LAST_KEYS, child.kill()).await;
        tokio::time::sleep(TAKEN_IN).await;
    }
}

/// Keeps the model as the client draws it, to the client's end.
async fn draw(
    client: &mut Child,
    mut output: OwnedReadPty,
    model: &Mutex<Model>,
    answer: &mpsc::Sender<Vec<u8>>,
    tell: &watch::Sender<()>,
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
        let answers = lock(model).screen.feed(&chunk[..read]);
        if !answers.is_empty() {
            // A client that asks and never reads gets no more answers.
            let _ = answer.try_send(answers);
        }
        tell.send_replace(());
    }
}

/// Does what the viewer does, until it leaves or the client takes no more.
async fn type_in(
    input: &mut OwnedWritePty,
    mut typed: mpsc::Receiver<Done>,
    mut answers: mpsc::Receiver<Vec<u8>>,
    mut fits: Option<watch::Receiver<Option<TerminalSize>>>,
    model: &Mutex<Model>,
    tell: &watch::Sender<()>,
) {
    let is_watching = fits.is_some();
    loop {
        let follow = async {
            let Some(fits) = &mut fits else { return std::future::pending().await };
            match fits.changed().await {
                Ok(()) => *fits.borrow_and_update(),
                Err(_gone) => std::future::pending().await,
            }
        };
        let is_done = tokio::select! {
            done = typed.recv() => match done {
                None => return,
                Some(Done::Typed(bytes)) => input.write_all(&bytes).await.is_ok(),
                Some(Done::Resized(size)) => {
                    lock(model).painter.resize(size);
                    is_watching || fit(input, model, size)
                }
            },
            Some(answers) = answers.recv() => input.write_all(&answers).await.is_ok(),
            size = follow => size.is_none_or(|size| fit(input, model, size)),
        };
        if !is_done {
            return;
        }
        tell.send_replace(());
    }
}

/// Gives the client's terminal a size.
fn fit(input: &OwnedWritePty, model: &Mutex<Model>, size: TerminalSize) -> bool {
    lock(model).screen.resize(size);
    input.resize(cells(size)).is_ok()
}

/// Waits until the client has read what was typed.
async fn until_taken(keyboard: &OwnedFd) {
    let open = || {
        let name = rustix::pty::ptsname(keyboard, Vec::new())?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(name, flags, Mode::empty())
    };
    let Ok(terminal) = open() else { return };
    while rustix::io::ioctl_fionread(&terminal).is_ok_and(|unread| unread > 0) {
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until the client has given to its server what it has read: until nothing in it has work to do, each time it was looked.
async fn until_passed_on(client: Option<u32>) {
    let Some(client) = client else { return };
    let mut rested = Duration::ZERO;
    while rested < AT_REST {
        tokio::time::sleep(POLL).await;
        rested = if process::is_at_rest(client) { rested + POLL } else { Duration::ZERO };
    }
}

struct View {
    model: Arc<Mutex<Model>>,
    /// Closed with the client's end.
    changed: watch::Receiver<()>,
    terminal: AgentsTerminal,
    known_size: Option<TerminalSize>,
    kind: RuntimeKind,
    session_dir: PathBuf,
    _leaves: DropGuard,
}

impl View {
    fn look(&mut self) -> Option<Seen> {
        if let Some(size) = self.terminal.size()
            && self.known_size.replace(size) != Some(size)
        {
            return Some(Seen::Size(size));
        }
        let Model { screen, painter } = &mut *lock(&self.model);
        screen.paint(painter).map(Seen::Picture)
    }
}

#[async_trait]
impl TerminalView for View {
    async fn next(&mut self) -> Result<Seen, RuntimeError> {
        loop {
            // What a client says at its end is for a shell.
            if self.changed.has_changed().is_err() {
                let cause = format!("its {} client has ended", self.kind);
                return after_the_end(&self.session_dir, &self.kind, cause).await;
            }
            self.changed.mark_unchanged();
            if let Some(seen) = self.look() {
                return Ok(seen);
            }
            tokio::select! {
                changed = self.changed.changed() => if changed.is_ok() {
                    tokio::time::sleep(PICTURE_INTERVAL).await;
                },
                // Nothing tells of another size: a client draws before the multiplexer has come to that.
                () = tokio::time::sleep(SIZE_INTERVAL) => {}
            }
        }
    }
}

struct Keyboard {
    keys: mpsc::Sender<Done>,
    /// `None` of one who only watches.
    sitter: Option<Sitter>,
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
        if self.sitter.is_none() {
            return Ok(());
        }
        self.hand_on(Done::Typed(bytes.to_vec())).await
    }

    async fn resize(&mut self, size: TerminalSize) -> Result<(), RuntimeError> {
        if let Some(sitter) = &self.sitter {
            sitter.resize(size);
        }
        self.hand_on(Done::Resized(size)).await
    }
}
