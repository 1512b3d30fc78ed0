//! A terminal that a test types into byte by byte and looks behind: its modes, and all that was ever written to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use alacritty_terminal::Term;
use alacritty_terminal::event::VoidListener;
use alacritty_terminal::term::test::TermSize;
use alacritty_terminal::term::{Config, TermMode};
use alacritty_terminal::vte::ansi::{CursorStyle, Processor, StdSyncHandler};
use pty_process::OwnedWritePty;
use rustix::termios::Termios;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio_util::task::AbortOnDropHandle;

use crate::sandbox::{BOUND, Sandbox};

/// A command on a terminal of its own.
pub(crate) struct Glass<'a> {
    sandbox: &'a Sandbox,
    child: Child,
    input: OwnedWritePty,
    terminal: std::os::fd::OwnedFd,
    before: (Termios, Look),
    model: Arc<Mutex<Model>>,
    _reading: AbortOnDropHandle<()>,
}

struct Model {
    term: Term<VoidListener>,
    parser: Processor<StdSyncHandler>,
    written: Vec<u8>,
}

impl Model {
    fn feed(&mut self, bytes: &[u8]) {
        self.parser.advance(&mut self.term, bytes);
        self.written.extend_from_slice(bytes);
    }
}

/// How a terminal is, beside what it shows.
#[derive(Debug, Clone, PartialEq)]
struct Look {
    modes: TermMode,
    cursor: CursorStyle,
    text: String,
}

impl<'a> Glass<'a> {
    /// Runs `ao attach app-1` on one with so many columns and rows, and waits until it shows something.
    pub(crate) async fn attach(sandbox: &'a Sandbox, (cols, rows): (u16, u16), args: &[&str], shown: &str) -> Self {
        let (pty, pts) = pty_process::open().unwrap();
        pty.resize(pty_process::Size::new(rows, cols)).unwrap();
        let terminal = std::os::fd::AsFd::as_fd(&pty).try_clone_to_owned().unwrap();
        let mut model = Model {
            term: Term::new(Config::default(), &TermSize::new(cols.into(), rows.into()), VoidListener),
            parser: Processor::new(),
            written: Vec::new(),
        };
        model.feed(b"before\r\n");
        let before = (rustix::termios::tcgetattr(&terminal).unwrap(), look(&model));
        let command = pty_process::Command::new(env!("CARGO_BIN_EXE_ao")).args(["attach", "app-1"]).args(args);
        let command = command.env_clear().envs(&sandbox.env).current_dir(sandbox.repo()).kill_on_drop(true);
        let child = command.spawn(pts).unwrap();
        let (mut output, input) = pty.into_split();
        let model = Arc::new(Mutex::new(model));
        let fed = Arc::clone(&model);
        let reading = tokio::spawn(async move {
            let mut chunk = vec![0; 64 * 1024];
            // Linux answers EIO when the last process has left the terminal.
            while let Ok(count @ 1..) = output.read(&mut chunk).await {
                fed.lock().unwrap().feed(&chunk[..count]);
            }
        });
        let reading = AbortOnDropHandle::new(reading);
        let glass = Self { sandbox, child, input, terminal, before, model, _reading: reading };
        glass.until(shown).await;
        glass
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn screen(&self) -> String {
        look(&self.model.lock().unwrap()).text
    }

    /// Everything that was written to it.
    pub(crate) fn written(&self) -> Vec<u8> {
        self.model.lock().unwrap().written.clone()
    }

    pub(crate) async fn until(&self, shown: &str) {
        let what = format!("{shown:?} is on the screen");
        self.sandbox.until(&what, || self.screen().contains(shown)).await;
    }

    /// Types bytes as if they were one press: they are read in one piece.
    pub(crate) async fn type_bytes(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).await.unwrap();
    }

    /// Makes it another size.
    pub(crate) fn resize(&self, (cols, rows): (u16, u16)) {
        self.input.resize(pty_process::Size::new(rows, cols)).unwrap();
        self.model.lock().unwrap().term.resize(TermSize::new(cols.into(), rows.into()));
    }

    /// Waits for the command's end; gives its exit code.
    pub(crate) async fn ended(&mut self) -> i32 {
        let ended = tokio::time::timeout(BOUND, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("it does not end: {}", self.screen())).unwrap().code().unwrap_or(-1)
    }

    /// Insists that the terminal is as it was before, but for what was said on it after that.
    pub(crate) async fn is_given_back(&self, said: &str) {
        self.until(said).await;
        // The last of it may still be on its way.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (modes, before) = &self.before;
        let now = look(&self.model.lock().unwrap());
        assert!(now.text.starts_with(&before.text), "{:?} is now {:?}", before.text, now.text);
        assert_eq!((now.modes, now.cursor), (before.modes, before.cursor));
        let now = rustix::termios::tcgetattr(&self.terminal).unwrap();
        assert_eq!(now.local_modes, modes.local_modes);
        assert_eq!((now.input_modes, now.output_modes), (modes.input_modes, modes.output_modes));
    }
}

fn look(model: &Model) -> Look {
    use alacritty_terminal::grid::Dimensions;
    use alacritty_terminal::index::{Column, Line, Point};
    let term = &model.term;
    let end = Point::new(term.bottommost_line(), term.last_column());
    let text = term.bounds_to_string(Point::new(Line(0), Column(0)), end);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    Look { modes: *term.mode(), cursor: term.cursor_style(), text: lines.join("\n").trim_end().to_owned() }
}
