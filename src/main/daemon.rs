//! `ao daemon`: lock, reconcile, serve, and stop without touching an agent.

use std::sync::Arc;
use std::time::Duration;

use ao::adapters::cli::args::DaemonArgs;
use ao::adapters::cli::config::HttpPort;
use ao::adapters::cli::error::{CliError, ExitCode};
use ao::adapters::http::tcp;
use ao::adapters::http::wire::AgentBounds;
use ao::adapters::store::SqliteStore;
use ao::platform::cgroup::place;
use ao::platform::detached;
use ao::platform::log_file::LogFile;
use ao::{BuildError, Driver, Orchestrator, ServeError, ServeOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::bounds;
use crate::compose;
use crate::edge::Edge;

/// How often agents are looked at. Tests make it long, by a variable, to see what does not need it.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(1);
const RECONCILE_INTERVAL_VARIABLE: &str = "AO_TEST_RECONCILE_INTERVAL_MS";
/// How long a stop waits for spawns to be undone and requests to be answered.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) async fn run(edge: &Edge, args: &DaemonArgs) -> Result<(), CliError> {
    if args.background
        && let Err(error) = detached::leave_session()
    {
        return Err(failed("leave the terminal", error));
    }
    let log = start_log(edge, args.background);
    place::leave_agents_group().map_err(|error| {
        failed("leave the control group of the agent that started it, with which it would end", error)
            .hint("start it from outside of the agent: ao start")
    })?;
    let builder = compose::builder(edge)?.claim().await.map_err(refused)?;
    if args.background {
        // Only now: it may be the log of a daemon that runs.
        log.rotate(&edge.data_dir.log(), edge.config.kept.daemon_log_mb * compose::MEGABYTE);
    }
    let store = SqliteStore::open(&edge.data_dir.db()).await;
    let store = Arc::new(store.map_err(|error| failed("open the database", error))?);
    let (groups, confinement) = bounds::settle_groups(edge).await;
    let bounds = AgentBounds { max_live_agents: edge.max_live_agents(), groups };
    let builder = builder.store(store.clone()).settings(|settings| settings.confinement = confinement);
    let (orchestrator, driver) = builder.build().await.map_err(refused)?;
    let outcome = serve(edge, args, &orchestrator, driver, bounds).await;
    // Requests are answered from it to the end, and the driver ends before them.
    store.close().await;
    outcome
}

async fn serve(
    edge: &Edge,
    args: &DaemonArgs,
    orchestrator: &Orchestrator,
    driver: Driver,
    bounds: AgentBounds,
) -> Result<(), CliError> {
    let port = match args.http.unwrap_or(edge.config.http) {
        HttpPort::Off => None,
        HttpPort::At(address) => Some(tcp::bind(address).await.map_err(|error| {
            failed(&format!("listen on {address}"), error)
                .hint("choose another address with http in config.toml, AO_HTTP or --http; off is none")
        })?),
    };
    let (stop, at_once) = (CancellationToken::new(), CancellationToken::new());
    let mut options = ServeOptions::default();
    (options.port, options.bounds, options.stop) = (port, Some(bounds), Some(stop.clone()));
    let server = orchestrator.serve_with(options).map_err(unserved)?;
    let signals = tokio::spawn(stop_on_signals(signals()?, stop.clone(), at_once.clone()));
    // Served from the first moment: agents' hooks and people must not wait for what an earlier daemon left half done.
    let driver = tokio::spawn(driver.every(reconcile_interval(edge)).into_future());
    let info = server.info();
    let http = info.http.map(tracing::field::display);
    tracing::info!(pid = info.pid, socket = %info.socket.display(), http, version = info.version, "serving");
    let mut server = tokio::spawn(server.into_future());
    stop.cancelled().await;
    tracing::info!("stopping; agents go on");
    let wind_down = async {
        orchestrator.shut_down().await;
        let _ = driver.await;
        let _ = (&mut server).await;
    };
    tokio::select! {
        () = wind_down => {}
        () = at_once.cancelled() => tracing::warn!("stopped at once by a second signal; the next start settles the rest"),
        () = tokio::time::sleep(STOP_TIMEOUT) => tracing::warn!("some work did not end in time; the next start settles it"),
    }
    signals.abort();
    // The socket goes with it, also where it did not end in time.
    server.abort();
    if !server.is_finished() {
        let _ = server.await;
    }
    Ok(())
}

fn reconcile_interval(edge: &Edge) -> Duration {
    let given = edge.var(RECONCILE_INTERVAL_VARIABLE).and_then(|text| text.parse().ok());
    given.map_or(RECONCILE_INTERVAL, Duration::from_millis)
}

/// The signals that stop a daemon. Caught before it says that it serves.
fn signals() -> Result<[Signal; 2], CliError> {
    let catch = |kind| signal(kind).map_err(|error| failed("catch signals", error));
    Ok([catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?])
}

/// The first signal stops gracefully, the second one at once.
async fn stop_on_signals(
    [mut terminate, mut interrupt]: [Signal; 2],
    stop: CancellationToken,
    at_once: CancellationToken,
) {
    for token in [stop, at_once] {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
        token.cancel();
    }
}

fn start_log(edge: &Edge, background: bool) -> Arc<LogFile> {
    let filter = EnvFilter::try_new(edge.var("AO_LOG").unwrap_or("info")).unwrap_or_else(|_| EnvFilter::new("info"));
    let file = Arc::new(LogFile::default());
    // Its complaint about a line that cannot be written would go to standard error, and panic when that fails too.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(file.clone()).log_internal_errors(false);
    let log = log.with_ansi(crate::edge::stderr_colours().are_on());
    // A person reads the foreground's log, programs the background's.
    if background {
        log.json().init();
    } else {
        log.init();
    }
    file
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn unserved(error: ServeError) -> CliError {
    let failure = CliError::failed(format!("the daemon {error}"));
    match error {
        ServeError::Token { .. } => failure.hint("make a new one with: ao token --renew; then start again"),
        _ => failure,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn refused(error: BuildError) -> CliError {
    match error {
        BuildError::InUse { program: Some(_), .. } => CliError::new(ExitCode::Refused, error.to_string())
            .hint("that program runs the agents there; use another data directory with --data-dir or AO_DATA_DIR"),
        BuildError::InUse { .. } => CliError::new(ExitCode::Refused, error.to_string())
            .hint("another daemon serves it already; see: ao status; where that finds none, ao stop says what to do"),
        _ => CliError::failed(format!("the daemon {error}")),
    }
}

fn failed(what: &str, cause: impl std::fmt::Display) -> CliError {
    CliError::failed(format!("the daemon cannot {what}: {cause}"))
}
