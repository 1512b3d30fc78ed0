//! Making a terminal: each step, what is believed, and how all of it is undone.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::server::{Multiplexer, Server};
use super::shown::{Shown, trimmed};
use super::{Multiplexed, end};
use crate::adapters::runtime::launch::{self, LaunchSpec, StartError};
use crate::domain::session::ProcessIdentity;
use crate::fault::{self, Point};
use crate::platform::file;
use crate::ports::runtime::{RuntimeError, TerminalKey, TerminalSpec};

/// How often a server is started when its pane does not come to run.
const ATTEMPTS: u32 = 2;

/// How long one attempt may take until the agent was seen running.
const START_BOUND: Duration = Duration::from_secs(15);

/// How much time an agent gets to end by itself when its terminal is undone.
const UNDO_GRACE: Duration = Duration::from_millis(500);

/// How many lines of a failed terminal are told.
const TAIL_LINES: usize = 40;

/// See [`Runtime::create`](crate::ports::runtime::Runtime::create).
pub(super) async fn create<M: Multiplexer>(
    runtime: &Multiplexed<M>,
    spec: &TerminalSpec,
) -> Result<ProcessIdentity, RuntimeError> {
    let key = &spec.key;
    let server = runtime.multiplexer.server(key);
    let refused = |cause: String| RuntimeError::CannotCreate {
        runtime: runtime.kind.clone(),
        cause,
        exit: None,
        output_tail: String::new(),
    };
    let _turn = runtime.turns.of(server.directory()).lock_owned().await;
    let _permit = runtime.starts.acquire().await.map_err(|error| refused(error.to_string()))?;
    let (program, _) = runtime.installed().await?;
    launch::refuse_unless_dead(key).map_err(refused)?;
    match make(&runtime.multiplexer, &program, &server, spec).await {
        Ok(agent) => Ok(agent),
        Err(cause) => Err(undo(runtime, &server, key, cause).await),
    }
}

async fn make<M: Multiplexer>(
    multiplexer: &M,
    program: &M::Program,
    server: &M::Server,
    spec: &TerminalSpec,
) -> Result<ProcessIdentity, String> {
    let session_dir = &spec.key.session_dir;
    end_earlier(server, session_dir).await.map_err(|error| error.to_string())?;
    let written = LaunchSpec::new(spec).and_then(|launch| launch.write(session_dir));
    written.map_err(|error| format!("{}: {error}", session_dir.display()))?;
    make_directory(server.directory())?;
    multiplexer.prepare(program, server, spec)?;
    fault::reach(Point::MultiplexerFilesWritten)?;
    start(multiplexer, program, server, spec).await
}

/// Ends what an earlier terminal of a session left: its supervisor, which may be about to end what it takes for its own server, and
/// then the server.
pub(super) async fn end_earlier(server: &impl Server, session_dir: &Path) -> io::Result<()> {
    launch::stop(session_dir, Duration::ZERO).await?;
    end::end(server).await
}

fn make_directory(directory: &Path) -> Result<(), String> {
    file::create_private_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))
}

/// Starts the server until the supervisor has recorded the agent.
async fn start<M: Multiplexer>(
    multiplexer: &M,
    program: &M::Program,
    server: &M::Server,
    spec: &TerminalSpec,
) -> Result<ProcessIdentity, String> {
    let mut attempt = 1;
    loop {
        let begun = multiplexer.start(program, server, spec).await;
        fault::reach(Point::MultiplexerServerStarted)?;
        let waited = match &begun {
            Ok(()) => launch::await_start(&spec.key.session_dir, START_BOUND)
                .await
                .map_err(|error| (is_lost(&error), error.to_string())),
            Err(cause) => Err((true, cause.clone())),
        };
        match waited {
            Ok(agent) => return Ok(agent),
            Err((true, cause)) if attempt < ATTEMPTS => {
                tracing::warn!(session = %spec.key.session, attempt, cause, "{} lost a session, starting it again", M::NAME);
                // The launch can be taken once only, so a late first attempt cannot make a second agent.
                end::end(server).await.map_err(|error| error.to_string())?;
                make_directory(server.directory())?;
                attempt += 1;
            }
            Err((_, cause)) => return Err(cause),
        }
    }
}

/// Whether the multiplexer, and not the agent, is what failed.
fn is_lost(error: &StartError) -> bool {
    matches!(error, StartError::TimedOut(_))
}

/// Ends whatever was made, and says why it failed, with what can be found out about the agent.
async fn undo<M: Multiplexer>(
    runtime: &Multiplexed<M>,
    server: &M::Server,
    key: &TerminalKey,
    cause: String,
) -> RuntimeError {
    let output = match Shown::Everything.kept(&key.session_dir) {
        Ok(Some(kept)) => kept,
        _ => server.show(Shown::Everything).await.unwrap_or_default(),
    };
    let stopped = launch::stop(&key.session_dir, UNDO_GRACE).await;
    let ended = end::end(server).await;
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
