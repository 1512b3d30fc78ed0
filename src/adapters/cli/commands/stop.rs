//! `ao stop`.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::client::{Client, ClientError};
use super::super::context::Context;
use super::super::embedder;
use super::super::error::{CliError, ExitCode};
use super::super::ui;
use crate::adapters::http::wire::DaemonInfo;

/// How long a daemon may take to stop: it lets spawns under way be undone.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

pub(in super::super) async fn run(context: &Context) -> Result<(), CliError> {
    let client = Client::new(&context.socket);
    let info: DaemonInfo = match client.get("/daemon").await {
        Err(ClientError::NotRunning { .. }) => return nobody_answers(context),
        info => info?,
    };
    let daemon = crate::platform::process::identity(info.pid);
    client.post::<Value>("/daemon/stop", &json!({})).await?;
    let Ok(Some(daemon)) = daemon else { return Ok(()) };
    let gone = async {
        while crate::platform::process::is_running(daemon).unwrap_or(false) {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    match tokio::time::timeout(STOP_TIMEOUT, gone).await {
        Ok(()) => {
            ui::talk("the daemon has stopped; agents go on");
            Ok(())
        }
        Err(_elapsed) => {
            let message = format!("the daemon (pid {}) did not stop within {} s", info.pid, STOP_TIMEOUT.as_secs());
            Err(CliError::new(ExitCode::TimedOut, message).hint(format!("see {}", context.data_dir.log().display())))
        }
    }
}

/// Nobody serves the socket: either no daemon runs, or one does and its socket is gone or not there yet.
fn nobody_answers(context: &Context) -> Result<(), CliError> {
    if let Some(error) = embedder::without_socket(&context.data_dir, &context.socket) {
        return Err(error);
    }
    let lock = context.data_dir.lock();
    if !crate::platform::lock::is_locked(&lock) {
        ui::talk("no daemon runs");
        return Ok(());
    }
    let message = format!("a daemon holds {} and does not answer", context.data_dir.root().display());
    let hint = format!(
        "its process id is in {}; if it is not just starting, end it with kill, then: ao start",
        lock.display()
    );
    Err(CliError::failed(message).hint(hint))
}
