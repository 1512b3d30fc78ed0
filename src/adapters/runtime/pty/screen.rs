//! What the terminal shows: a model fed with the agent's raw output. It also answers what programs ask their terminal, because with
//! nobody attached there is no other terminal that would.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alacritty_terminal::Term;
use alacritty_terminal::event::{Event, EventListener, WindowSize};
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line, Point};
use alacritty_terminal::term::{Config, Osc52, TermMode};
use alacritty_terminal::vte::ansi::{NamedColor, Processor, Rgb, Timeout};

use super::limits::{CommandLimit, bounded};
use super::paint::Painter;
use super::scrolled::{ROOM, Scrolled, may_hide};
use crate::ports::runtime::TerminalSize;

/// Lines kept above the screen. A full history of 120 columns takes about 14 MB.
pub(super) const HISTORY_LINES: usize = 5_000;

/// Output is taken in pieces of this many bytes, and between them it is looked whether a character has more marks (accents, joiners)
/// than any script needs, and what scrolled.
const PIECE_BYTES: usize = 64;
/// The rows there is room for while the size changes: a wide terminal's rows become many in a narrow one.
const RESIZING_ROWS: usize = 5_000_000;
const MAX_MARKS: usize = 32;

/// The model of one terminal.
pub(in crate::adapters::runtime) struct Screen {
    term: Term<Answers>,
    parser: Processor<Unsynchronized>,
    commands: CommandLimit,
    answers: Answers,
    /// What scrolls off, where somebody wants it.
    scrolled: Option<Scrolled>,
    last_byte: u8,
}

impl Screen {
    /// An empty terminal.
    pub(in crate::adapters::runtime) fn new(size: TerminalSize) -> Self {
        let size = bounded(size);
        let answers = Answers::new(size);
        let term = Term::new(config(HISTORY_LINES), &Cells(size), answers.clone());
        let (parser, commands) = (Processor::new(), CommandLimit::default());
        Self { term, parser, commands, answers, scrolled: None, last_byte: 0 }
    }

    /// The same, which also tells each line that scrolls off ([`Self::scrolled_off`]).
    pub(super) fn telling(size: TerminalSize) -> Self {
        let mut screen = Self::new(size);
        screen.term.set_options(config(HISTORY_LINES + ROOM));
        Self { scrolled: Some(Scrolled::default()), ..screen }
    }

    /// Takes output of the agent; gives what the terminal answers to it, to be written to the agent's input.
    pub(in crate::adapters::runtime) fn feed(&mut self, output: &[u8]) -> Vec<u8> {
        for piece in output.chunks(PIECE_BYTES) {
            let piece = self.commands.apply(piece);
            let mut rest = piece.as_slice();
            while let Some(at) = self.hides_at(rest) {
                self.parser.advance(&mut self.term, &rest[..at]);
                self.look();
                self.parser.advance(&mut self.term, &rest[at..=at]);
                // What scrolls off next is told from what there is now.
                self.look();
                rest = &rest[at + 1..];
            }
            self.parser.advance(&mut self.term, rest);
            self.look();
            self.limit_marks();
        }
        std::mem::take(&mut self.answers.said().text)
    }

    /// Where in these bytes one is that may put out of sight what scrolled off.
    fn hides_at(&mut self, bytes: &[u8]) -> Option<usize> {
        self.scrolled.as_ref()?;
        let mut last = self.last_byte;
        let found = bytes.iter().position(|byte| may_hide(std::mem::replace(&mut last, *byte), *byte));
        self.last_byte = last;
        found
    }

    fn look(&mut self) {
        if let Some(scrolled) = &mut self.scrolled {
            scrolled.look(&mut self.term);
        }
    }

    /// The lines that scrolled off since this was asked last.
    pub(super) fn scrolled_off(&mut self) -> Vec<String> {
        self.scrolled.as_mut().map(Scrolled::take).unwrap_or_default()
    }

    /// What is on the screen, with the beginning of its first line where that scrolled off already; and how many of its first lines
    /// [scrolled off](Self::scrolled_off) before and came back.
    pub(super) fn last_lines(&self) -> (usize, String) {
        match &self.scrolled {
            Some(scrolled) if !self.term.mode().contains(TermMode::ALT_SCREEN) => {
                (scrolled.taken_back(), self.text_from(Line(0) - scrolled.open_rows()))
            }
            // A program's own screen is nothing of that.
            _ => (0, self.text()),
        }
    }

    /// Takes the marks off the character before the cursor when it has too many: the model keeps every one that is printed.
    fn limit_marks(&mut self) {
        let Point { line, column } = self.term.grid().cursor.point;
        for column in [column, Column(column.0.saturating_sub(1)), Column(column.0.saturating_sub(2))] {
            let cell = &mut self.term.grid_mut()[line][column];
            if cell.zerowidth().is_some_and(|marks| marks.len() > MAX_MARKS) {
                let (hyperlink, underline) = (cell.hyperlink(), cell.underline_color());
                cell.extra = None;
                cell.set_hyperlink(hyperlink);
                cell.set_underline_color(underline);
            }
        }
    }

    /// Changes the size; lines wrap anew.
    pub(in crate::adapters::runtime) fn resize(&mut self, size: TerminalSize) {
        let size = bounded(size);
        self.answers.said().size = size;
        self.look();
        if let Some(scrolled) = &mut self.scrolled {
            // So that none is lost; that many are never there for long.
            self.term.set_options(config(RESIZING_ROWS));
            scrolled.resized();
        }
        self.term.resize(Cells(size));
        self.look();
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

    /// What makes a viewer's terminal show this; `None` when it does already.
    pub(in crate::adapters::runtime) fn paint(&self, viewer: &mut Painter) -> Option<Vec<u8>> {
        viewer.picture(&self.term)
    }

    /// Its size.
    pub(super) fn size(&self) -> TerminalSize {
        self.answers.said().size
    }

    fn text_from(&self, top: Line) -> String {
        let end = Point::new(self.term.bottommost_line(), self.term.last_column());
        let text = self.term.bounds_to_string(Point::new(top, Column(0)), end);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned()
    }
}

/// Programs in here get no say over the clipboard of whoever attaches.
fn config(scrolling_history: usize) -> Config {
    Config { scrolling_history, osc52: Osc52::Disabled, ..Config::default() }
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

/// Collects what the terminal answers. The model owns one, and what it tells another.
#[derive(Clone)]
struct Answers(Arc<Mutex<Said>>);

struct Said {
    text: Vec<u8>,
    size: TerminalSize,
}

impl Answers {
    fn new(size: TerminalSize) -> Self {
        Self(Arc::new(Mutex::new(Said { text: Vec::new(), size })))
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
                let TerminalSize { rows, cols } = self.said().size;
                format(WindowSize { num_lines: rows, num_cols: cols, cell_width: 8, cell_height: 16 })
            }
            _ => return,
        };
        self.said().text.extend_from_slice(answer.as_bytes());
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

    /// Everything that was told of, and what is on the screen.
    fn all_lines(screen: &mut Screen, told: &mut Vec<String>) -> Vec<String> {
        told.extend(screen.scrolled_off());
        let (back, last) = screen.last_lines();
        told.iter().take(told.len() - back).cloned().chain(last.lines().map(str::to_owned)).collect()
    }

    #[track_caller]
    fn is_same(seen: &[String], all: &[String], when: &str) {
        let other = seen.iter().zip(all).find(|(seen, all)| seen != all);
        assert!(other.is_none() && seen.len() == all.len(), "{when}: {} of {}, {other:?}", seen.len(), all.len());
    }

    #[test]
    fn each_line_that_scrolls_off_is_told_once_whatever_becomes_of_the_history() {
        let mut screen = Screen::telling(TerminalSize { rows: 5, cols: 20 });
        let (mut told, mut expected) = (Vec::new(), Vec::new());
        let mut print = |screen: &mut Screen, lines: usize| {
            for _ in 0..lines {
                // Some are longer than the terminal is wide, and some are empty.
                let n = expected.len();
                let line = if n % 7 == 3 { String::new() } else { format!("line {n} x{}", "x".repeat(n % 45)) };
                screen.feed(line.as_bytes());
                screen.feed(b"\r\n");
                expected.push(line);
            }
            expected.clone()
        };
        for step in ["", "\x1b[2J\x1b[3J", "", "\x1b[?1049hthe other\r\nscreen\x1b[?1049l", "\x1bc", "\x1b[3J"] {
            if step == "\x1bc" {
                // What is on the screen then is erased, and never scrolled.
                screen.feed(&b"\r\n".repeat(5));
                told.extend(screen.scrolled_off());
                screen.feed(b"\x1bc");
            } else {
                screen.feed(step.as_bytes());
            }
            let all = print(&mut screen, 6_500);
            let mut seen = all_lines(&mut screen, &mut told);
            seen.retain(|line| !line.is_empty());
            let all: Vec<String> = all.into_iter().filter(|line| !line.is_empty()).collect();
            is_same(&seen, &all, &format!("after {step:?}"));
            assert!(screen.term.history_size() <= HISTORY_LINES);
        }
    }

    #[test]
    fn what_scrolls_off_in_one_breath_with_a_history_that_is_cleared_is_told() {
        let mut screen = Screen::telling(TerminalSize { rows: 4, cols: 20 });
        screen.feed(b"a1\r\na2\r\na3\r\na4\r\na5\r\na6");
        assert_eq!(screen.scrolled_off(), ["a1", "a2"]);
        // More than there were before.
        screen.feed(b"\x1b[3J\r\nb1\r\nb2\r\nb3\r\nb4");
        assert_eq!(screen.scrolled_off(), ["a3", "a4", "a5", "a6"]);
    }

    #[test]
    fn another_size_neither_loses_a_line_nor_tells_it_twice() {
        let mut screen = Screen::telling(TerminalSize { rows: 10, cols: 40 });
        let (mut told, mut expected) = (Vec::new(), Vec::new());
        let sizes = [(20, 40), (10, 40), (10, 15), (30, 90), (4, 20), (40, 120), (10, 40)];
        for (round, (rows, cols)) in sizes.into_iter().cycle().take(28).enumerate() {
            let is_other = round % 3 == 1;
            if is_other {
                screen.feed(b"\x1b[?1049h");
            }
            screen.resize(TerminalSize { rows, cols });
            if is_other {
                screen.feed(b"\x1b[?1049l");
            }
            is_same(&all_lines(&mut screen, &mut told), &expected, &format!("in round {round}"));
            for _ in 0..400 {
                let line = format!("line {} x{}", expected.len(), "x".repeat(expected.len() % 70));
                screen.feed(format!("{line}\r\n").as_bytes());
                expected.push(line);
            }
            is_same(&all_lines(&mut screen, &mut told), &expected, &format!("after round {round}"));
        }
    }

    #[test]
    fn what_came_back_and_was_written_over_hides_nothing_new() {
        let mut screen = Screen::telling(TerminalSize { rows: 4, cols: 20 });
        screen.feed(b"one\r\ntwo\r\nthree\r\nfour\r\nfive\r\nsix");
        screen.resize(TerminalSize { rows: 6, cols: 20 });
        assert_eq!(screen.last_lines(), (2, "one\ntwo\nthree\nfour\nfive\nsix".to_owned()));
        screen.feed(b"\x1b[H\x1b[Jnew 1\r\nnew 2\r\nnew 3\r\nnew 4\r\nnew 5\r\nnew 6\r\nnew 7\r\nnew 8");
        assert_eq!(screen.scrolled_off(), ["one", "two", "new 1", "new 2"]);
        assert_eq!(screen.last_lines().0, 0);
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
    fn marks_without_end_on_one_character_are_dropped() {
        for before in ["a", "\u{1f980}", "12345678901234567890"] {
            let mut screen = screen(5, 20);
            screen.feed(before.as_bytes());
            screen.feed("\u{301}".repeat(1_000_000).as_bytes());
            screen.feed(b"\r\nafter");
            let shown = screen.text();
            assert!(shown.starts_with(before) && shown.ends_with("after"), "{shown}");
            assert!(shown.len() < 1_000, "{} bytes", shown.len());
        }
        let mut screen = screen(5, 20);
        screen.feed("e\u{301}\u{308} \u{1f469}\u{200d}\u{1f4bb}".as_bytes());
        assert_eq!(screen.text(), "e\u{301}\u{308} \u{1f469}\u{200d}\u{1f4bb}");
    }

    #[test]
    fn the_largest_size_is_bounded() {
        let mut screen = screen(u16::MAX, u16::MAX);
        assert_eq!(screen.feed(b"\x1b[18t"), b"\x1b[8;500;1000t");
        screen.resize(TerminalSize { rows: u16::MAX, cols: u16::MAX });
        assert_eq!(screen.feed(b"\x1b[18t"), b"\x1b[8;500;1000t");
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
