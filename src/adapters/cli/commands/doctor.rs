//! `ao doctor`: shows the checks. Making them is the composition root's, for they need the adapters and no daemon.

use super::super::error::CliError;
use super::super::ui;
use crate::app::doctor::{Check, Verdict};

/// Shows checks. Fails when something must be mended.
///
/// # Errors
/// [`CliError`] when a check is [`Verdict::Broken`].
pub fn show(checks: &[Check], as_json: bool) -> Result<(), CliError> {
    if as_json {
        ui::json(&checks)?;
    } else {
        let mut text = String::new();
        for check in checks {
            let mark = match check.verdict {
                Verdict::Ok => "ok",
                Verdict::Absent => "no",
                Verdict::Broken => "BAD",
            };
            text.push_str(&format!("{mark:4} {:20} {}\n", check.name, ui::printable(&check.found)));
            if let Some(advice) = &check.advice {
                text.push_str(&format!("     {:20} → {advice}\n", ""));
            }
        }
        ui::data(&text)?;
    }
    let broken: Vec<&str> = checks.iter().filter(|c| c.verdict == Verdict::Broken).map(|c| c.name.as_str()).collect();
    if broken.is_empty() {
        return Ok(());
    }
    Err(CliError::failed(format!("ao cannot work until this is mended: {}", broken.join(", "))))
}
