//! What is written to a viewer's terminal so that it shows what the model does.
//!
//! A viewer is given pictures, not the agent's own bytes: those may begin anywhere, wrap at another width than the viewer's, and ask
//! questions that each viewer's terminal would answer, into the agent's input. So whoever comes is shown the whole screen at once, one
//! that is slow is shown fewer pictures and never half of one, and nothing is kept for it but what it shows already.

use std::fmt::Write;

use alacritty_terminal::Term;
use alacritty_terminal::event::EventListener;
use alacritty_terminal::grid::{Dimensions, GridCell};
use alacritty_terminal::index::{Column, Line, Point};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{Color, CursorShape, CursorStyle, NamedColor};

use crate::ports::runtime::TerminalSize;

/// A picture is shown as a whole by terminals that know synchronized updates.
const BEGIN: &str = "\x1b[?2026h\x1b[?25l";
const END: &str = "\x1b[?2026l";
/// Nothing wraps: each line is put where it belongs.
const CLEAR: &str = "\x1b[0m\x1b[?7l\x1b[2J";

/// How what is typed reaches the agent, each with what turns it on and off. Those of the mouse replace one another.
const MODES: [(TermMode, &str, &str); 10] = [
    (TermMode::APP_CURSOR, "\x1b[?1h", "\x1b[?1l"),
    (TermMode::APP_KEYPAD, "\x1b=", "\x1b>"),
    (TermMode::BRACKETED_PASTE, "\x1b[?2004h", "\x1b[?2004l"),
    (TermMode::MOUSE_REPORT_CLICK, "\x1b[?1000h", "\x1b[?1000l"),
    (TermMode::MOUSE_DRAG, "\x1b[?1002h", "\x1b[?1002l"),
    (TermMode::MOUSE_MOTION, "\x1b[?1003h", "\x1b[?1003l"),
    (TermMode::UTF8_MOUSE, "\x1b[?1005h", "\x1b[?1005l"),
    (TermMode::SGR_MOUSE, "\x1b[?1006h", "\x1b[?1006l"),
    (TermMode::FOCUS_IN_OUT, "\x1b[?1004h", "\x1b[?1004l"),
    (TermMode::ALTERNATE_SCROLL, "\x1b[?1007h", "\x1b[?1007l"),
];

/// Knows what one viewer's terminal shows, and so what has to be written to change it.
#[derive(Debug)]
pub(in crate::adapters::runtime) struct Painter {
    size: TerminalSize,
    /// The first line and column that are shown of a larger model.
    corner: Corner,
    shown: Option<Picture>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Corner {
    row: usize,
    column: usize,
}

/// What a terminal shows.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    /// The model's size: where it changed, nothing is where it was.
    model: (usize, usize),
    rows: Vec<Vec<Cell>>,
    cursor: Cursor,
    modes: TermMode,
}

#[derive(Debug, PartialEq, Eq)]
struct Cursor {
    at: Point,
    style: CursorStyle,
    is_shown: bool,
}

impl Painter {
    /// For a terminal of that size, which shows nothing yet.
    pub(in crate::adapters::runtime) fn new(size: TerminalSize) -> Self {
        Self { size, corner: Corner::default(), shown: None }
    }

    /// The viewer's terminal has another size, and nobody knows what it shows.
    pub(in crate::adapters::runtime) fn resize(&mut self, size: TerminalSize) {
        *self = Self::new(size);
    }

    /// The size of the viewer's terminal.
    pub(super) fn size(&self) -> TerminalSize {
        self.size
    }

    /// What makes the viewer's terminal show the model, as far as it has room: of a larger one the part that holds the cursor. `None` when it
    /// does already.
    pub(super) fn picture<T: EventListener>(&mut self, term: &Term<T>) -> Option<Vec<u8>> {
        self.corner.follow(term, self.size);
        let now = Picture::of(term, self.corner, self.size);
        if self.shown.as_ref() == Some(&now) {
            return None;
        }
        let before = self.shown.take().filter(|before| before.model == now.model);
        let mut out = BEGIN.to_owned();
        if before.is_none() {
            out.push_str(CLEAR);
        }
        for (row, cells) in now.rows.iter().enumerate() {
            let is_new = match &before {
                Some(before) => before.rows.get(row) != Some(cells),
                None => cells.iter().any(|cell| !cell.is_empty()),
            };
            if is_new {
                // Writing to a text does not fail.
                let _ = write!(out, "\x1b[{};1H", row + 1);
                paint_line(&mut out, cells);
            }
        }
        paint_modes(&mut out, before.as_ref().map(|before| before.modes), now.modes);
        now.cursor.paint(&mut out, before.as_ref().map(|before| &before.cursor));
        out.push_str(END);
        self.shown = Some(now);
        Some(out.into_bytes())
    }
}

impl Corner {
    /// Moves no further than it takes to have the cursor in sight.
    fn follow<T: EventListener>(&mut self, term: &Term<T>, size: TerminalSize) {
        let moved = |first: usize, room: u16, at: usize, all: usize| {
            let room = usize::from(room.max(1)).min(all);
            first.min(at).max((at + 1).saturating_sub(room)).min(all - room)
        };
        let at = term.grid().cursor.point;
        self.row = moved(self.row, size.rows, usize::try_from(at.line.0).unwrap_or(0), term.screen_lines());
        self.column = moved(self.column, size.cols, at.column.0, term.columns());
    }
}

impl Picture {
    /// As much of the model as a terminal of that size has room for, from a corner on.
    fn of<T: EventListener>(term: &Term<T>, corner: Corner, size: TerminalSize) -> Self {
        let grid = term.grid();
        let end = |first: usize, room: u16, all: usize| all.min(first + usize::from(room.max(1)));
        let columns = Column(corner.column)..Column(end(corner.column, size.cols, term.columns()));
        let rows = corner.row..end(corner.row, size.rows, term.screen_lines());
        let line = |row: usize| Line(i32::try_from(row).unwrap_or(i32::MAX));
        let rows: Vec<_> = rows.map(|row| grid[line(row)][columns.clone()].to_vec()).collect();
        let mut modes = *term.mode();
        // A wheel is not for the history of a shell.
        modes.set(TermMode::ALTERNATE_SCROLL, modes.contains(TermMode::ALT_SCREEN | TermMode::ALTERNATE_SCROLL));
        let known = MODES.iter().fold(TermMode::NONE, |all, (mode, ..)| all | *mode);
        let is_shown = modes.contains(TermMode::SHOW_CURSOR);
        // Where one is that nobody sees is no news.
        let at = if is_shown { grid.cursor.point } else { Point::new(line(corner.row), columns.start) };
        let at = Point::new(at.line - corner.row, at.column - corner.column);
        let cursor = Cursor { at, style: term.cursor_style(), is_shown };
        Self { model: (term.screen_lines(), term.columns()), rows, cursor, modes: modes & known }
    }
}

impl Cursor {
    fn paint(&self, out: &mut String, before: Option<&Self>) {
        if before.is_none_or(|before| before.style != self.style) {
            let blinks = u8::from(self.style.blinking);
            let style = match self.style.shape {
                CursorShape::Underline => 4 - blinks,
                CursorShape::Beam => 6 - blinks,
                _ if self.style.blinking => 1,
                // As the person likes it.
                _ => 0,
            };
            let _ = write!(out, "\x1b[{style} q");
        }
        if self.is_shown {
            let _ = write!(out, "\x1b[{};{}H\x1b[?25h", self.at.line.0 + 1, self.at.column.0 + 1);
        }
    }
}

/// What goes off goes first, for it takes along what replaced it.
fn paint_modes(out: &mut String, before: Option<TermMode>, now: TermMode) {
    let changed = before.map_or(TermMode::ANY, |before| before ^ now);
    let news = || MODES.iter().filter(move |(mode, ..)| changed.contains(*mode));
    out.extend(news().filter(|(mode, ..)| !now.contains(*mode)).map(|(_, _, off)| *off));
    out.extend(news().filter(|(mode, ..)| now.contains(*mode)).map(|(_, on, _)| *on));
}

fn paint_line(out: &mut String, cells: &[Cell]) {
    let end = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
    let mut pen = Pen::default();
    out.push_str("\x1b[0m");
    for (column, cell) in cells[..end].iter().enumerate() {
        let is_second_half = cell.flags.contains(Flags::WIDE_CHAR_SPACER);
        if is_second_half && column > 0 {
            continue;
        }
        let next = Pen::of(cell);
        if next != pen {
            next.take_up(out);
            pen = next;
        }
        // Half a wide character does not fit.
        let is_cut = cell.flags.contains(Flags::WIDE_CHAR) && column + 1 == cells.len();
        out.push(if cell.c.is_control() || is_cut { ' ' } else { cell.c });
        out.extend(cell.zerowidth().into_iter().flatten().filter(|mark| !mark.is_control()));
    }
    if end < cells.len() {
        out.push_str("\x1b[0m\x1b[K");
    }
}

/// How a character looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pen {
    foreground: Color,
    background: Color,
    flags: Flags,
}

impl Default for Pen {
    fn default() -> Self {
        let (foreground, background) = (Color::Named(NamedColor::Foreground), Color::Named(NamedColor::Background));
        Self { foreground, background, flags: Flags::empty() }
    }
}

impl Pen {
    /// Each with its number.
    const LOOKS: [(Flags, u8); 7] = [
        (Flags::BOLD, 1),
        (Flags::DIM, 2),
        (Flags::ITALIC, 3),
        (Flags::ALL_UNDERLINES, 4),
        (Flags::INVERSE, 7),
        (Flags::HIDDEN, 8),
        (Flags::STRIKEOUT, 9),
    ];

    fn of(cell: &Cell) -> Self {
        let looks = Self::LOOKS.iter().fold(Flags::empty(), |all, (flag, _)| all | *flag);
        Self { foreground: cell.fg, background: cell.bg, flags: cell.flags & looks }
    }

    fn take_up(self, out: &mut String) {
        out.push_str("\x1b[0");
        for (_, number) in Self::LOOKS.iter().filter(|(flag, _)| self.flags.intersects(*flag)) {
            let _ = write!(out, ";{number}");
        }
        paint_colour(out, self.foreground, 30);
        paint_colour(out, self.background, 40);
        out.push('m');
    }
}

/// `base` is 30 for the foreground and 40 for the background.
fn paint_colour(out: &mut String, colour: Color, base: u16) {
    // Writing to a text does not fail.
    let _ = match colour {
        Color::Named(name) => match name as u16 {
            plain @ 0..=7 => write!(out, ";{}", base + plain),
            bright @ 8..=15 => write!(out, ";{}", base + 60 + bright - 8),
            dim if (NamedColor::DimBlack as u16..=NamedColor::DimWhite as u16).contains(&dim) => {
                write!(out, ";{}", base + dim - NamedColor::DimBlack as u16)
            }
            // The terminal's own.
            _ => Ok(()),
        },
        Color::Indexed(index) => write!(out, ";{};5;{index}", base + 8),
        Color::Spec(rgb) => write!(out, ";{};2;{};{};{}", base + 8, rgb.r, rgb.g, rgb.b),
    };
}

#[cfg(test)]
#[path = "paint_tests.rs"]
mod tests;
