//! The outside. Outbound adapters implement a port each; inbound ones (`http`, `cli`) drive the application.

pub mod agent;
pub mod cli;
pub mod clock;
pub mod http;
pub mod mcp;
pub mod messenger;
pub mod project_file;
pub mod repo;
pub mod runtime;
pub mod session_dir;
pub mod setup;
pub mod spool;
pub mod store;
pub mod workspace;
