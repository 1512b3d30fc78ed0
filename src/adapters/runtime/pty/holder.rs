//! The holder: `ao holder --session-dir DIR --socket PATH --scrollback-bytes N`, one process per session of the `pty` runtime.
//!
//! It takes the launch on record, owns the pseudo-terminal the agent runs in, and is that terminal, whoever is attached: it
//! reads everything the agent prints into the scrollback and the screen model, and answers what programs ask their terminal.
//! It serves a socket ([`super::protocol`]). When the agent ends, it ends what the agent left running, keeps the last screen and output, records the
//! exit, removes the socket and is gone.
//!
//! One task owns the terminal and the model; connections and the keyboard are tasks of their own that talk to it by messages, so a
//! client that is slow or stuck never holds the agent up. The holder lives in a kernel session of its own: neither the daemon's
//! end nor a Ctrl-C in the daemon's terminal reaches it. `SIGTERM` stops the agent in order; when the holder is killed outright, the terminal
//! goes with it and the agent gets `SIGHUP`.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pty_process::{OwnedReadPty, OwnedWritePty, Pts, Size};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::limits::bounded;
use super::line_log::LineLog;
use super::screen::{HISTORY_LINES, Screen};
use super::scrollback::{Scrollback, scrollback};
use super::server::{self, Command, Hub, Keys};
use super::viewers::Viewers;
use super::{OUTPUT_FILE, SCREEN_FILE};
use crate::adapters::runtime::launch::{self, LaunchSpec};
use crate::adapters::runtime::{cut_to_last_bytes, supervisor};
use crate::domain::exit::Exit;
use crate::domain::session::ProcessIdentity;
use crate::fault::{self, Point};
use crate::platform::tree::Family;
use crate::platform::{detached, file};
use crate::ports::runtime::TerminalSize;
use crate::ports::terminal_view::Newcomer;

/// How long the agent gets to end in order when the holder is told to with `SIGTERM`.
const TERMINATE_GRACE: Duration = Duration::from_secs(5);
/// How much raw output a new follower is given, in bytes.
const REPLAY_BYTES: u64 = 256 * 1024;
/// How many chunks of output a follower may be behind before it misses some.
const FOLLOW_CHUNKS: usize = 256;
/// How long followers get to receive the end.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long the rest of the output is read after the agent's end, when some process that stepped out still holds the terminal.
const DRAIN_BOUND: Duration = Duration::from_secs(2);
/// A terminal that says nothing for so long after the agent's end has nothing more to say.
const DRAIN_SILENCE: Duration = Duration::from_millis(100);

/// Holds the launch on record in `session_dir` and serves `socket`, until the agent has ended; at most `scrollback_bytes` of
/// what it prints are kept on disk. Must be the only thing the process does: it
/// makes the process the leader of a new kernel session and takes over its signals.
///
/// # Errors
/// When there is no launch to take, the agent cannot be started (which is on record then), or its end cannot be recorded.
pub fn run(session_dir: &Path, socket: &Path, scrollback_bytes: u64) -> io::Result<()> {
    detached::leave_session()?;
    let (spec, me) = supervisor::take(session_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match Holder::start(session_dir, socket, spec, me, scrollback_bytes).await {
            Ok((holder, mut channels)) => holder.hold(&mut channels).await,
            Err(error) => {
                let _ = file::remove_if_there(socket);
                if launch::failure(session_dir)?.is_none() {
                    launch::record_failure(session_dir, &error.to_string())?;
                }
                Err(error)
            }
        }
    })
}

/// What reaches the owner of the terminal.
struct Channels {
    commands: mpsc::Receiver<Command>,
    terminate: tokio::signal::unix::Signal,
    ended: watch::Sender<Option<Exit>>,
    server: server::Server,
    keyboard: tokio::task::JoinHandle<()>,
}

/// The owner of the terminal.
struct Holder<'a> {
    session_dir: &'a Path,
    socket: &'a Path,
    spec: LaunchSpec,
    me: ProcessIdentity,
    agent: supervisor::Agent,
    child: Child,
    output: OwnedReadPty,
    /// The terminal once more, to set its size.
    terminal: OwnedFd,
    keys: mpsc::Sender<Keys>,
    screen: Screen,
    scrollback: Scrollback,
    /// What scrolled off the screen.
    lines: LineLog,
    followers: broadcast::Sender<Arc<[u8]>>,
    viewers: Viewers,
}

impl<'a> Holder<'a> {
    async fn start(
        session_dir: &'a Path,
        socket: &'a Path,
        spec: LaunchSpec,
        me: ProcessIdentity,
        scrollback_bytes: u64,
    ) -> io::Result<(Self, Channels)> {
        // Before the agent runs, so that no signal can take the holder away from it unseen.
        let terminate = signal(SignalKind::terminate())?;
        for survived in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()] {
            // The handler stays, also without anybody who listens.
            drop(signal(survived)?);
        }
        let (commands_in, commands) = mpsc::channel(16);
        let (keys, typed) = mpsc::channel(16);
        let (ended, ended_seen) = watch::channel(None);
        let hub = Hub { commands: commands_in, keys: keys.clone(), ended: ended_seen };
        let server = server::Server::listen(socket, hub)?;
        fault::reach(Point::PtyListening)?;
        let scrollback = Scrollback::create(scrollback_bytes, &launch::directory(session_dir))?;
        let lines = LineLog::create(scrollback_bytes, &launch::directory(session_dir))?;

        let (pty, pts) = pty_process::open().map_err(io::Error::other)?;
        let TerminalSize { rows, cols } = bounded(spec.size);
        pty.resize(Size::new(rows, cols)).map_err(io::Error::other)?;
        let terminal = std::os::fd::AsFd::as_fd(&pty).try_clone_to_owned()?;
        let mut child = launch::start(session_dir, &spec, || start_agent(&spec, pts))?;
        let agent = supervisor::started(session_dir, &mut child, me).await?;
        fault::reach(Point::LaunchStartRecorded)?;
        let (output, input) = pty.into_split();
        let keyboard = tokio::spawn(type_keys(input, typed));
        let screen = Screen::telling(spec.size);
        let (followers, _) = broadcast::channel(FOLLOW_CHUNKS);
        let viewers = Viewers::default();
        let holder = Self {
            session_dir,
            socket,
            spec,
            me,
            agent,
            child,
            output,
            terminal,
            keys,
            screen,
            scrollback,
            lines,
            followers,
            viewers,
        };
        Ok((holder, Channels { commands, terminate, ended, server, keyboard }))
    }

    async fn hold(mut self, channels: &mut Channels) -> io::Result<()> {
        let mut chunk = vec![0; 16 * 1024];
        let status = loop {
            tokio::select! {
                read = read(&mut self.output, &mut chunk) => self.take_output(&chunk[..read]),
                Some(command) = channels.commands.recv() => self.obey(command),
                _ = channels.terminate.recv() => self.stop(TERMINATE_GRACE),
                status = self.child.wait() => break status,
            }
        };
        channels.keyboard.abort();
        supervisor::end_rest(self.session_dir, &self.spec, self.agent, self.me).await;
        fault::reach(Point::LaunchRestEnded)?;
        self.drain(&mut chunk).await;
        self.keep_last_screen();
        fault::reach(Point::PtyScreenKept)?;
        let exit = supervisor::known_exit(status);
        let recorded = launch::record_exit(self.session_dir, exit).await;
        fault::reach(Point::LaunchEndRecorded)?;
        // Removed before anybody is told: whoever was told finds nothing left.
        let removed = file::remove_if_there(self.socket);
        drop(self.followers);
        self.viewers.part(&self.screen);
        channels.commands.close();
        channels.ended.send_replace(Some(exit));
        channels.server.finish(FAREWELL).await;
        recorded.and(removed)
    }

    fn take_output(&mut self, output: &[u8]) {
        if output.is_empty() {
            return;
        }
        let now = Instant::now();
        self.scrollback.append(output, now);
        let answers = self.screen.feed(output);
        self.lines.append(&self.screen.scrolled_off(), now);
        if !answers.is_empty() {
            // A program that asks and never reads gets no more answers, and holds nobody up.
            let _ = self.keys.try_send(Keys { bytes: answers, taken: None });
        }
        // Nobody may be following.
        let _ = self.followers.send(output.into());
        self.viewers.tell();
    }

    /// Whoever asked may be gone by now: an answer that cannot be delivered is dropped.
    fn obey(&mut self, command: Command) {
        match command {
            Command::Screen(answer) => drop(answer.send(self.screen.text())),
            Command::Output { lines, answer } => drop(answer.send(self.screen.output(lines))),
            Command::Lines(answer) => {
                let (back, text) = self.screen.last_lines();
                drop(answer.send((self.lines.next() - back as u64, text)));
            }
            Command::Resize { size, answer } => drop(answer.send(self.resize(size))),
            Command::Follow(answer) => {
                let replay = scrollback(REPLAY_BYTES).read_last(&launch::directory(self.session_dir), REPLAY_BYTES);
                let replay = replay.unwrap_or_default();
                drop(answer.send((replay, self.followers.subscribe())));
            }
            Command::Attach { newcomer: Newcomer { size, is_watching }, answer } => {
                let viewer = self.viewers.add(Newcomer { size: bounded(size), is_watching });
                self.fit_viewers();
                drop(answer.send(viewer));
            }
            Command::Look { viewer, answer } => {
                if let Some(sight) = self.viewers.look(viewer, &self.screen) {
                    drop(answer.send(sight));
                }
            }
            Command::ViewerSize { viewer, size } => {
                self.viewers.resize(viewer, bounded(size));
                self.fit_viewers();
            }
            Command::Leave(viewer) => {
                self.viewers.remove(viewer);
                self.fit_viewers();
            }
            Command::Stop(grace) => self.stop(grace),
        }
    }

    /// Gives the terminal the size that all viewers have room for who do not only watch. Without any it stays as it is, for an agent draws for who looks.
    fn fit_viewers(&mut self) {
        if let Some(size) = self.viewers.size().filter(|size| *size != self.screen.size())
            && let Err(error) = self.resize(size)
        {
            tracing::warn!(%error, "the terminal's size cannot be set");
        }
    }

    fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        let TerminalSize { rows, cols } = bounded(size);
        rustix::termios::tcsetwinsize(
            &self.terminal,
            rustix::termios::Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 },
        )?;
        self.screen.resize(size);
        self.lines.append(&self.screen.scrolled_off(), Instant::now());
        self.viewers.tell();
        Ok(())
    }

    /// Begins to end the agent; that it ended is seen where it is waited for.
    fn stop(&self, grace: Duration) {
        let family = Family {
            roots: vec![self.agent.process],
            sessions: self.agent.session().into_iter().collect(),
            except: Some(self.me),
            ..self.spec.family()
        };
        let agent = self.agent.process;
        tokio::spawn(async move {
            if let Err(error) = family.end(Some(agent), grace).await {
                tracing::warn!(%error, "the agent could not be ended");
            }
        });
    }

    /// Reads what is left in the terminal.
    async fn drain(&mut self, chunk: &mut [u8]) {
        let deadline = Instant::now() + DRAIN_BOUND;
        while let Ok(Ok(Ok(read @ 1..))) = timeout_at(deadline, timeout(DRAIN_SILENCE, self.output.read(chunk))).await {
            self.take_output(&chunk[..read]);
        }
    }

    fn keep_last_screen(&mut self) {
        let directory = launch::directory(self.session_dir);
        // Before the screen, whose file says that they are complete.
        let (back, last) = self.screen.last_lines();
        let last: Vec<String> = last.lines().skip(back).map(str::to_owned).collect();
        self.lines.append(&last, Instant::now());
        let output = self.screen.output(HISTORY_LINES);
        for (name, text) in [(SCREEN_FILE, self.screen.text().as_str()), (OUTPUT_FILE, cut_to_last_bytes(&output))] {
            // The raw output is there to make them again.
            if let Err(error) = file::write_atomically(&directory.join(name), text.as_bytes(), 0o600) {
                tracing::warn!(%error, name, "the last screen could not be kept");
            }
        }
    }
}

/// Starts the agent as leader of its own kernel session with the terminal as its controlling one, whatever its standard input is.
fn start_agent(spec: &LaunchSpec, terminal: Pts) -> io::Result<Child> {
    supervisor::check_directory(spec)?;
    let mut command = pty_process::Command::new(&spec.command.program)
        .args(&spec.command.args)
        .env_clear()
        .envs(&spec.env)
        .current_dir(&spec.cwd);
    if let Some(stdin) = supervisor::open_stdin(spec)? {
        command = command.stdin(stdin);
    }
    command.spawn(terminal).map_err(|error| match error {
        pty_process::Error::Io(error) => supervisor::cannot_run(spec, &error),
        other => io::Error::other(other),
    })
}

/// Reads some output; 0 when there is none at the moment.
async fn read(output: &mut OwnedReadPty, chunk: &mut [u8]) -> usize {
    if let Ok(read @ 1..) = output.read(chunk).await {
        return read;
    }
    // No process has the terminal open right now. The agent may still run and open it again, which nothing announces.
    tokio::time::sleep(DRAIN_SILENCE).await;
    0
}

/// The keyboard: waits when the agent does not read. What nobody waits for any more is not typed, or not any further: what the terminal
/// has already taken cannot be taken back.
async fn type_keys(mut input: OwnedWritePty, mut typed: mpsc::Receiver<Keys>) {
    while let Some(Keys { bytes, taken }) = typed.recv().await {
        let Some(mut taken) = taken else {
            let _ = input.write_all(&bytes).await;
            continue;
        };
        let written = tokio::select! {
            biased;
            () = taken.closed() => continue,
            written = input.write_all(&bytes) => written,
        };
        let _ = taken.send(written);
    }
}
