//! The one writer to the user: data to stdout, talk to stderr.

use std::io::{self, Write};
use std::os::fd::AsFd;

use serde::Serialize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::error::CliError;
pub(super) use crate::domain::text::printable;
use crate::ports::text_hooks::HookAnswer;

/// What the escapes of colours begin with.
const ESCAPE: char = '\u{1b}';
/// Ends all colours.
pub(super) const PLAIN: &str = "\u{1b}[0m";

/// Writes data to stdout. A reader that went away (`ao ls | head`) is no failure.
pub(super) fn data(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes what a hook answers to its agent. Whether that was all written is what the agent being handed it depends on.
pub(super) fn answer(answer: &HookAnswer) -> io::Result<()> {
    for (text, mut to) in [
        (&answer.stdout, Box::new(io::stdout().lock()) as Box<dyn Write>),
        (&answer.stderr, Box::new(io::stderr().lock())),
    ] {
        to.write_all(text.as_bytes())?;
        to.flush()?;
    }
    Ok(())
}

/// Waits until nobody reads the pipe that stdout is any more. For ever where stdout is none.
pub(super) async fn reader_gone() {
    if let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned() {
        #[allow(
            deprecated,
            reason = "sound for a handle that is owned here; what replaces it is for others, and unsafe"
        )]
        let stdout = AsyncFd::with_interest(stdout, Interest::ERROR);
        if let Ok(stdout) = stdout
            && stdout.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Writes a value to stdout as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::failed(format!("cannot write this as JSON: {error}")))?;
    text.push('\n');
    data(&text)
}

/// Writes a value to stdout as JSON on one line, for those who read one after the other.
pub(super) fn json_line(value: &impl Serialize) -> Result<(), CliError> {
    data(&format!("{}\n", json_text(value)?))
}

/// A value as JSON, on one line without its end.
pub(super) fn json_text(value: &impl Serialize) -> Result<String, CliError> {
    serde_json::to_string(value).map_err(|error| CliError::failed(format!("cannot write this as JSON: {error}")))
}

/// Says a line on stderr.
pub(super) fn talk(line: &str) {
    // There is nowhere left to complain to when stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// How much of a text is shown in a table, in columns, where that is not fitted to a terminal: for whoever wants all of it there is JSON.
pub(super) const MAX_TEXT: usize = 120;

/// How many blanks are between two columns.
const GAP: usize = 2;

/// Lays rows out in columns, two spaces apart; the last column runs free.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let widths = widths(header, rows);
    let mut text = String::new();
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width + GAP - self::width(cell)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The same in no more than `width` columns of a terminal, where it would wrap. The columns `gives_way` are cut for that, each before the
/// next and to no less than the width beside it; when that is not enough, the lines are.
pub(super) fn table_within(
    width: usize,
    gives_way: &[(usize, usize)],
    header: &[&str],
    rows: &[Vec<String>],
) -> String {
    let mut widths = widths(header, rows);
    let needed = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let mut excess = needed.saturating_sub(width);
    for &(column, least) in gives_way {
        let least = least.max(self::width(header[column]));
        let given = excess.min(widths[column].saturating_sub(least));
        widths[column] -= given;
        excess -= given;
    }
    let fit = |row: &Vec<String>| row.iter().zip(&widths).map(|(cell, width)| cut(cell, *width)).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(fit).collect();
    table(header, &rows).lines().map(|line| cut(line, width) + "\n").collect()
}

/// How wide each column is.
fn widths(header: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| self::width(&row[column]));
        cells.chain([self::width(header[column])]).max().unwrap_or(0)
    };
    (0..header.len()).map(width).collect()
}

/// Makes text show as it is: besides what is not [`printable`], characters that take no room or change the direction of
/// writing are spelled out, so that nothing hides and nothing stands where it does not belong.
pub(super) fn unmistakable(text: &str) -> String {
    let hides = |c: char| {
        matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
            // What joins or varies others, and letters that are blank.
            || matches!(c, '\u{34f}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}')
            || matches!(c, '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}')
    };
    let mut shown = String::new();
    for c in text.chars() {
        if hides(c) || c.is_control() && c != '\n' && c != '\t' {
            shown.push_str(&format!("<U+{:04X}>", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// How many columns of a terminal a text takes that has no control characters but the escapes of [`Colours`](super::colours::Colours).
pub(super) fn width(text: &str) -> usize {
    if !text.contains(ESCAPE) {
        return text.width();
    }
    let mut pieces = text.split(ESCAPE);
    let before = pieces.next().map_or(0, UnicodeWidthStr::width);
    before + pieces.map(|piece| piece.split_once('m').map_or(0, |(_, text)| text.width())).sum::<usize>()
}

/// The first line of a text, cut to `width` columns. What follows it shows as `…`.
pub(super) fn first_line(text: &str, width: usize) -> String {
    let line = printable(text.trim_start().lines().next().unwrap_or_default());
    if text.trim().lines().count() <= 1 {
        return cut(&line, width);
    }
    cut(&format!("{line}…"), width)
}

/// A line cut to `width` columns, with `…` at its end where something was left out. A tab is a blank.
pub(super) fn cut(line: &str, width: usize) -> String {
    let line = line.replace('\t', " ");
    if self::width(&line) <= width {
        return line;
    }
    let mut cut = String::new();
    let mut is_escape = false;
    for c in line.chars() {
        is_escape |= c == ESCAPE;
        // With room for the mark.
        if !is_escape && self::width(&cut) + c.width().unwrap_or(0) >= width {
            break;
        }
        cut.push(c);
        is_escape &= c != 'm';
    }
    cut.push('…');
    if cut.contains(ESCAPE) {
        cut.push_str(PLAIN);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_in_blanks() {
        let rows = [["a", "long cell"], ["grün", "x"], ["漢字", "y"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&["ID", "TEXT"], &rows), "ID    TEXT\na     long cell\ngrün  x\n漢字  y\n");
    }

    fn rows(rows: &[[&str; 3]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect()
    }

    #[test]
    fn a_table_gives_way_column_by_column_and_never_wraps() {
        let rows = rows(&[["app-1", "ao/a-long-branch", "a long task"], ["app-2", "漢字漢字漢字", "漢字"]]);
        let table = |width| table_within(width, &[(2, 6), (1, 8)], &["ID", "BRANCH", "TASK"], &rows);
        assert_eq!(table(80), super::table(&["ID", "BRANCH", "TASK"], &rows), "there is room");
        assert_eq!(
            table(34),
            "ID     BRANCH            TASK\napp-1  ao/a-long-branch  a long t…\napp-2  漢字漢字漢字      漢字\n"
        );
        assert_eq!(table(24), "ID     BRANCH     TASK\napp-1  ao/a-lon…  a lon…\napp-2  漢字漢字…  漢字\n");
        for narrow in 1..40 {
            assert!(table(narrow).lines().all(|line| width(line) <= narrow), "{narrow}: {}", table(narrow));
        }
    }

    #[test]
    fn colours_take_no_room_and_end_where_a_line_is_cut() {
        let painted = "ab\u{1b}[31mcdef\u{1b}[0mg";
        assert_eq!(width(painted), 7);
        assert_eq!(cut(painted, 7), painted);
        assert_eq!(cut(painted, 4), "ab\u{1b}[31mc…\u{1b}[0m");
        assert_eq!(cut(painted, 2), "a…");
    }

    #[test]
    fn a_cut_counts_columns() {
        assert_eq!(cut("12345", 5), "12345");
        assert_eq!(cut("123456", 5), "1234…");
        assert_eq!(cut("漢字漢", 5), "漢字…");
        assert_eq!(cut("漢字漢", 4), "漢…");
        assert_eq!(cut("long", 1), "…");
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\tc\n"), "a\u{fffd}[31mb\tc\n");
        assert_eq!(unmistakable("a\u{1b}[2K\u{202e}b\u{200b}ö\t"), "a<U+001B>[2K<U+202E>b<U+200B>ö\t");
        for hidden in ['\u{34f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{fe0f}', '\u{e007f}', '\u{e01ef}'] {
            assert_eq!(unmistakable(&hidden.to_string()), format!("<U+{:04X}>", u32::from(hidden)));
        }
        assert_eq!(first_line("one two\nthree", 20), "one two…");
        assert_eq!(first_line("one two three", 6), "one t…");
        assert_eq!(first_line("short", 6), "short");
        assert_eq!(first_line("a\tb", 6), "a b");
    }
}
