//! Text that is shown.

/// Makes text safe for a terminal: control characters other than line ends and tabs become visible.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// The beginning of a text, at most so many characters of it, with `…` for what was left out.
#[must_use]
pub fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A text in one line, with one blank for each run of white space and none at its ends.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The end of a text on one line, at most so many characters of it, with `…` for what was left out.
#[must_use]
pub fn shortened(text: &str, at_most: usize) -> String {
    let line = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" / ");
    match line.char_indices().rev().nth(at_most.saturating_sub(1)) {
        Some((begin, _)) if begin > 0 => format!("…{}", &line[begin..]),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_beginning_is_left() {
        assert_eq!((cut("größer", 3), cut("größer", 6)), ("grö…".to_owned(), "größer".to_owned()));
        assert_eq!(one_line(" a\t b\n\nc "), "a b c");
    }

    #[test]
    fn of_a_long_text_the_end_is_left() {
        assert_eq!(shortened("a b\n\n  ü c ", 100), "a b / ü c");
        assert_eq!(shortened("äbcdef", 6), "äbcdef");
        assert_eq!(shortened("aäbcdef", 6), "…äbcdef");
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_the_rest_stays() {
        assert_eq!(printable("a\tb\nü 🦀\u{1b}[31m\r\u{9b}"), "a\tb\nü 🦀\u{fffd}[31m\u{fffd}\u{fffd}");
    }
}
