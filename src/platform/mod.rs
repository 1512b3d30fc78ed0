//! The operating system, each concern in one module, so that there is one way to run a child process, one way to write a
//! file, one way to look at a process.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`child`] | running a program to its end, bounded in time and output |
//! | [`file`] | writing a file as a whole or not at all |
//! | [`process`] | identity and liveness of processes (Linux: `/proc`) |
//! | [`tree`] | finding and ending all processes that belong together |

pub mod child;
pub mod file;
pub mod process;
pub mod tree;
