//! `ao start`, and what every command does that needs a daemon.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::super::client::{Client, ClientError};
use super::super::context::Context;
use super::super::embedder;
use super::super::error::{CliError, ExitCode};
use super::super::ui;
use crate::adapters::http::wire::DaemonInfo;
use crate::platform::detached::{self, Detached};
use crate::platform::{file, lock};

/// How long a daemon may take to serve.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it is waited for to settle what an earlier one left; it serves meanwhile.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it is at least before one is started in the place of one that was ended.
const START_PAUSE: Duration = Duration::from_millis(200);
/// How often it is looked at meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How much of the log is shown when a daemon does not start.
const LOG_LINES: usize = 8;
/// They are looked for in this much of its end.
const LOG_TAIL_BYTES: u64 = 16 * 1024;

pub(in super::super) async fn run(context: &Context) -> Result<(), CliError> {
    if let Ok(info) = Client::new(&context.socket).get::<DaemonInfo>("/daemon").await {
        ui::talk(&match &info.program {
            Some(program) => {
                format!("{program} (process {}) embeds ao here and serves it: no daemon is needed", info.pid)
            }
            None => format!("the daemon runs already, pid {}", info.pid),
        });
        return Ok(());
    }
    let info = start(context).await?;
    ui::talk(&format!("the daemon runs, pid {}", info.pid));
    if !info.ready {
        ui::talk("it is still settling what an earlier one left half done");
    }
    Ok(())
}

/// Starts a daemon when none runs and one may be started, and says so.
pub(in crate::adapters) async fn ensure_running(context: &Context) -> Result<(), CliError> {
    if is_to_be_started(context).await? { start_and_say(context).await } else { Ok(()) }
}

/// Whether none runs, and one may be started.
pub(super) async fn is_to_be_started(context: &Context) -> Result<bool, CliError> {
    match Client::new(&context.socket).get::<DaemonInfo>("/daemon").await {
        Ok(_) => Ok(false),
        Err(ClientError::NotRunning { .. }) if context.may_start => Ok(true),
        Err(error) => Err(embedder::explain(error.into(), context)),
    }
}

pub(super) async fn start_and_say(context: &Context) -> Result<(), CliError> {
    let info = start(context).await?;
    ui::talk(&format!("started the daemon, pid {}", info.pid));
    Ok(())
}

async fn start(context: &Context) -> Result<DaemonInfo, CliError> {
    // None can be started beside it.
    let embedder = || embedder::without_socket(&context.data_dir, &context.socket);
    if let Some(error) = embedder() {
        return Err(error);
    }
    let root = context.data_dir.root();
    let failed = |cause: String| CliError::new(ExitCode::Unreachable, format!("cannot start the daemon: {cause}"));
    file::create_private_dir(root).map_err(|error| failed(format!("cannot make {}: {error}", root.display())))?;
    let args = ["--data-dir".into(), root.as_os_str().to_owned(), "daemon".into(), "--background".into()];
    let log = context.data_dir.log();
    let spawn = || {
        Detached::new(&context.ao_program, &args, &context.env, &log)
            .spawn()
            .map_err(|error| failed(format!("{}: {error}", context.ao_program.display())))
    };
    let (mut child, mut last) = (spawn()?, None);
    let client = Client::new(&context.socket);
    let give_up_on_ready = Instant::now() + READY_TIMEOUT;
    let served = async {
        loop {
            if let Ok(info) = client.get::<DaemonInfo>("/daemon").await
                && (info.ready || Instant::now() >= give_up_on_ready)
            {
                return Ok(info);
            }
            // Of two that start at once one is refused; the other one serves.
            if let Some(status) = detached::ended(&mut child)
                && client.get::<DaemonInfo>("/daemon").await.is_err()
                && (embedder().is_some() || !lock::is_locked(&context.data_dir.lock()))
            {
                if embedder().is_some() || !was_ended(status) {
                    return Err(failed(format!("it ended at once ({status})")));
                }
                tokio::time::sleep(START_PAUSE).await;
                last = Some(status);
                child = spawn()?;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    let outcome = tokio::time::timeout(START_TIMEOUT, served).await;
    let outcome = outcome.unwrap_or_else(|_| {
        let ended = last.map(|status| format!("; the one before it ended ({status})")).unwrap_or_default();
        Err(failed(format!("it did not serve within {} s{ended}", START_TIMEOUT.as_secs())))
    });
    outcome.map_err(|error| {
        embedder().unwrap_or_else(|| error.detail(log_tail(context)).hint(format!("its log is {}", log.display())))
    })
}

/// Whether a daemon that is gone was ended by others: killed or stopped, or refused for the sake of one that was. Another one may well stay.
fn was_ended(status: ExitStatus) -> bool {
    let by = [Signal::KILL, Signal::TERM].map(Signal::as_raw);
    status.success()
        || status.signal().is_some_and(|signal| by.contains(&signal))
        || status.code() == Some(i32::from(ExitCode::Refused as u8))
}

fn log_tail(context: &Context) -> Option<String> {
    let mut log = std::fs::File::open(context.data_dir.log()).ok()?;
    let length = log.metadata().ok()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES))).ok()?;
    let mut tail = Vec::new();
    log.read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    let lines: Vec<&str> = tail.lines().collect();
    Some(lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
}
