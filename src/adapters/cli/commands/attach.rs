//! `ao attach`.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use rustix::termios::Termios;
use tokio::sync::mpsc;

use super::super::args::AttachArgs;
use super::super::client::{Client, ClientError};
use super::super::context::Context;
use super::super::error::{CliError, ExitCode};
use super::super::keyboard::{self, Keyboard, Typed};
use super::super::taken::{self, Size, Taken};
use super::super::terminal_stream::{Seen, TerminalKeyboard, TerminalPictures, TerminalStream};
use super::super::tty::Tty;
use super::super::ui;
use crate::domain::exit::Exit;
use crate::domain::id::SessionId;
use crate::fault::{self, Point};

/// The alternate screen, so that what was there comes back; how a wheel scrolls there is put aside, for terminals differ in what they begin with.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[2J\u{1b}[?1007s";
/// Undoes whatever a picture may have set: an update, colours, the cursor's shape, and how keys, pastes and the mouse are told. A terminal
/// that put nothing aside scrolls with its wheel: where that is known at all and cannot be put aside, it is what it begins with.
const LEAVE: &str = "\u{1b}[?2026l\u{1b}[0m\u{1b}[0 q\u{1b}[?1l\u{1b}>\u{1b}[?2004l\u{1b}[?1000l\u{1b}[?1002l\u{1b}[?1003l\
                     \u{1b}[?1005l\u{1b}[?1006l\u{1b}[?1004l\u{1b}[?1007h\u{1b}[?1007r\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";

/// How much is kept, in bytes, of what is typed while the agent takes none. Beyond that the terminal rings its bell, as any would.
const MAX_TYPED_AHEAD: usize = 8 * 1024 * 1024;
const BELL: &[u8] = b"\x07";
/// How long the rest of a paste's mark may take to follow its first byte, which is Escape.
const MARK_FOLLOWS: Duration = Duration::from_millis(30);
/// How long the daemon may take to let a viewer go that leaves.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often a daemon that went away is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// How it ended.
enum End {
    Detached,
    /// A signal asked for it.
    Stopped,
    Seen(Seen),
    /// The daemon that came back has no such terminal any more.
    Refused(ClientError),
    Broken(io::Error),
}

pub(in super::super) async fn run(args: &AttachArgs, context: &Context) -> Result<(), CliError> {
    if !context.stdin_is_terminal || !context.stdout_is_terminal {
        let error = CliError::usage("cannot attach: standard input and output must be a terminal");
        return Err(error.hint(format!("to read what it shows: ao output {}", args.session)));
    }
    let tty = Tty::open().map_err(|error| CliError::failed(format!("cannot open the terminal: {error}")))?;
    let client = Client::new(&context.socket);
    let first = client.terminal(&args.session, taken::size(), args.read_only).await?;
    let taken = Taken::take(&format!("{ENTER}{}", keyboard::MARK_PASTES), LEAVE, Termios::make_raw)?;
    let end =
        Seat { args, context, client, tty, wants_marks: Cell::default(), ahead: Cell::default() }.sit(first).await;
    drop(taken);
    tell(&args.session, end)
}

fn tell(session: &SessionId, end: End) -> Result<(), CliError> {
    let again = format!("the agent goes on; come back with: ao attach {session}");
    match end {
        End::Stopped => Ok(()),
        End::Detached => {
            ui::talk(&format!("detached from {session}; {again}"));
            Ok(())
        }
        End::Seen(Seen::Ended(exit)) => {
            let how = match exit {
                Exit::Code(code) => format!("its agent exited with {code}"),
                Exit::Signal(signal) => format!("its agent was ended by signal {signal}"),
                Exit::Unknown => "its agent has ended".to_owned(),
            };
            ui::talk(&format!("{session} is over: {how}"));
            Ok(())
        }
        End::Seen(Seen::Dropped(reason)) => {
            Err(CliError::failed(format!("the daemon let go of this viewer of {session}: {reason}")).hint(again))
        }
        End::Seen(_) => Err(CliError::new(ExitCode::Unreachable, "the daemon is gone").hint(again)),
        End::Refused(refusal) => Err(refusal.into()),
        End::Broken(error) => Err(CliError::failed(format!("cannot use the terminal: {error}")).hint(again)),
    }
}

/// What a keyboard and a window do.
enum Done {
    Typed(Vec<u8>),
    Resized(Size),
}

/// A person's terminal, at that of an agent.
struct Seat<'a> {
    args: &'a AttachArgs,
    context: &'a Context,
    client: Client,
    tty: Tty,
    /// Whether the agent asked for pastes to be marked.
    wants_marks: Cell<bool>,
    /// How many bytes were typed that the agent has not been given.
    ahead: Cell<usize>,
}

impl Seat<'_> {
    /// Sits there to the end, also when the daemon goes away and comes back.
    async fn sit(&self, mut stream: TerminalStream) -> End {
        let mut keyboard = Keyboard::new(self.args.detach_key.byte());
        loop {
            let end = self.be_there(stream, &mut keyboard).await;
            if !matches!(end, End::Seen(Seen::Away)) || self.args.reconnect == 0 {
                return end;
            }
            stream = match self.come_back(&mut keyboard).await {
                Ok(stream) => stream,
                Err(end) => return end,
            };
        }
    }

    /// Shows and types, until one of both ends.
    async fn be_there(&self, TerminalStream { view, keys }: TerminalStream, keyboard: &mut Keyboard) -> End {
        self.ahead.set(0);
        let (to, from) = mpsc::unbounded_channel();
        let (show, hand_on) = (self.show(view), self.hand_on(keys, from));
        tokio::pin!(show, hand_on);
        let end = tokio::select! {
            end = &mut show => end,
            end = self.read_keys(keyboard, to) => end,
            end = &mut hand_on => end,
            () = self.context.attention.stop.cancelled() => End::Stopped,
        };
        // Nothing more is typed: what was is handed on, and the daemon lets go.
        if let End::Detached | End::Stopped = end {
            let _ = tokio::time::timeout(FAREWELL, async { tokio::join!(hand_on, show) }).await;
        }
        end
    }

    /// Shows what there is to see, until there is no more.
    async fn show(&self, mut view: TerminalPictures) -> End {
        loop {
            match view.next().await {
                Seen::Picture(picture) => {
                    let written = async {
                        self.tty.write_all(&picture).await?;
                        fault::reach(Point::AttachShown)?;
                        let Some(wants_marks) = keyboard::wants_marks(&picture) else { return Ok(()) };
                        self.wants_marks.set(wants_marks);
                        self.tty.write_all(keyboard::MARK_PASTES.as_bytes()).await
                    };
                    if let Err(error) = written.await {
                        return End::Broken(error);
                    }
                }
                end => {
                    // It is answered, and the daemon hangs up.
                    let gone = async { while !matches!(view.next().await, Seen::Away) {} };
                    let _ = tokio::time::timeout(FAREWELL, gone).await;
                    return End::Seen(end);
                }
            }
        }
    }

    /// Hands on what is done, until nothing more will be: then it leaves.
    async fn hand_on(&self, mut keys: TerminalKeyboard, mut from: mpsc::UnboundedReceiver<Done>) -> End {
        while let Some(done) = from.recv().await {
            let is_heard = match done {
                Done::Typed(bytes) => {
                    let count = bytes.len();
                    let is_heard = keys.type_bytes(bytes).await;
                    self.ahead.set(self.ahead.get().saturating_sub(count));
                    is_heard
                }
                Done::Resized(size) => keys.resize(size).await,
            };
            if !is_heard {
                // Why not is seen on the other half.
                std::future::pending::<()>().await;
            }
        }
        keys.leave().await;
        End::Detached
    }

    /// Takes what is typed, until the key that detaches. That is seen also while the agent takes nothing.
    async fn read_keys(&self, keyboard: &mut Keyboard, to: mpsc::UnboundedSender<Done>) -> End {
        loop {
            let typed = tokio::select! {
                typed = self.typed(keyboard) => typed,
                () = self.context.attention.resized.notified() => {
                    let _ = to.send(Done::Resized(taken::size()));
                    continue;
                }
            };
            let Typed { bytes, is_last } = match typed {
                Ok(typed) => typed,
                Err(end) => return end,
            };
            let ahead = self.ahead.get() + bytes.len();
            if ahead > MAX_TYPED_AHEAD {
                let _ = self.tty.write_all(BELL).await;
            } else if !bytes.is_empty() && !self.args.read_only {
                self.ahead.set(ahead);
                // Where nobody hears it any more, that is seen on the other half.
                let _ = to.send(Done::Typed(bytes));
            }
            if is_last {
                return End::Detached;
            }
        }
    }

    /// What is typed next.
    async fn typed(&self, keyboard: &mut Keyboard) -> Result<Typed, End> {
        let mut buffer = vec![0; 16 * 1024];
        let read = self.tty.read(&mut buffer);
        let read = if keyboard.holds_a_key() {
            match tokio::time::timeout(MARK_FOLLOWS, read).await {
                Ok(read) => read,
                Err(_elapsed) => return Ok(Typed { bytes: keyboard.let_go(), is_last: false }),
            }
        } else {
            read.await
        };
        match read {
            Ok(0) => Err(End::Stopped),
            Ok(count) => Ok(keyboard.hear(&buffer[..count], self.wants_marks.get())),
            Err(error) => Err(End::Broken(error)),
        }
    }

    /// Waits for the daemon to come back, and says so. What is typed meanwhile is for nobody, but for the key that detaches.
    async fn come_back(&self, keyboard: &mut Keyboard) -> Result<TerminalStream, End> {
        let AttachArgs { session, read_only, detach_key, reconnect } = self.args;
        self.note(&format!(
            "the daemon is gone; the agent goes on; waiting {reconnect} s for it ({detach_key} leaves)"
        ))
        .await?;
        let coming = async {
            loop {
                tokio::time::sleep(LOOK_INTERVAL).await;
                match self.client.terminal(session, taken::size(), *read_only).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) if error.may_pass() => {}
                    Err(refusal) => return Err(End::Refused(refusal)),
                }
            }
        };
        let leaving = async {
            loop {
                match self.typed(keyboard).await {
                    Ok(typed) if typed.is_last => return End::Detached,
                    Ok(_) => {}
                    Err(end) => return end,
                }
            }
        };
        tokio::select! {
            came = coming => came,
            end = leaving => Err(end),
            () = self.context.attention.stop.cancelled() => Err(End::Stopped),
            () = tokio::time::sleep(Duration::from_secs(*reconnect)) => Err(End::Seen(Seen::Away)),
        }
    }

    /// Says something on the last line, which the next picture paints over.
    async fn note(&self, text: &str) -> Result<(), End> {
        let Size { rows, cols } = taken::size();
        let line = ui::cut(&format!(" ao: {text}"), cols);
        let note = format!("\u{1b}[?2026l\u{1b}[{rows};1H\u{1b}[0;7m{line}\u{1b}[K\u{1b}[0m");
        self.tty.write_all(note.as_bytes()).await.map_err(End::Broken)
    }
}
