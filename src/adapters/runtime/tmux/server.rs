//! What is asked of a session's server.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use rustix::fs::{Mode, OFlags};

use super::commands::Tmux;
use super::place::{Place, Record};
use super::version::Version;
use crate::adapters::runtime::multiplexer::Shown;
use crate::adapters::runtime::multiplexer::server::Server;

/// How long it may take until the server has shown what was printed, and how often to look.
const CATCH_UP_BOUND: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);

#[async_trait]
impl Server for Place {
    fn directory(&self) -> &Path {
        &self.directory
    }

    fn is_process(&self, cmdline: &[u8], _environ: &dyn Fn() -> Vec<u8>) -> bool {
        self.is_started_here(cmdline)
    }

    async fn ask_to_end(&self) -> bool {
        match self.recorded() {
            Ok(Record { program, .. }) => Tmux::new(program).end(self).await.is_ok(),
            Err(_) => false,
        }
    }

    /// When the agent has ended, its last output may still be on its way: tmux answers a command before it has read the
    /// terminal to its end. So a mark is printed last that shows nowhere (the pane's title), and waited for.
    async fn catch_up(&self) {
        let Ok(Record { program, .. }) = self.recorded() else { return };
        let (tmux, mark) = (Tmux::new(program), format!("ao-{}", uuid::Uuid::new_v4().simple()));
        let caught_up = async {
            let mut terminal = own_terminal()?;
            // ESC \ ends a string that the agent was killed in.
            let mut left = format!("\x1b\\\x1b]2;{mark}\x07").into_bytes();
            loop {
                match terminal.write(&left) {
                    Ok(count) => drop(left.drain(..count)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
                if left.is_empty() && tmux.title(self).await.map_err(io::Error::other)? == mark {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        // Without it the last words may be missing, which is no reason to lose all the others.
        let _ = tokio::time::timeout(CATCH_UP_BOUND, caught_up).await;
    }

    async fn show(&self, shown: Shown) -> Result<String, String> {
        Tmux::new(self.recorded()?.program).capture(self, shown).await
    }

    async fn type_bytes(&self, bytes: &[u8]) -> Result<(), String> {
        let Record { program, version, .. } = self.recorded()?;
        if bytes.is_empty() {
            return Ok(());
        }
        Tmux::new(program).paste(self, bytes, version >= Version::PASTE_IS_CLEANED).await
    }
}

/// The terminal of this process, opened so that writing to it never waits: its server may hang.
fn own_terminal() -> io::Result<std::fs::File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/dev/tty", flags, Mode::empty())?.into())
}
