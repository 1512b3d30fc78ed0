//! The operating system, each concern in one module, so that there is one way to run a child process, one way to write a
//! file, one way to look at a process.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`child`] | running a program to its end, bounded in time and output |
<<<<<<< HEAD
//! | [`detached`] | starting a process that outlives this one |
//! | [`file`] | writing a file as a whole or not at all |
//! | [`lock`] | one holder at a time, given up by the kernel |
//! | [`socket`] | where Unix sockets go |
=======
//! | [`mod@file`] | writing a file as a whole or not at all |
>>>>>>> ship
//! | [`process`] | identity, liveness and trees of processes (Linux: `/proc`) |

pub mod child;
pub mod detached;
pub mod file;
pub mod lock;
pub mod process;
pub mod socket;
