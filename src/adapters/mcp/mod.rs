//! MCP, inbound: the commands that an agent needs, as tools, over standard input and output. Each tool asks the daemon over its socket, as
//! the command of its name does, and starts one when none runs.
//!
//! | Module | Holds |
//! | --- | --- |
//! | `tools` | the tools: a method each, whose comment is what agents read |
//! | `params` | what they are given |
//! | `answer` | what they give back |
//! | `told` | when a client has taken them in |
//!
//! # Adding a tool
//! A method with `#[tool]` in `tools`, and a struct in `params`. Where an orchestrator shall use it unasked, its name belongs into
//! `UNASKED` of `src/adapters/agent/claude_code/coordination.rs`.
//!
//! # Who calls
//! Nothing says it: the daemon knows a session by the processes above the one that asks, and this one is its agent's child.

mod answer;
mod params;
mod told;
mod tools;

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use rmcp::service::ServerInitializeError;
use rmcp::{ServiceExt, transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::cli::context::Context;
use super::cli::error::CliError;
use tools::Tools;

/// Serves the tools until standard input ends. The file `told` is made once the client has taken them in.
///
/// # Errors
/// [`CliError`] when what comes first is not MCP, or the answer to it cannot be written.
pub async fn serve(context: Context, told: Option<PathBuf>) -> Result<(), CliError> {
    let (input, output) = transport::stdio();
    let over = CancellationToken::new();
    serve_over(Tools::new(context, over.clone(), told), over, input, output).await
}

async fn serve_over(
    tools: Tools,
    over: CancellationToken,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
) -> Result<(), CliError> {
    let input = Input { input, over: Some(over.drop_guard()) };
    let failed = |error: &dyn std::fmt::Display| CliError::failed(format!("the MCP connection broke off: {error}"));
    match tools.serve((input, output)).await {
        Ok(service) => service.waiting().await.map(|_why| ()).map_err(|error| failed(&error)),
        // A client that goes away before it says anything has no wish left.
        Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(failed(&error).hint(
            "this speaks the Model Context Protocol; give it to an agent, for example: claude mcp add ao -- ao mcp",
        )),
    }
}

/// The requests. Tells of its end at once: calls that wait for something would otherwise hold the process up, for their answers are
/// waited for.
struct Input<I> {
    input: I,
    over: Option<DropGuard>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Input<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.input).poll_read(context, buffer);
        if let Poll::Ready(read) = &read
            && (read.is_err() || buffer.filled().len() == before)
        {
            self.over = None;
        }
        read
    }
}
