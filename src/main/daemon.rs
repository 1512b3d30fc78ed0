//! `ao daemon`: lock, reconcile, serve, and stop without touching an agent.

use std::sync::Arc;
use std::time::Duration;

use ao::adapters::cli::args::DaemonArgs;
use ao::adapters::cli::config::HttpPort;
use ao::adapters::cli::error::{CliError, ExitCode};
use ao::adapters::clock::SystemClock;
use ao::adapters::http::access::Access;
use ao::adapters::http::listener::{self, OwnerOnly};
use ao::adapters::http::tcp;
use ao::adapters::http::wire::{AgentBounds, DaemonInfo};
use ao::adapters::http::{Daemon, Patience};
use ao::adapters::store::SqliteStore;
use ao::app::Application;
use ao::platform::cgroup::place;
use ao::platform::lock::{Lock, LockError};
use ao::platform::log_file::LogFile;
use ao::platform::{detached, file, socket};
use ao::ports::clock::Clock;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::bounds;
use crate::compose;
use crate::edge::Edge;

/// How often agents are looked at. Tests make it long, by a variable, to see what does not need it.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(1);
const RECONCILE_INTERVAL_VARIABLE: &str = "AO_TEST_RECONCILE_INTERVAL_MS";
/// How long what broke off rests.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked for what was kept long enough.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How long a lock without a holder is waited for, and how often it is tried.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
const LOCK_INTERVAL: Duration = Duration::from_millis(20);
/// How long the first look at what an earlier daemon left may keep the daemon from saying that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
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
    let root = edge.data_dir.root();
    file::create_private_dir(root).map_err(|error| failed(&format!("make {}", root.display()), error))?;
    let _lock = lock(edge).await?;
    if args.background {
        // Only now: it may be the log of a daemon that runs.
        log.rotate(&edge.data_dir.log(), edge.config.kept.daemon_log_mb * compose::MEGABYTE);
    }
    for directory in [edge.socket_dir(), compose::zellij_dir(edge)] {
        socket::make_private(&directory).map_err(|error| failed(&format!("use {}", directory.display()), error))?;
    }
    link_program(edge).map_err(|error| failed(&format!("link {}", edge.data_dir.program().display()), error))?;
    let store = SqliteStore::open(&edge.data_dir.db()).await;
    let store = Arc::new(store.map_err(|error| failed("open the database", error))?);
    let (groups, confinement) = bounds::settle_groups(edge).await;
    let bounds = AgentBounds { max_live_agents: edge.max_live_agents(), groups };
    let application = compose::application(edge, store.clone(), confinement)?;
    let outcome = serve(edge, args, &application, bounds).await;
    store.close().await;
    outcome
}

/// The lock on the data directory. A daemon that was killed while it started a child leaves the lock with that child until
/// the child runs its program: then nobody alive is named as its holder, and it is waited for.
async fn lock(edge: &Edge) -> Result<Lock, CliError> {
    let deadline = tokio::time::Instant::now() + LOCK_TIMEOUT;
    loop {
        match Lock::acquire(&edge.data_dir.lock()) {
            Err(LockError::Held { pid: None }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(LOCK_INTERVAL).await;
            }
            acquired => return acquired.map_err(|error| refused(edge, &error)),
        }
    }
}

/// Leads agents and their hooks to this `ao`, also those that one in another place started.
fn link_program(edge: &Edge) -> std::io::Result<()> {
    let link = edge.data_dir.program();
    file::remove_staged_of(&link)?;
    // Not by the link itself, where the system tells a program's path as it was called.
    let program = edge.ao_program.canonicalize()?;
    if std::fs::read_link(&link).is_ok_and(|target| target == program) {
        return Ok(());
    }
    link.parent().map_or(Ok(()), file::create_private_dir)?;
    file::link_atomically(&program, &link)
}

async fn serve(edge: &Edge, args: &DaemonArgs, application: &Application, bounds: AgentBounds) -> Result<(), CliError> {
    let access = Access::load(edge.data_dir.token()).map_err(|error| {
        failed("use the token of its TCP port", error).hint("make a new one with: ao token --renew; then start again")
    })?;
    let port = match args.http.unwrap_or(edge.config.http) {
        HttpPort::Off => None,
        HttpPort::At(address) => {
            let listening = tcp::bind(address).await.and_then(|port| Ok((port.local_addr()?, port)));
            Some(listening.map_err(|error| {
                failed(&format!("listen on {address}"), error)
                    .hint("choose another address with http in config.toml, AO_HTTP or --http; off is none")
            })?)
        }
    };
    let listener = OwnerOnly::bind(&edge.socket()).map_err(|error| failed("listen", error))?;
    let info = DaemonInfo {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data_dir: edge.data_dir.root().to_owned(),
        socket: edge.socket(),
        http: port.as_ref().map(|(address, _)| *address),
        ready: false,
        started_at: SystemClock.now(),
        bounds: Some(bounds),
    };
    write_run_file(edge, &info)?;
    let (stop, at_once, ready) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let signals = tokio::spawn(stop_on_signals(signals()?, stop.clone(), at_once.clone()));
    // Served from the first moment: agents' hooks and people must not wait for what an earlier daemon left half done.
    let reconciler = tokio::spawn({
        let (application, ready, stop) = (application.clone(), ready.clone(), stop.clone());
        let interval = reconcile_interval(edge);
        async move { keep_going(|| reconcile(application.clone(), ready.clone(), interval), RESTART_PAUSE, &stop).await }
    });
    tracing::info!(pid = info.pid, socket = %info.socket.display(), http = ?info.http, version = info.version, "serving");
    let patience = Patience::default();
    let access = Arc::new(access);
    let daemon = Daemon { application: application.clone(), info, stop: stop.clone(), ready, patience, access };
    let tcp_server = port.map(|(_, port)| tokio::spawn(tcp::serve(port, daemon.clone(), stop.clone())));
    let server = tokio::spawn(listener::serve(listener, daemon, stop.clone()));
    stop.cancelled().await;
    tracing::info!("stopping; agents go on");
    let wind_down = async {
        application.shut_down().await;
        let _ = reconciler.await;
        let _ = server.await;
        if let Some(server) = tcp_server {
            let _ = server.await;
        }
    };
    tokio::select! {
        () = wind_down => {}
        () = at_once.cancelled() => tracing::warn!("stopped at once by a second signal; the next start settles the rest"),
        () = tokio::time::sleep(STOP_TIMEOUT) => tracing::warn!("some work did not end in time; the next start settles it"),
    }
    signals.abort();
    for path in [edge.socket(), edge.data_dir.run_file()] {
        let _ = file::remove_if_there(&path);
    }
    Ok(())
}

/// Settles what an earlier daemon left, says that this one is ready, and reconciles until the application is shut down. What takes
/// long to settle holds up neither that nor anything else.
async fn reconcile(application: Application, ready: CancellationToken, interval: Duration) {
    let bounded = async {
        if tokio::time::timeout(READY_TIMEOUT, ready.cancelled()).await.is_err() {
            tracing::warn!("not everything an earlier daemon left could be settled yet; ready all the same");
            ready.cancel();
        }
    };
    let work = async {
        let settling = application.begin_to_reconcile().await;
        let settled = async {
            settling.await;
            ready.cancel();
        };
        tokio::join!(
            settled,
            application.keep_reconciling(interval),
            application.keep_within_bounds(RETENTION_INTERVAL)
        )
    };
    tokio::join!(bounded, work);
}

/// Runs what must go on as long as the daemon serves. When it breaks off, which is a fault of ao, it is begun anew after a pause:
/// a daemon that serves and notices nothing any more is worse than none.
async fn keep_going<F>(work: impl Fn() -> F, pause: Duration, stop: &CancellationToken)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(broken) = tokio::spawn(work()).await {
        tracing::error!(cause = %broken, "what keeps the record true broke off, and is begun anew");
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
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

fn write_run_file(edge: &Edge, info: &DaemonInfo) -> Result<(), CliError> {
    let path = edge.data_dir.run_file();
    let content = serde_json::to_vec_pretty(info).map_err(|error| failed("write the run file", error))?;
    // Nobody else writes it: what an earlier daemon left there was killed with it.
    let written = file::remove_staged_of(&path).and_then(|()| file::write_atomically(&path, &content, 0o600));
    written.map_err(|error| failed("write the run file", error))
}

fn refused(edge: &Edge, error: &LockError) -> CliError {
    let root = edge.data_dir.root().display();
    match error {
        LockError::Held { .. } => CliError::new(ExitCode::Refused, format!("cannot use {root}: {error}"))
            .hint("another daemon serves it already; see: ao status; where that finds none, ao stop says what to do"),
        LockError::File(_) => failed(&format!("lock {root}"), error),
    }
}

fn failed(what: &str, cause: impl std::fmt::Display) -> CliError {
    CliError::failed(format!("the daemon cannot {what}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_breaks_off_is_begun_anew_until_the_daemon_stops() {
        let (begun, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let work = || {
            let (begun, stop) = (begun.clone(), stop.clone());
            async move {
                assert_eq!(begun.fetch_add(1, Ordering::Relaxed), 2, "a fault");
                stop.cancel();
            }
        };
        keep_going(work, Duration::ZERO, &stop).await;
        assert_eq!(begun.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn what_breaks_off_in_a_daemon_that_stops_is_left() {
        let stop = CancellationToken::new();
        stop.cancel();
        keep_going(|| async { panic!("a fault") }, Duration::from_secs(600), &stop).await;
    }
}
