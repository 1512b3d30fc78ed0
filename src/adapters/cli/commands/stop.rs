//! `ao stop`.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::client::{Client, ClientError};
use super::super::context::Context;
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
        Err(ClientError::NotRunning { .. }) => {
            ui::talk("no daemon runs");
            return Ok(());
        }
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
