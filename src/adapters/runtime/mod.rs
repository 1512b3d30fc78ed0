//! Where agents' terminals live. Each runtime is a folder; what they share is here.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`launch`] | what a terminal is to run and what became of it: the records in `<session_dir>/terminal/` |
//! | [`pty`] | the built-in runtime: a holder process per session |
//! | [`supervisor`] | the process between a multiplexer's pane and the agent, which writes these records |

pub mod launch;
pub mod pty;
pub mod supervisor;
