//! Coding agents, each behind the [`Agent`](crate::ports::agent::Agent) port.
//!
//! | Module | Agent |
//! | --- | --- |
//! | [`claude_code`] | Claude Code, which reports through hooks |
//! | [`command`] | any program; nothing is known of it but its process |

pub mod claude_code;
pub mod command;
