//! The HTTP API, inbound: one router, served on a Unix socket that only the owner's processes can use.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`wire`] | request and answer shapes, shared with the command line's client |
//! | [`error`] | errors as JSON |
//! | [`mod@router`] | paths and handlers |
//! | [`listener`] | the socket, and who may connect to it |

pub mod error;
pub mod listener;
pub mod router;
pub mod wire;

pub use router::{Daemon, router};
