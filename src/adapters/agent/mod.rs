//! Coding agents, each behind the [`Agent`](crate::ports::agent::Agent) port.
//!
//! | Module | Agent |
//! | --- | --- |
//! | [`claude_code`] | Claude Code, which reports through hooks |
//! | [`command`] | any program; nothing is known of it but its process |
//! | [`terminal`] | not an agent: typing to one of which only the screen is known |

pub mod claude_code;
pub mod command;
pub mod terminal;
