//! One file a command.

pub(super) mod approve;
pub(super) mod attach;
pub(super) mod cleanup;
pub(super) mod completion;
pub mod doctor;
pub(super) mod events;
pub(super) mod kill;
pub(super) mod ls;
pub(super) mod man;
pub(super) mod messages;
pub(super) mod output;
pub(super) mod project;
pub(super) mod restore;
pub(super) mod send;
pub(super) mod show;
pub(super) mod spawn;
pub(super) mod start;
pub(super) mod status;
pub(super) mod stop;
pub(super) mod token;
pub(super) mod version;
pub(super) mod wait;
