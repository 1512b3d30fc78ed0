//! Making a terminal: each step, what is believed, and how all of it is undone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ZellijRuntime;
use super::commands::Zellij;
use super::place::Place;
use super::session::{self, Shown};
use super::wire::Server;
use super::{inside, layout, trimmed};
use crate::adapters::runtime::launch::{self, LaunchSpec, StartError};
use crate::domain::session::ProcessIdentity;
use crate::platform::file;
use crate::ports::runtime::{Liveness, RuntimeError, TerminalKey, TerminalSpec};

/// How often a session is started when its pane does not come to run.
const ATTEMPTS: u32 = 2;

/// How long one attempt may take until the agent was seen running.
const START_BOUND: Duration = Duration::from_secs(15);

/// How much time an agent gets to end by itself when its terminal is undone.
const UNDO_GRACE: Duration = Duration::from_millis(500);

/// How many lines of a failed terminal are told.
const TAIL_LINES: usize = 40;

/// See [`Runtime::create`](crate::ports::runtime::Runtime::create).
pub(super) async fn create(runtime: &ZellijRuntime, spec: &TerminalSpec) -> Result<ProcessIdentity, RuntimeError> {
    let key = &spec.key;
    let place = runtime.place(key);
    let refused = |cause: String| cannot_create(runtime, cause);
    let _turn = runtime.turns.of(&place).lock_owned().await;
    let _permit = runtime.starts.acquire().await.map_err(|error| refused(error.to_string()))?;
    let (zellij, _) = runtime.installed().await?;
    match launch::probe(&key.session_dir) {
        Liveness::Dead(_) => {}
        Liveness::Alive(agent) => return Err(refused(format!("its agent still runs (process {})", agent.pid))),
        Liveness::Unknown(cause) => return Err(refused(format!("whether its agent still runs is not known: {cause}"))),
    }
    match make(runtime, &zellij, &place, spec).await {
        Ok(agent) => Ok(agent),
        Err(cause) => Err(undo(runtime, &place, key, cause).await),
    }
}

fn cannot_create(runtime: &ZellijRuntime, cause: String) -> RuntimeError {
    RuntimeError::CannotCreate { runtime: runtime.kind.clone(), cause, exit: None, output_tail: String::new() }
}

async fn make(
    runtime: &ZellijRuntime,
    zellij: &Zellij,
    place: &Place,
    spec: &TerminalSpec,
) -> Result<ProcessIdentity, String> {
    let session_dir = &spec.key.session_dir;
    // What an earlier terminal of this session left: its supervisor, which may be about to end what it takes for its own
    // server, and then the server.
    launch::stop(session_dir, Duration::ZERO).await.map_err(|error| error.to_string())?;
    session::end(place).await.map_err(|error| error.to_string())?;
    let layout = write_files(runtime, place, spec).map_err(|(path, error)| format!("{}: {error}", path.display()))?;
    start(zellij, place, session_dir, &layout).await
}

/// Writes the launch, where it is shown, and what zellij reads. Gives the layout's path.
fn write_files(
    runtime: &ZellijRuntime,
    place: &Place,
    spec: &TerminalSpec,
) -> Result<PathBuf, (PathBuf, std::io::Error)> {
    let settings = &runtime.settings;
    let session_dir = &spec.key.session_dir;
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    let not_text = |path: &Path| (path.to_owned(), std::io::Error::other("this path is not valid UTF-8"));
    let session_dir_text = session_dir.to_str().ok_or_else(|| not_text(session_dir))?;
    let args = ["supervise", "--session-dir", session_dir_text];
    let layout = layout::layout(&settings.ao_program, &args).ok_or_else(|| not_text(&settings.ao_program))?;
    LaunchSpec::new(spec).and_then(|launch| launch.write(session_dir)).map_err(at(session_dir))?;
    inside::record(session_dir, place).map_err(at(session_dir))?;
    let layout_path = launch::directory(session_dir).join("layout.kdl");
    file::write_atomically(&layout_path, layout.as_bytes(), 0o600).map_err(at(&layout_path))?;
    file::create_private_dir(&place.socket_dir).map_err(at(&place.socket_dir))?;
    let config = settings.config_dir.join("config.kdl");
    if file::read_if_there(&config).map_err(at(&config))?.as_deref() != Some(layout::CONFIG.as_bytes()) {
        file::write_atomically(&config, layout::CONFIG.as_bytes(), 0o600).map_err(at(&config))?;
    }
    Ok(layout_path)
}

/// Starts the session until its supervisor has recorded the agent, which it starts only when it has seen its pane
/// ([`inside::arrive`]). The server is not asked anything from here: one that is asked before its session is set up ends with
/// a panic (0.45.1).
async fn start(zellij: &Zellij, place: &Place, session_dir: &Path, layout: &Path) -> Result<ProcessIdentity, String> {
    let mut attempt = 1;
    loop {
        let begun = zellij.start(place, layout).await;
        let waited = match &begun {
            Ok(()) => launch::await_start(session_dir, START_BOUND)
                .await
                .map_err(|error| (is_lost(&error), error.to_string())),
            Err(cause) => Err((true, cause.clone())),
        };
        match waited {
            Ok(agent) => return Ok(agent),
            Err((true, cause)) if attempt < ATTEMPTS => {
                tracing::warn!(session = place.name, attempt, cause, "zellij lost a session, starting it again");
                // The launch can be taken once only, so a late first attempt cannot make a second agent.
                session::end(place).await.map_err(|error| error.to_string())?;
                file::create_private_dir(&place.socket_dir).map_err(|error| error.to_string())?;
                attempt += 1;
            }
            Err((_, cause)) => return Err(cause),
        }
    }
}

/// Whether zellij, and not the agent, is what failed.
fn is_lost(error: &StartError) -> bool {
    matches!(error, StartError::TimedOut(_))
}

/// Ends whatever was made, and says why it failed, with what can be found out about the agent.
async fn undo(runtime: &ZellijRuntime, place: &Place, key: &TerminalKey, cause: String) -> RuntimeError {
    let output = match Shown::Everything.kept(&key.session_dir) {
        Ok(Some(kept)) => kept,
        _ => match Server::connect(&place.socket()).await {
            Ok(mut server) => Shown::Everything.live(&mut server).await.unwrap_or_default(),
            Err(_) => String::new(),
        },
    };
    let stopped = launch::stop(&key.session_dir, UNDO_GRACE).await;
    let ended = session::end(place).await;
    let exit = launch::exit(&key.session_dir).ok().flatten();
    // Without records nobody would find what could not be ended.
    let forgotten = if stopped.is_ok() && ended.is_ok() { launch::discard(&key.session_dir) } else { Ok(()) };
    let left: Vec<String> = [stopped.err(), ended.err(), forgotten.err()]
        .into_iter()
        .flatten()
        .map(|error| format!("; undoing it: {error}"))
        .collect();
    RuntimeError::CannotCreate {
        runtime: runtime.kind.clone(),
        cause: format!("{cause}{}", left.concat()),
        exit,
        output_tail: trimmed(&output, Some(TAIL_LINES)),
    }
}
