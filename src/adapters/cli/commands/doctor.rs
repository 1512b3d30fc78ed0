//! `ao doctor`: shows the checks. Making them is the composition root's, for they need the adapters and no daemon.

use super::super::colours::{Colours, Tone};
use super::super::error::CliError;
use super::super::ui;
use crate::app::doctor::{Check, Verdict};

/// Shows checks. Fails when something must be mended.
///
/// # Errors
/// [`CliError`] when a check is [`Verdict::Broken`].
pub fn show(checks: &[Check], as_json: bool, colours: Colours) -> Result<(), CliError> {
    if as_json {
        ui::json(&checks)?;
    } else {
        let mut text = String::new();
        for check in checks {
            let (tone, mark) = match check.verdict {
                Verdict::Ok => (Tone::Good, "ok  "),
                Verdict::Absent => (Tone::Attention, "no  "),
                Verdict::Broken => (Tone::Bad, "BAD "),
            };
            let mark = colours.paint(tone, mark);
            text.push_str(&format!("{mark} {:20} {}\n", check.name, ui::printable(&check.found)));
            if let Some(advice) = &check.advice {
                text.push_str(&format!("     {:20} → {advice}\n", ""));
            }
        }
        ui::data(&text)?;
    }
    let broken: Vec<&str> = checks.iter().filter(|c| c.verdict == Verdict::Broken).map(|c| c.name.as_str()).collect();
    if broken.is_empty() {
        if !as_json {
            let lacks = checks.iter().any(|check| check.verdict == Verdict::Absent);
            ui::talk(if lacks { "ao works, but for what needs the things that are marked \"no\"" } else { "ao works" });
        }
        return Ok(());
    }
    Err(CliError::failed(format!("ao cannot work until this is mended: {}", broken.join(", ")))
        .hint("the advice on each says how"))
}
