//! The operating system, each concern in one module, so that there is one way to run a child process, one way to write a
//! file, one way to look at a process.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`bounded_log`] | output on disk that never grows beyond a size |
//! | [`cgroup`] | groups of processes that the kernel knows and bounds (Linux: cgroupfs, systemd) |
//! | [`child`] | running a program to its end, bounded in time and output |
//! | [`detached`] | starting a process that outlives this one |
//! | [`mod@file`] | writing a file as a whole or not at all |
//! | [`lock`] | one holder at a time, given up by the kernel |
//! | [`log_file`] | standard error as a file that is rotated |
//! | [`loopback`] | who is at the other end of a TCP connection within this machine (Linux: `/proc`) |
//! | [`machine`] | how much memory and how many cores there are (Linux: `/proc`) |
//! | [`process`] | identity and liveness of processes (Linux: `/proc`) |
//! | [`process_end`] | being told of a process's end (Linux: pidfd) |
//! | [`settings_file`] | reading TOML so that a mistake has its line and key |
//! | [`socket`] | where Unix sockets go |
//! | [`tree`] | finding and ending all processes that belong together |

pub mod bounded_log;
pub mod cgroup;
pub mod child;
pub mod detached;
pub mod file;
pub mod lock;
pub mod log_file;
pub mod loopback;
pub mod machine;
pub mod process;
pub mod process_end;
pub mod settings_file;
pub mod socket;
pub mod tree;
