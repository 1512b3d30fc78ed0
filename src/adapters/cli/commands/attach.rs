//! `ao attach`.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::termios::Termios;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::super::args::AttachArgs;
use super::super::client::Client;
use super::super::context::{Attention, Context};
use super::super::error::{CliError, ExitCode};
use super::super::taken::{self, Size, Taken};
use super::super::terminal_stream::{Seen, TerminalKeyboard, TerminalPictures, TerminalStream};
use super::super::ui;
use crate::domain::exit::Exit;
use crate::domain::id::SessionId;

/// Ctrl-\, as a terminal in raw mode gives it.
const DETACH: u8 = 0x1c;

/// The alternate screen, so that what was there comes back.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[2J";
/// Undoes whatever a picture may have set: an update, colours, the cursor's shape, and how keys, pastes and the mouse are told.
const LEAVE: &str = "\u{1b}[?2026l\u{1b}[0m\u{1b}[0 q\u{1b}[?1l\u{1b}>\u{1b}[?2004l\u{1b}[?1000l\u{1b}[?1002l\u{1b}[?1003l\
                     \u{1b}[?1005l\u{1b}[?1006l\u{1b}[?1004l\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";

/// How many pieces of input wait while the agent takes none.
const TYPED_AHEAD: usize = 64;

/// How it ended.
enum End {
    Detached,
    /// A signal asked for it.
    Stopped,
    Seen(Seen),
    Broken(io::Error),
}

pub(in super::super) async fn run(args: &AttachArgs, context: &Context) -> Result<(), CliError> {
    if !context.stdin_is_terminal || !context.stdout_is_terminal {
        let error = CliError::usage("cannot attach: standard input and output must be a terminal");
        return Err(error.hint(format!("to read what it shows: ao output {}", args.session)));
    }
    let tty = Tty::open().map_err(|error| CliError::failed(format!("cannot open the terminal: {error}")))?;
    let client = Client::new(&context.socket);
    let TerminalStream { view, keys } = client.terminal(&args.session, taken::size()).await?;
    let taken = Taken::take(ENTER, LEAVE, Termios::make_raw)?;
    let end = tokio::select! {
        end = show(view, &tty) => end,
        end = type_in(keys, &tty, &context.attention) => end,
        () = context.attention.stop.cancelled() => End::Stopped,
    };
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
        End::Broken(error) => Err(CliError::failed(format!("cannot use the terminal: {error}")).hint(again)),
    }
}

/// Shows what there is to see, until there is no more.
async fn show(mut view: TerminalPictures, tty: &Tty) -> End {
    loop {
        match view.next().await {
            Seen::Picture(picture) => {
                if let Err(error) = tty.write_all(&picture).await {
                    return End::Broken(error);
                }
            }
            end => return End::Seen(end),
        }
    }
}

/// What a keyboard and a window do.
enum Done {
    Typed(Vec<u8>),
    Resized(Size),
}

/// Hands on what is typed, until the key that detaches. That is seen also while the agent takes nothing.
async fn type_in(mut keys: TerminalKeyboard, tty: &Tty, attention: &Attention) -> End {
    let (to, mut from) = mpsc::channel(TYPED_AHEAD);
    let hand_on = async {
        while let Some(done) = from.recv().await {
            let is_heard = match done {
                Done::Typed(bytes) => keys.type_bytes(bytes).await,
                Done::Resized(size) => keys.resize(size).await,
            };
            if !is_heard {
                break;
            }
        }
        // Why nobody hears it is seen on the other half.
        std::future::pending::<End>().await
    };
    tokio::select! {
        end = hand_on => end,
        end = read_keys(tty, &to, attention) => end,
    }
}

async fn read_keys(tty: &Tty, to: &mpsc::Sender<Done>, attention: &Attention) -> End {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let done = tokio::select! {
            read = tty.read(&mut buffer) => match read {
                Ok(0) => return End::Stopped,
                Ok(count) => match buffer[..count].iter().position(|byte| *byte == DETACH) {
                    Some(_) => return End::Detached,
                    None => Done::Typed(buffer[..count].to_vec()),
                },
                Err(error) => return End::Broken(error),
            },
            () = attention.resized.notified() => Done::Resized(taken::size()),
        };
        if to.send(done).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The terminal, opened anew so that neither reading nor writing ever waits in the kernel: one that was stopped with Ctrl-S must not keep a
/// signal from being heard. Of the shell's own handle that could not be asked.
struct Tty(AsyncFd<OwnedFd>);

impl Tty {
    fn open() -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let tty = rustix::fs::open("/dev/tty", flags, Mode::empty())?;
        #[allow(
            deprecated,
            reason = "sound for a handle that is owned here; what replaces it is for others, and unsafe"
        )]
        let tty = AsyncFd::new(tty)?;
        Ok(Self(tty))
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            match ready.try_io(|tty| Ok(rustix::io::read(tty, &mut *buffer)?)) {
                Ok(read) => return read,
                Err(_would_wait) => {}
            }
        }
    }

    async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.0.writable().await?;
            match ready.try_io(|tty| Ok(rustix::io::write(tty, bytes)?)) {
                Ok(written) => bytes = &bytes[written?..],
                Err(_would_wait) => {}
            }
        }
        Ok(())
    }
}
