//! How text reaches a running agent: as files in its workspace, which its hooks take.

mod directory;
mod inbox;

pub use inbox::{InboxMessenger, MAX_BODY_BYTES};
