//! Errors of the command line: what was attempted, why it failed, what to do next, and an exit code.

use std::io::Write;

use super::colours::{Colours, Tone};
use crate::domain::id::SessionId;

/// Exit codes: part of the public contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It was done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line was wrong.
    Usage = 2,
    /// The daemon could not be reached.
    Unreachable = 3,
    /// There is no such thing.
    NotFound = 4,
    /// The state does not allow it.
    Refused = 5,
    /// Time was up.
    TimedOut = 6,
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// The exit code.
    pub exit: ExitCode,
    /// What was attempted and why it failed.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// More to show, for example the end of an agent's output.
    pub detail: Option<String>,
}

impl CliError {
    /// An error of a kind.
    #[must_use]
    pub fn new(exit: ExitCode, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, detail: None }
    }

    /// It failed.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Failed, message)
    }

    /// The command line was wrong.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds more to show.
    #[must_use]
    pub fn detail(mut self, detail: Option<String>) -> Self {
        self.detail = detail.filter(|detail| !detail.trim().is_empty());
        self
    }
}

/// What a command for several sessions came to: success, or those of all for which it failed, each with its cause.
pub(super) fn several(
    mut failures: Vec<(SessionId, CliError)>,
    all: usize,
    what_they_are: &str,
) -> Result<(), CliError> {
    let lines: Vec<String> = failures.iter().map(|(id, error)| format!("{id}: {}", error.message)).collect();
    let count = failures.len();
    let Some((_, first)) = failures.drain(..).next() else { return Ok(()) };
    if all == 1 {
        return Err(first);
    }
    let message = format!("{count} of {all} sessions {what_they_are}");
    Err(CliError { hint: first.hint, ..CliError::new(first.exit, message) }.detail(Some(lines.join("\n"))))
}

/// Shows an error on `stderr`.
///
/// # Errors
/// When writing fails.
pub fn report(error: &CliError, colours: Colours, stderr: &mut dyn Write) -> std::io::Result<()> {
    writeln!(stderr, "{} {}", colours.paint(Tone::Bad, "ao:"), error.message)?;
    if let Some(detail) = &error.detail {
        for line in detail.trim_end().lines() {
            writeln!(stderr, "  | {line}")?;
        }
    }
    error.hint.as_ref().map_or(Ok(()), |hint| report_hint(hint, colours, stderr))
}

/// Shows what to do next on `stderr`.
///
/// # Errors
/// When writing fails.
pub fn report_hint(hint: &str, colours: Colours, stderr: &mut dyn Write) -> std::io::Result<()> {
    writeln!(stderr, "{} {hint}", colours.paint(Tone::Attention, "hint:"))
}
