//! What is asked of a session's server.

use std::path::Path;

use async_trait::async_trait;

use super::place::{self, Place};
use super::wire;
use crate::adapters::runtime::multiplexer::Shown;
use crate::adapters::runtime::multiplexer::server::Server;

/// The one terminal pane of a session.
pub(super) const PANE: u32 = 0;

#[async_trait]
impl Server for Place {
    fn directory(&self) -> &Path {
        &self.socket_dir
    }

    fn is_process(&self, cmdline: &[u8], environ: &dyn Fn() -> Vec<u8>) -> bool {
        self.is_server(cmdline) || place::is_starter(cmdline) && self.is_for_here(&environ())
    }

    async fn ask_to_end(&self) -> bool {
        match wire::Server::connect(&self.socket()).await {
            Ok(server) => server.kill().await.is_ok(),
            Err(_) => false,
        }
    }

    async fn show(&self, shown: Shown) -> Result<String, String> {
        wire::Server::connect(&self.socket()).await?.dump(PANE, shown == Shown::Everything).await
    }

    async fn type_bytes(&self, bytes: &[u8]) -> Result<(), String> {
        wire::Server::connect(&self.socket()).await?.type_bytes(PANE, bytes).await
    }
}
