//! `ao attach`.

use clap::Args;

use crate::domain::id::SessionId;

/// `ao attach`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao attach app-1     see what its agent sees, and type; Ctrl-\\ leaves it

All keys but Ctrl-\\ go to the agent, which goes on when you leave. Several may be attached at once: the terminal is as high as the lowest of theirs and as wide as the narrowest, and keeps that size when they leave.")]
pub struct AttachArgs {
    /// The session, for example app-1
    pub session: SessionId,
}
