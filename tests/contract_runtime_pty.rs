//! The `pty` runtime keeps the contract of its port.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test is its own edge, and panics to fail")]

mod pty_fixture;

ao::runtime_contract_tests!(pty_fixture::Pty::new());
