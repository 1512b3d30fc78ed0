//! The HTTP API, inbound: one router, served on a Unix socket that only the owner's processes can use.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`wire`] | request and answer shapes, shared with the command line's client |
//! | [`error`] | errors as JSON |
//! | [`mod@router`] | paths and handlers |
//! | `events` | what happened, as pages and as a stream |
//! | `terminal` | a session's terminal, as a WebSocket |
//! | [`listener`] | the socket, and who may connect to it |
//! | [`patience`] | how long a slow client is borne |
//! | [`peer`] | who is at the other end |

pub mod error;
mod events;
pub mod listener;
pub mod patience;
pub mod peer;
pub mod router;
mod terminal;
pub mod wire;

pub use patience::Patience;
pub use router::{Daemon, router};
