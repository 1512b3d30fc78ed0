//! Which lines scroll off a terminal's screen: what a model pushes into its history, as lines of text, each once.

use std::collections::VecDeque;

use alacritty_terminal::Term;
use alacritty_terminal::event::EventListener;
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line, Point};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::Flags;

use super::screen::HISTORY_LINES;

/// More rows than this are not pushed between two looks ([`Scrolled::look`]): of 64 bytes the most that scroll are 11 commands, for 500 rows each.
pub(super) const ROOM: usize = 5_500;

/// What was seen of a model's history. A line that is longer than the screen is wide has several rows there; it is told once it has ended.
#[derive(Debug, Default)]
pub(super) struct Scrolled {
    /// Not taken yet.
    lines: Vec<String>,
    /// How many rows the history had.
    rows: usize,
    /// How many lines ended in them.
    ended: usize,
    /// How many of its last rows are of a line that has not ended there.
    open_rows: usize,
    /// What a terminal that became larger took back from its history: it will scroll off once more.
    taken_back: VecDeque<String>,
    is_resized: bool,
}

impl Scrolled {
    /// The lines that scrolled off since this was asked last.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// How many rows above the screen its first line has.
    pub(super) fn open_rows(&self) -> usize {
        self.open_rows
    }

    /// How many lines at the beginning of the screen scrolled off before.
    pub(super) fn taken_back(&self) -> usize {
        self.taken_back.len()
    }

    /// The terminal gets another size, in which no row may be lost.
    pub(super) fn resized(&mut self) {
        self.is_resized = true;
    }

    /// Looks at what was pushed since the last time, and shortens the history to its length. While the other screen is shown, this one's history
    /// is out of sight, and stays as it is.
    pub(super) fn look<T: EventListener>(&mut self, term: &mut Term<T>) {
        if term.mode().contains(TermMode::ALT_SCREEN) {
            return;
        }
        let rows = term.history_size();
        if std::mem::take(&mut self.is_resized) {
            self.compare(term, rows);
        } else if let Some(pushed) = rows.checked_sub(self.rows) {
            for row in rows - pushed..rows {
                self.push_row(term, row, rows);
            }
        } else {
            // A program cleared it; all there was is told.
            (self.open_rows, self.ended) = (0, 0);
            for row in 0..rows {
                self.push_row(term, row, rows);
            }
        }
        if let Some(too_many @ 1..) = rows.checked_sub(HISTORY_LINES) {
            self.ended -= (0..too_many).filter(|row| ends_line(term, line(*row, rows))).count();
            term.grid_mut().update_history(HISTORY_LINES);
        }
        term.grid_mut().update_history(HISTORY_LINES + ROOM);
        self.rows = rows.min(HISTORY_LINES);
        self.open_rows = self.open_rows.min(self.rows);
    }

    fn push_row<T: EventListener>(&mut self, term: &Term<T>, row: usize, rows: usize) {
        let at = line(row, rows);
        if !ends_line(term, at) {
            self.open_rows += 1;
            return;
        }
        let text = text(term, at - std::mem::take(&mut self.open_rows), at);
        self.ended += 1;
        self.push(text);
    }

    fn push(&mut self, line: String) {
        if self.taken_back.front() == Some(&line) {
            self.taken_back.pop_front();
            return;
        }
        // It was written over, or erased: nothing of it scrolls off again.
        self.taken_back.clear();
        self.lines.push(line);
    }

    /// After another size rows are others, but lines are the same: those that ended in the history are counted.
    fn compare<T: EventListener>(&mut self, term: &Term<T>, rows: usize) {
        let ends: Vec<usize> = (0..rows).filter(|row| ends_line(term, line(*row, rows))).collect();
        let begins = |ended: usize| ended.checked_sub(1).map_or(0, |before| ends[before] + 1);
        for (ended, end) in ends.iter().enumerate().skip(self.ended) {
            let text = text(term, line(begins(ended), rows), line(*end, rows));
            self.push(text);
        }
        self.open_rows = rows - begins(ends.len());
        let back = self.ended.saturating_sub(ends.len());
        // Not more than a screen has: else it was cleared meanwhile.
        if back <= term.screen_lines() {
            let shown = text(term, line(rows - self.open_rows, rows), term.bottommost_line());
            for line in shown.lines().take(back).collect::<Vec<_>>().into_iter().rev() {
                self.taken_back.push_front(line.trim_end().to_owned());
            }
        }
        self.ended = ends.len();
    }
}

/// Where a row of the history is, which has so many.
fn line(row: usize, rows: usize) -> Line {
    Line(0) - (rows - row)
}

fn ends_line<T: EventListener>(term: &Term<T>, line: Line) -> bool {
    !term.grid()[line][term.last_column()].flags.contains(Flags::WRAPLINE)
}

fn text<T: EventListener>(term: &Term<T>, from: Line, to: Line) -> String {
    let text = term.bounds_to_string(Point::new(from, Column(0)), Point::new(to, term.last_column()));
    text.trim_end_matches([' ', '\n']).to_owned()
}

/// Whether a byte may end a command after which what was pushed is out of sight: the history cleared, everything reset, the other screen shown.
/// What was pushed is looked at before.
pub(super) fn may_hide(before: u8, byte: u8) -> bool {
    match byte {
        b'J' => true,
        b'c' => before == 0x1b,
        b'h' => before.is_ascii_digit(),
        _ => false,
    }
}
