//! Finding out when a client has taken in the tools, for a hook of its that waits for them.
//!
//! Nothing of the protocol says it. But Claude Code 2.1.197 minds "the tools have changed" only when it has taken in what a server
//! has, and then asks for them anew. So it is told that until it asks a second time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rmcp::{Peer, RoleServer};

use crate::platform::file::write_atomically;

/// How often a client is told.
const INTERVAL: Duration = Duration::from_millis(50);
/// How many times at most: others ask once.
const TIMES: usize = 100;
/// How long the tools then take to get where a turn finds them; it gathers what servers have for 16 ms.
const SETTLES: Duration = Duration::from_millis(100);

/// The file that is made then.
#[derive(Debug, Clone)]
pub(super) struct Told {
    file: PathBuf,
    asked: Arc<AtomicUsize>,
}

impl Told {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, asked: Arc::default() }
    }

    /// A client asks for the tools.
    pub(super) fn asked(&self, client: Peer<RoleServer>) {
        if self.asked.fetch_add(1, Ordering::Relaxed) > 0 {
            return;
        }
        let told = self.clone();
        tokio::spawn(async move {
            for _ in 0..TIMES {
                tokio::time::sleep(INTERVAL).await;
                if told.asked.load(Ordering::Relaxed) > 1 || client.notify_tool_list_changed().await.is_err() {
                    break;
                }
            }
            tokio::time::sleep(SETTLES).await;
            if let Err(error) = write_atomically(&told.file, &[], 0o600) {
                tracing::warn!(%error, file = %told.file.display(), "nobody learns that the tools are there");
            }
        });
    }
}
