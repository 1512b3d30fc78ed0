//! A terminal that shows a table as it changes: taken over as a whole, and given back as it was, however that ends.
//!
//! Nothing flickers, because a frame is one write, holds only the lines that changed, and is shown at once by terminals that know
//! synchronized updates.

use rustix::termios::{LocalModes, SpecialCodeIndex};

use super::error::CliError;
use super::taken::{Size, Taken, size};
use super::ui;

/// Alternate screen, no cursor, no wrapping at the right edge.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J";
const LEAVE: &str = "\u{1b}[?2026l\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";
const BEGIN_FRAME: &str = "\u{1b}[?2026h";
const END_FRAME: &str = "\u{1b}[?2026l";
const CLEAR_SCREEN: &str = "\u{1b}[2J";
const CLEAR_REST_OF_LINE: &str = "\u{1b}[K";

/// The terminal on stdout, taken over until this is dropped.
pub(super) struct LiveScreen {
    painter: Painter,
    _taken: Taken,
}

impl LiveScreen {
    /// Takes the terminal over.
    pub(super) fn take() -> Result<Self, CliError> {
        let taken = Taken::take(ENTER, LEAVE, |modes| {
            // What is typed must not show between the rows, and a stopped program could not give the terminal back.
            modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
            modes.special_codes[SpecialCodeIndex::VSUSP] = 0;
        })?;
        Ok(Self { painter: Painter::default(), _taken: taken })
    }

    /// Shows these lines and nothing else, as far as they fit.
    pub(super) fn show(&mut self, lines: &[String]) -> Result<(), CliError> {
        self.painter.frame(size(), lines).map_or(Ok(()), |frame| ui::data(&frame))
    }
}

/// How many columns the terminal on stdout has.
pub(super) fn columns() -> usize {
    size().cols
}

/// Knows what the screen shows, and so what has to be written to change it.
#[derive(Debug, Default)]
struct Painter {
    shown: Option<(Size, Vec<String>)>,
}

impl Painter {
    /// What makes the screen show these lines; `None` when it does already.
    fn frame(&mut self, size: Size, lines: &[String]) -> Option<String> {
        let lines = fit(size, lines);
        let before = self.shown.replace((size, lines.clone()));
        // After a change of its size nobody knows what a terminal shows.
        let (is_known, before) = match before {
            Some((known, before)) if known == size => (true, before),
            _ => (false, Vec::new()),
        };
        let mut changed = String::new();
        for row in 0..lines.len().max(before.len()) {
            let line = lines.get(row).map_or("", String::as_str);
            if before.get(row).map_or("", String::as_str) == line {
                continue;
            }
            changed.push_str(&format!("\u{1b}[{};1H{line}", row + 1));
            // Behind a full line the cursor stands on its last character, and would take that along.
            if ui::width(line) < size.cols {
                changed.push_str(CLEAR_REST_OF_LINE);
            }
        }
        let clear = if is_known { "" } else { CLEAR_SCREEN };
        (!is_known || !changed.is_empty()).then(|| format!("{BEGIN_FRAME}{clear}{changed}{END_FRAME}"))
    }
}

/// As many of the lines as there are rows, each at most as wide as the screen. When some are left out, the last row says how many.
fn fit(size: Size, lines: &[String]) -> Vec<String> {
    let cut = |line: &String| ui::cut(line, size.cols);
    if lines.len() <= size.rows {
        return lines.iter().map(cut).collect();
    }
    let shown = size.rows.saturating_sub(1);
    let left_out = format!("… {} more", lines.len() - shown);
    lines[..shown].iter().map(cut).chain([ui::cut(&left_out, size.cols)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { rows: 3, cols: 8 };

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    /// A frame without the marks of its begin and end.
    fn changes(painter: &mut Painter, size: Size, texts: &[&str]) -> Option<String> {
        let frame = painter.frame(size, &lines(texts))?;
        Some(frame.strip_prefix(BEGIN_FRAME).unwrap().strip_suffix(END_FRAME).unwrap().to_owned())
    }

    #[test]
    fn only_what_changed_is_written() {
        let mut painter = Painter::default();
        let first = changes(&mut painter, SIZE, &["head", "one"]).unwrap();
        assert_eq!(first, "\u{1b}[2J\u{1b}[1;1Hhead\u{1b}[K\u{1b}[2;1Hone\u{1b}[K");
        assert_eq!(changes(&mut painter, SIZE, &["head", "one"]), None, "nothing changed");
        assert_eq!(changes(&mut painter, SIZE, &["head", "two"]).unwrap(), "\u{1b}[2;1Htwo\u{1b}[K");
        assert_eq!(
            changes(&mut painter, SIZE, &["head"]).unwrap(),
            "\u{1b}[2;1H\u{1b}[K",
            "a row that went is cleared"
        );
        let wider = Size { cols: 9, ..SIZE };
        assert_eq!(changes(&mut painter, wider, &["head"]).unwrap(), "\u{1b}[2J\u{1b}[1;1Hhead\u{1b}[K", "all again");
    }

    #[test]
    fn lines_fit_the_screen_in_columns_not_in_characters() {
        let mut painter = Painter::default();
        assert_eq!(fit(SIZE, &lines(&["12345678", "123456789", "漢字漢字漢"])), ["12345678", "1234567…", "漢字漢…"]);
        assert_eq!(fit(SIZE, &lines(&["a", "b", "c", "d"])), ["a", "b", "… 2 more"]);
        let full = changes(&mut painter, SIZE, &["12345678"]).unwrap();
        assert!(full.ends_with("12345678"), "clearing behind a full line would take its end along: {full:?}");
    }
}
