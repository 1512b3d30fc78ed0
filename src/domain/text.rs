//! Text that is shown.

/// Makes text safe for a terminal: control characters other than line ends and tabs become visible.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_the_rest_stays() {
        assert_eq!(printable("a\tb\nü 🦀\u{1b}[31m\r\u{9b}"), "a\tb\nü 🦀\u{fffd}[31m\u{fffd}\u{fffd}");
    }
}
