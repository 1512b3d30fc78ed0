//! How much is kept of what would grow without end.

use std::collections::BTreeMap;

use super::value::Bounded;
use super::{ConfigError, variable};

/// How much is kept. A megabyte is 1024 × 1024 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// `keep_changes`: how many entries of the change log. Default: 100 000.
    pub changes: u64,
    /// `keep_ended_days`: how many days the records, logs and scrollback of ended sessions; 0 for ever. Default: 30.
    pub ended_days: u64,
    /// `spool_max_mb`: how many megabytes of reports that wait for a daemon. Default: 64.
    pub spool_mb: u64,
    /// `scrollback_mb`: how many megabytes of raw output of each terminal of the `pty` runtime. Default: 4.
    pub scrollback_mb: u64,
    /// `daemon_log_mb`: how many megabytes of the background daemon's log. Default: 10.
    pub daemon_log_mb: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self { changes: 100_000, ended_days: 30, spool_mb: 64, scrollback_mb: 4, daemon_log_mb: 10 }
    }
}

pub(super) type Changes = Bounded<1, 100_000_000>;
pub(super) type Days = Bounded<0, 36_500>;
pub(super) type Megabytes = Bounded<1, 10_000>;

/// What a file sets of it.
#[derive(Debug, Default)]
pub(super) struct KeptInFile {
    pub(super) keep_changes: Option<Changes>,
    pub(super) keep_ended_days: Option<Days>,
    pub(super) spool_max_mb: Option<Megabytes>,
    pub(super) scrollback_mb: Option<Megabytes>,
    pub(super) daemon_log_mb: Option<Megabytes>,
}

impl Kept {
    pub(super) fn load(file: &KeptInFile, env: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let default = Self::default();
        let megabytes = |setting, from_file: Option<Megabytes>, default| {
            Ok::<_, ConfigError>(variable(env, setting)?.or(from_file).map_or(default, |Bounded(megabytes)| megabytes))
        };
        let changes: Option<Changes> = variable(env, "keep_changes")?.or(file.keep_changes);
        let days: Option<Days> = variable(env, "keep_ended_days")?.or(file.keep_ended_days);
        Ok(Self {
            changes: changes.map_or(default.changes, |Bounded(changes)| changes),
            ended_days: days.map_or(default.ended_days, |Bounded(days)| days),
            spool_mb: megabytes("spool_max_mb", file.spool_max_mb, default.spool_mb)?,
            scrollback_mb: megabytes("scrollback_mb", file.scrollback_mb, default.scrollback_mb)?,
            daemon_log_mb: megabytes("daemon_log_mb", file.daemon_log_mb, default.daemon_log_mb)?,
        })
    }
}
