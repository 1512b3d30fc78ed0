//! What keeps the model of a terminal small, whatever the agent prints and whoever asks for a size.

use crate::ports::runtime::TerminalSize;

/// The most lines and columns. With its history such a model takes about 120 MB.
const MAX_ROWS: u16 = 500;
const MAX_COLS: u16 = 1_000;

/// The longest operating system command (`ESC ]`), in bytes: the model's parser collects all of it.
const MAX_COMMAND_BYTES: usize = 4 * 1024;

/// A size that a terminal can have: 1 to 500 lines, 1 to 1000 columns.
pub(super) fn bounded(size: TerminalSize) -> TerminalSize {
    TerminalSize { rows: size.rows.clamp(1, MAX_ROWS), cols: size.cols.clamp(1, MAX_COLS) }
}

/// Cuts operating system commands off at 4 KiB. The rest of such a command is left out, its end is not.
#[derive(Debug, Default)]
pub(super) struct CommandLimit(State);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Text, or a sequence that the parser does not collect.
    #[default]
    Other,
    /// After `ESC`.
    Escape,
    /// In a command, of which this many bytes came.
    Command(usize),
}

impl CommandLimit {
    /// The bytes of `output` to go on with.
    pub(super) fn apply(&mut self, output: &[u8]) -> Vec<u8> {
        output.iter().copied().filter(|byte| self.admits(*byte)).collect()
    }

    fn admits(&mut self, byte: u8) -> bool {
        const ESCAPE: u8 = 0x1b;
        const BELL: u8 = 0x07;
        const CANCEL: u8 = 0x18;
        const SUBSTITUTE: u8 = 0x1a;
        self.0 = match (self.0, byte) {
            (_, ESCAPE) => State::Escape,
            (_, CANCEL | SUBSTITUTE) | (State::Command(_), BELL) => State::Other,
            (State::Escape, b']') => State::Command(0),
            // Control characters take effect inside of a sequence, without ending it.
            (State::Escape, 0x00..=0x1f | 0x7f..) => State::Escape,
            (State::Escape | State::Other, _) => State::Other,
            (State::Command(MAX_COMMAND_BYTES), _) => return false,
            (State::Command(length), _) => State::Command(length + 1),
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_cut_off_and_what_follows_is_not() {
        for start in ["\x1b]0;", "\x1b\n]0;", "\x1b[1\x1b]0;"] {
            for end in ["\x07", "\x1b\\", "\x18"] {
                let mut limit = CommandLimit::default();
                let whole = format!("before{start}{}{end}after \x1b[31mred", "x".repeat(1_000_000));
                let kept: Vec<u8> = whole.as_bytes().chunks(7).flat_map(|piece| limit.apply(piece)).collect();
                let kept = String::from_utf8(kept).unwrap();
                assert!(kept.len() < MAX_COMMAND_BYTES + 50, "{} bytes", kept.len());
                assert!(kept.starts_with(&format!("before{start}xxx")));
                assert!(kept.ends_with(&format!("x{end}after \x1b[31mred")), "{:?}", &kept[kept.len() - 30..]);
            }
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        let other = format!(
            "\x1b]0;title\x07]text \u{e4}\x1b]8;;a\x1b\\{}\x1b[1;31m\x1bP{}\x1b\\",
            "x".repeat(9_000),
            "y".repeat(9_000)
        );
        assert!(CommandLimit::default().apply(other.as_bytes()) == other.as_bytes());
    }
}
