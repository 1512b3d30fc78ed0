//! Contract suites: the same test bodies for every adapter of a port, ours and yours.
//!
//! Each suite is a set of async functions that take a fixture and panic when the contract is broken. See each module.

#![expect(clippy::panic, reason = "a suite panics when the contract is broken")]

pub mod agent;
