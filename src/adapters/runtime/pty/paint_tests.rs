//! What is painted is shown to a second model, which stands for the viewer's terminal.

use super::super::screen::Screen;
use super::*;

const SIZE: TerminalSize = TerminalSize { rows: 6, cols: 20 };

/// A viewer: its own terminal, and what is known of it.
struct Viewer {
    painter: Painter,
    terminal: Screen,
}

impl Viewer {
    fn new(size: TerminalSize) -> Self {
        let mut terminal = Screen::new(size);
        terminal.feed(b"\x1b[?1049h");
        // Whatever was there before.
        terminal.feed("\x1b[41mjunk \u{1f980}\r\n".repeat(usize::from(size.rows)).as_bytes());
        Self { painter: Painter::new(size), terminal }
    }

    /// Gives how many bytes it took.
    fn look(&mut self, screen: &Screen) -> usize {
        let Some(picture) = screen.paint(&mut self.painter) else { return 0 };
        assert!(self.terminal.feed(&picture).is_empty(), "it asked the viewer's terminal something");
        picture.len()
    }

    #[track_caller]
    fn sees(&mut self, screen: &Screen) {
        self.look(screen);
        // What is beyond the model stays blank.
        let mut theirs = Painter::new(SIZE);
        let mut mine = Painter::new(SIZE);
        screen.paint(&mut theirs);
        self.terminal.paint(&mut mine);
        let (theirs, mine) = (theirs.shown.unwrap(), mine.shown.unwrap());
        for (row, cells) in theirs.rows.iter().enumerate() {
            let look = |cells: &[Cell]| cells.iter().map(|cell| (cell.c, Pen::of(cell))).collect::<Vec<_>>();
            let seen = look(&mine.rows[row][..cells.len()]);
            assert_eq!(seen, look(cells), "line {row}");
        }
        assert_eq!((mine.cursor, mine.modes), (theirs.cursor, theirs.modes));
    }
}

#[test]
fn a_viewer_who_comes_late_sees_everything_and_then_every_change() {
    let mut screen = Screen::new(SIZE);
    let mut early = Viewer::new(SIZE);
    early.sees(&screen);
    for output in [
        "plain\r\n\x1b[1;31mred\x1b[0;38;5;200;48;2;1;2;3mmore\x1b[0m \x1b[4;7;9minverse",
        "\x1b[2;3Hover\x1b[K",
        "\r\n漢字 e\u{301} \u{1f980}\x1b[93;104mbright\x1b[2;3;8m.",
        "\x1b[?1049h\x1b[2J\x1b[5;5Hfull screen\x1b[?25l\x1b[?1h\x1b=\x1b[?2004h\x1b[?1002h\x1b[?1006h",
        "\x1b[?1003h\x1b[?1004h\x1b[4 q\x1b[?25h\x1b[1;1H",
        "\x1b[2;4r\x1b[4;1H\n\n\nscrolled",
        "\x1b[?1049l\x1b[?1003l\x1b[5 q",
        "01234567890123456789wrapped\x1b[6;20Hx",
    ] {
        screen.feed(output.as_bytes());
        early.sees(&screen);
        Viewer::new(SIZE).sees(&screen);
    }
}

#[test]
fn only_what_changed_is_written() {
    let mut screen = Screen::new(SIZE);
    screen.feed("x".repeat(80).as_bytes());
    let mut viewer = Viewer::new(SIZE);
    assert!(viewer.look(&screen) > 80);
    assert_eq!(viewer.look(&screen), 0);
    screen.feed(b"y");
    let change = viewer.look(&screen);
    assert!((1..100).contains(&change), "{change} bytes for a character");
}

#[test]
fn a_larger_terminal_shows_it_in_its_corner_and_a_smaller_one_as_much_as_it_has_room_for() {
    let mut screen = Screen::new(SIZE);
    screen.feed("first\r\n0123456789abcdef漢字\r\nthird\x1b[6;1Hlast".as_bytes());
    let mut large = Viewer::new(TerminalSize { rows: 9, cols: 30 });
    large.sees(&screen);
    assert_eq!(large.terminal.text(), "first\n0123456789abcdef漢字\nthird\n\n\nlast");
    let mut small = Viewer::new(TerminalSize { rows: 3, cols: 17 });
    small.look(&screen);
    assert_eq!(small.terminal.text(), "\n\nlast");
    // The model follows, and so does everybody.
    screen.resize(TerminalSize { rows: 3, cols: 17 });
    large.look(&screen);
    small.look(&screen);
    assert_eq!(large.terminal.text(), screen.text());
    assert_eq!(small.terminal.text(), screen.text());
    small.painter.resize(SIZE);
    small.terminal.resize(SIZE);
    small.sees(&screen);
}

#[test]
fn a_smaller_terminal_follows_the_cursor_no_further_than_it_has_to() {
    let mut screen = Screen::new(SIZE);
    screen.feed("row 0\r\nrow 1 and more of it\r\nrow 2\r\nrow 3\r\n漢字row 4\r\nrow 5\x1b[1;1H".as_bytes());
    let mut small = Viewer::new(TerminalSize { rows: 3, cols: 8 });
    let mut sees = |screen: &Screen, text: &str, (row, column): (i32, usize)| {
        small.look(screen);
        assert_eq!(small.terminal.text(), text);
        let mut mine = Painter::new(small.painter.size());
        small.terminal.paint(&mut mine);
        let cursor = mine.shown.unwrap().cursor;
        assert_eq!((cursor.at.line.0, cursor.at.column.0, cursor.is_shown), (row, column, true));
    };
    sees(&screen, "row 0\nrow 1 an\nrow 2", (0, 0));
    screen.feed(b"\x1b[3;8H");
    sees(&screen, "row 0\nrow 1 an\nrow 2", (2, 7));
    screen.feed(b"\x1b[4;9H");
    sees(&screen, "ow 1 and\now 2\now 3", (2, 7));
    screen.feed(b"\x1b[3;3H");
    sees(&screen, "ow 1 and\now 2\now 3", (1, 1));
    // Half a wide character is none.
    screen.feed(b"\x1b[6;3H");
    sees(&screen, "ow 3\n 字row 4\now 5", (2, 1));
    screen.feed(b"\x1b[6;1H");
    sees(&screen, "row 3\n漢字row\nrow 5", (2, 0));
    screen.feed(b"\x1b[2;20H!");
    sees(&screen, "re of i!", (0, 7));
}
