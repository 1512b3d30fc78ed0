//! The operating system, each concern in one module, so that there is one way to run a child process, one way to write a
//! file, one way to look at a process.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`child`] | running a program to its end, bounded in time and output |
//! | [`file`] | writing a file as a whole or not at all |
//! | [`lock`] | the lock on a data directory |
//! | [`process`] | identity, liveness and trees of processes (Linux: `/proc`) |
//! | [`socket`] | a private directory for Unix sockets, short enough for their names |

pub mod child;
pub mod file;
pub mod lock;
pub mod process;
pub mod socket;
