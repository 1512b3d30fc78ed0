//! The HTTP API, inbound: one router, served on a Unix socket that only the owner's processes can use, and on a
//! loopback TCP port to who has the token.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`wire`] | request and answer shapes, shared with the command line's client |
//! | [`codes`] | every code that an error may have |
//! | [`error`] | errors as JSON |
//! | [`mod@router`] | what is served, and what every request goes through |
//! | [`request`] | that: ids, bounds, the log |
//! | [`mod@once`] | requests that are asked again with their key |
//! | `extract`, `page` | what handlers take out of a request |
//! | `routes` | the handlers, and what each may be refused with |
//! | `operations` | what the document says of each, held against what comes and is answered |
//! | `schema`, [`document`] | what is said about them: the OpenAPI document |
//! | `events` | what happened, as pages and as a stream |
//! | `output_stream` | the lines of a session's terminal, as a stream |
//! | `terminal` | a session's terminal, as a WebSocket |
//! | [`patience`] | how long a slow client is borne |
//! | [`peer`] | who is at the other end |
//! | [`listener`] | the Unix socket, and who may connect to it |
//! | [`tcp`] | the TCP port |
//! | `connections` | how many there may be at each, and when they are cut off |
//! | [`access`], [`token`] | who may ask there |
//! | `refusals` | what the log is told of those who may not |

pub mod access;
pub mod codes;
mod connections;
pub mod document;
pub mod error;
mod events;
mod extract;
pub mod listener;
pub mod once;
mod operations;
mod output_stream;
mod page;
pub mod patience;
pub mod peer;
mod refusals;
pub mod request;
pub mod router;
mod routes;
mod schema;
pub mod tcp;
mod terminal;
pub mod token;
pub mod wire;

pub use patience::Patience;
pub use router::{Daemon, router};
