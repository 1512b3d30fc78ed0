//! What the terminal shows: a model fed with the agent's raw output. It also answers what programs ask their terminal, because with
//! nobody attached there is no other terminal that would.

use std::cell::RefCell;
use std::rc::Rc;

use alacritty_terminal::Term;
use alacritty_terminal::event::{Event, EventListener, WindowSize};
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line, Point};
use alacritty_terminal::term::{Config, Osc52};
use alacritty_terminal::vte::ansi::{NamedColor, Processor, Rgb, Timeout};

use crate::ports::runtime::TerminalSize;

/// Lines kept above the screen. A full history of 120 columns takes about 14 MB.
pub(super) const HISTORY_LINES: usize = 5_000;

/// The model of one terminal.
pub(super) struct Screen {
    term: Term<Answers>,
    parser: Processor<Unsynchronized>,
    answers: Answers,
}

impl Screen {
    /// An empty terminal.
    pub(super) fn new(size: TerminalSize) -> Self {
        let answers = Answers::new(size);
        // Programs in here get no say over the clipboard of whoever attaches.
        let config = Config { scrolling_history: HISTORY_LINES, osc52: Osc52::Disabled, ..Config::default() };
        Self { term: Term::new(config, &Cells(size), answers.clone()), parser: Processor::new(), answers }
    }

    /// Takes output of the agent; gives what the terminal answers to it, to be written to the agent's input.
    pub(super) fn feed(&mut self, output: &[u8]) -> Vec<u8> {
        self.parser.advance(&mut self.term, output);
        self.answers.text.take()
    }

    /// Changes the size; lines wrap anew.
    pub(super) fn resize(&mut self, size: TerminalSize) {
        self.answers.size.replace(size);
        self.term.resize(Cells(size));
    }

    /// The screen as lines of text, without trailing blanks.
    pub(super) fn text(&self) -> String {
        self.text_from(Line(0))
    }

    /// The last `lines` lines, history included, without trailing blanks. A line that wraps counts as one.
    pub(super) fn output(&self, lines: usize) -> String {
        let text = self.text_from(self.term.topmost_line());
        last_lines(&text, lines).to_owned()
    }

    fn text_from(&self, top: Line) -> String {
        let end = Point::new(self.term.bottommost_line(), self.term.last_column());
        let text = self.term.bounds_to_string(Point::new(top, Column(0)), end);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned()
    }
}

/// The end of a text, at most this many lines of it.
pub(super) fn last_lines(text: &str, lines: usize) -> &str {
    let text = text.trim_end();
    match lines.checked_sub(1).map(|skipped| text.rmatch_indices('\n').nth(skipped)) {
        None => "",
        Some(None) => text,
        Some(Some((newline, _))) => &text[newline + 1..],
    }
}

/// The size in the model's terms. It cannot be smaller than 2 columns and 1 line.
struct Cells(TerminalSize);

impl Dimensions for Cells {
    fn total_lines(&self) -> usize {
        self.screen_lines()
    }

    fn screen_lines(&self) -> usize {
        usize::from(self.0.rows.max(1))
    }

    fn columns(&self) -> usize {
        usize::from(self.0.cols.max(2))
    }
}

/// Applies synchronized updates as they come instead of holding them back: nobody watches this screen being painted, and a
/// program that never ends its update cannot hide its output.
#[derive(Default)]
struct Unsynchronized;

impl Timeout for Unsynchronized {
    fn set_timeout(&mut self, _duration: std::time::Duration) {}

    fn clear_timeout(&mut self) {}

    fn pending_timeout(&self) -> bool {
        false
    }
}

/// Collects what the terminal answers.
#[derive(Clone)]
struct Answers {
    text: Rc<RefCell<Vec<u8>>>,
    size: Rc<RefCell<TerminalSize>>,
}

impl Answers {
    fn new(size: TerminalSize) -> Self {
        Self { text: Rc::default(), size: Rc::new(RefCell::new(size)) }
    }
}

impl EventListener for Answers {
    fn send_event(&self, event: Event) {
        let answer = match event {
            Event::PtyWrite(text) => text,
            // A dark theme, as most terminals have: programs ask to choose readable colours.
            Event::ColorRequest(index, format) if index == NamedColor::Background as usize => {
                format(Rgb { r: 0x18, g: 0x18, b: 0x18 })
            }
            Event::ColorRequest(index, format)
                if index == NamedColor::Foreground as usize || index == NamedColor::Cursor as usize =>
            {
                format(Rgb { r: 0xd8, g: 0xd8, b: 0xd8 })
            }
            Event::TextAreaSizeRequest(format) => {
                let TerminalSize { rows, cols } = *self.size.borrow();
                format(WindowSize {
                    num_lines: rows.min(2_000),
                    num_cols: cols.min(4_000),
                    cell_width: 8,
                    cell_height: 16,
                })
            }
            _ => return,
        };
        self.text.borrow_mut().extend_from_slice(answer.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(rows: u16, cols: u16) -> Screen {
        Screen::new(TerminalSize { rows, cols })
    }

    #[test]
    fn escapes_move_the_cursor_and_never_show() {
        let mut screen = screen(5, 20);
        screen.feed(b"\x1b[31mred\x1b[0m\r\nsecond\x1b[1;1Hb");
        assert_eq!(screen.text(), "bed\nsecond");
    }

    #[test]
    fn a_sequence_cut_in_two_is_still_one() {
        let mut screen = screen(5, 20);
        screen.feed(b"a\x1b[");
        screen.feed("31mb\u{e4}".as_bytes().split_at(4).0);
        screen.feed("31mb\u{e4}".as_bytes().split_at(4).1);
        assert_eq!(screen.text(), "ab\u{e4}");
    }

    #[test]
    fn output_reaches_above_the_screen_and_is_bounded() {
        let mut screen = screen(3, 20);
        for n in 0..HISTORY_LINES + 100 {
            screen.feed(format!("line {n}\r\n").as_bytes());
        }
        assert_eq!(screen.output(2), format!("line {}\nline {}", HISTORY_LINES + 98, HISTORY_LINES + 99));
        let all = screen.output(usize::MAX);
        assert_eq!(all.lines().next(), Some("line 98"), "the oldest lines are gone");
        assert_eq!(screen.output(0), "");
    }

    #[test]
    fn a_wrapped_line_is_one_line_of_output() {
        let mut screen = screen(4, 10);
        screen.feed(b"0123456789abcdef\r\nnext");
        assert_eq!(screen.output(2), "0123456789abcdef\nnext");
    }

    #[test]
    fn questions_to_the_terminal_are_answered() {
        let mut screen = screen(5, 20);
        assert_eq!(screen.feed(b"ab\x1b[6n"), b"\x1b[1;3R", "where is the cursor");
        assert_eq!(screen.feed(b"\x1b[c"), b"\x1b[?6c", "what are you");
        assert_eq!(screen.feed(b"\x1b[18t"), b"\x1b[8;5;20t", "how large are you");
        screen.resize(TerminalSize { rows: 7, cols: 30 });
        assert_eq!(screen.feed(b"\x1b[18t"), b"\x1b[8;7;30t");
        assert_eq!(screen.feed(b"\x1b[14t"), b"\x1b[4;112;240t", "how large in pixels");
        assert!(screen.feed(b"\x1b]11;?\x07").starts_with(b"\x1b]11;rgb:1818"), "what is your background");
        assert_eq!(screen.feed(b"plain"), b"");
    }

    #[test]
    fn an_update_that_never_ends_still_shows() {
        let mut screen = screen(5, 20);
        screen.feed(b"\x1b[?2026hshown");
        assert_eq!(screen.text(), "shown");
    }

    #[test]
    fn the_smallest_size_does_no_harm() {
        let mut screen = screen(0, 0);
        screen.feed("wide \u{1f980} text\r\n".as_bytes());
        screen.resize(TerminalSize { rows: 1, cols: 1 });
        screen.feed(b"more");
        let _ = screen.output(10);
    }
}
