//! Typing to an agent of which only the screen is known: how its empty prompt looks is configured.
//!
//! | Module | Holds |
//! | --- | --- |
//! | `echo` | what a screen shows of text that was pasted |

mod echo;

use regex::Regex;

use crate::domain::text::{printable, shortened};
use crate::ports::terminal_input::{Echo, Paste, PromptSettings, TerminalInput};

const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// How much is typed at once, in bytes: what a terminal's buffer holds.
const PIECE_BYTES: usize = 4096;

/// How much of what stands at a prompt is told, in characters.
const TOLD_CHARS: usize = 100;

/// A prompt to type at.
#[derive(Debug, Clone)]
pub struct Prompt {
    settings: PromptSettings,
    empty: Regex,
    busy: Option<Regex>,
    echo: Option<Regex>,
}

impl Prompt {
    /// The prompt that is configured so.
    ///
    /// # Errors
    /// [`regex::Error`] for what is no regular expression.
    pub fn new(settings: PromptSettings) -> Result<Self, regex::Error> {
        // As a whole: a draft after the prompt must not match, also where whoever wrote the pattern did not think of that.
        let whole = |pattern: &str| Regex::new(&format!(r"\A(?:{pattern})\z"));
        let anywhere = |pattern: &String| Regex::new(&format!("(?m){pattern}"));
        let (empty, busy) = (whole(&settings.prompt)?, settings.busy.as_ref().map(anywhere).transpose()?);
        let echo = settings.echo.as_deref().map(whole).transpose()?;
        Ok(Self { settings, empty, busy, echo })
    }

    /// The last lines of the screen that hold anything.
    fn last_lines(&self, screen: &str) -> String {
        let mut lines: Vec<&str> = screen.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        lines.drain(..lines.len().saturating_sub(self.settings.prompt_lines));
        lines.join("\n")
    }

    /// The text without what a terminal or a line editor would obey.
    fn typed(&self, text: &str) -> String {
        let typed = printable(text.replace("\r\n", "\n").trim_end_matches('\n'));
        // Outside a paste it completes names.
        if self.settings.bracketed_paste { typed } else { typed.replace('\t', " ") }
    }
}

impl TerminalInput for Prompt {
    fn check(&self, text: &str) -> Result<(), String> {
        if !self.settings.bracketed_paste && self.typed(text).contains('\n') {
            return Err(
                "it has several lines, of which each would be submitted by itself without bracketed paste".to_owned()
            );
        }
        Ok(())
    }

    fn empty_prompt(&self, screen: &str) -> Result<String, String> {
        if let Some(busy) = &self.busy
            && let Some(found) = busy.find(screen)
        {
            return Err(format!("its screen shows that it is busy: {:?}", told(found.as_str())));
        }
        let last = self.last_lines(screen);
        if self.empty.is_match(&last) {
            return Ok(last);
        }
        Err(format!(
            "its prompt {:?} (lines have no blanks at their end) is not there, or not empty: {}",
            self.settings.prompt,
            self.standing(screen)
        ))
    }

    fn echoes(&self) -> bool {
        self.settings.echoes
    }

    fn paste(&self, text: &str) -> Paste {
        // What the Enter key sends; within a paste it submits nothing.
        let typed = self.typed(text).replace('\n', "\r");
        let (opening, closing): (&[u8], &[u8]) =
            if self.settings.bracketed_paste { (PASTE_BEGINS, PASTE_ENDS) } else { (b"", b"") };
        Paste { opening, pieces: pieces(&typed), closing }
    }

    fn submit(&self) -> &[u8] {
        b"\r"
    }

    fn echo(&self, prompt: &str, screen: &str, text: &str) -> Echo {
        let last = self.last_lines(screen);
        // First: a text may look like the end of the prompt.
        if last == prompt {
            return Echo::Nothing;
        }
        if self.busy.as_ref().is_some_and(|busy| busy.is_match(screen)) {
            return Echo::Other;
        }
        if self.echo.as_ref().is_some_and(|echo| echo.is_match(&last)) {
            return Echo::Similar;
        }
        echo::of(prompt, screen, &self.typed(text))
    }

    fn standing(&self, screen: &str) -> String {
        let last = self.last_lines(screen);
        if last.is_empty() { "its screen is empty".to_owned() } else { format!("there stands {:?}", told(&last)) }
    }
}

/// The end of what is on a screen, for a person.
fn told(text: &str) -> String {
    shortened(&printable(text), TOLD_CHARS)
}

/// A text in pieces that end where characters do.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = (0..=PIECE_BYTES.min(rest.len())).rev().find(|end| rest.is_char_boundary(*end));
        let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
        pieces.push(piece.to_owned());
        rest = after;
    }
    pieces
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
