//! The one writer to the user: data to stdout, talk to stderr.

use std::io::{self, Write};

use serde::Serialize;

use super::error::CliError;

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

/// Writes a value to stdout as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::failed(format!("cannot write this as JSON: {error}")))?;
    text.push('\n');
    data(&text)
}

/// Writes a value to stdout as JSON on one line, for those who read one after the other.
pub(super) fn json_line(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(value)
        .map_err(|error| CliError::failed(format!("cannot write this as JSON: {error}")))?;
    data(&format!("{text}\n"))
}

/// Says a line on stderr.
pub(super) fn talk(line: &str) {
    // There is nowhere left to complain to when stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Lays rows out in columns, two spaces apart; the last column runs free.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Makes text safe for a terminal: control characters other than line ends and tabs become visible.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// The first line of a text, cut to `width` characters.
pub(super) fn first_line(text: &str, width: usize) -> String {
    let line = printable(text.trim_start().lines().next().unwrap_or_default());
    if line.chars().count() <= width && text.trim().lines().count() <= 1 {
        return line;
    }
    let mut cut: String = line.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_in_blanks() {
        let rows = vec![vec!["a".to_owned(), "long cell".to_owned()], vec!["grün".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["ID", "TEXT"], &rows), "ID    TEXT\na     long cell\ngrün  x\n");
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\tc\n"), "a\u{fffd}[31mb\tc\n");
        assert_eq!(first_line("one two\nthree", 20), "one two…");
        assert_eq!(first_line("one two three", 6), "one t…");
        assert_eq!(first_line("short", 6), "short");
    }
}
