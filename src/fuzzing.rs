//! What reads text that ao did not write, for the fuzz targets in `fuzz/`. Those parsers are private, and stay so: this is the one door to them.

use std::io;

use serde_json::Value;

use crate::adapters::agent::claude_code;
use crate::adapters::cli::config::{Config, ConfigError};
use crate::adapters::cli::hook;
use crate::adapters::messenger;
use crate::adapters::project_file;
use crate::adapters::runtime::zellij;
use crate::domain::id::MessageId;
use crate::domain::project_file::ProjectSettings;
use crate::platform::settings_file::Mistake;
use crate::ports::text_hooks::Seen;

/// What `ao hook` reports of what it was given.
#[must_use]
pub fn hook_payload(input: &[u8]) -> Value {
    hook::payload(input)
}

/// What a `config.toml` with this content sets.
///
/// # Errors
/// The first mistake in it.
pub fn config(content: &[u8]) -> Result<Config, ConfigError> {
    Config::parse(content)
}

/// What an `ao.toml` with this content sets.
///
/// # Errors
/// The first mistake in it.
pub fn project_file(content: &[u8]) -> Result<ProjectSettings, Mistake> {
    project_file::parse(content)
}

/// The terminal whose command runs, in zellij's list of panes.
///
/// # Errors
/// When it is no such list.
pub fn zellij_terminal(listing: &str) -> serde_json::Result<Option<u32>> {
    zellij::running_terminal(listing)
}

/// The texts in an answer of a zellij server; `None` when it is none that has some.
#[must_use]
pub fn zellij_answer(message: &[u8]) -> Option<Vec<String>> {
    zellij::answered(message)
}

/// The number and the id that a message's file name tells, and the name that ao would give it; `None` for a name that is no message's.
#[must_use]
pub fn message_name(name: &str) -> Option<(u64, MessageId, String)> {
    messenger::named(name)
}

/// What the lines of Claude Code's transcript tell of a message.
///
/// # Errors
/// None: they are in memory.
pub fn transcript(lines: &[u8], id: &MessageId) -> io::Result<Seen> {
    claude_code::told_by(lines, id)
}
