//! What is typed at a terminal that was taken over, up to the key that gives it back.
//!
//! That key may stand in what is pasted, where it was pressed by nobody. So the terminal is always asked to mark pastes (bracketed paste), and
//! the marks are taken out again for an agent that did not ask for them.

/// Asks the terminal to mark pastes, and no more.
pub(super) const MARK_PASTES: &str = "\u{1b}[?2004h";
const MARK_NO_PASTES: &str = "\u{1b}[?2004l";

const BEGIN: &[u8] = b"\x1b[200~";
const END: &[u8] = b"\x1b[201~";

/// Whether the agent wants pastes to be marked from this picture on; `None` when the picture does not say. Pictures hold such a sequence as a whole,
/// and never as text.
pub(super) fn wants_marks(picture: &[u8]) -> Option<bool> {
    let last = |sequence: &str| picture.windows(sequence.len()).rposition(|part| part == sequence.as_bytes());
    match (last(MARK_PASTES), last(MARK_NO_PASTES)) {
        (None, None) => None,
        (on, off) => Some(on > off),
    }
}

/// What was typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Typed {
    /// For the agent.
    pub(super) bytes: Vec<u8>,
    /// Whether the key that detaches came after it. What came behind that is for nobody.
    pub(super) is_last: bool,
}

/// Knows how far into a paste the keyboard is.
#[derive(Debug)]
pub(super) struct Keyboard {
    detach: u8,
    is_pasting: bool,
    /// How much of the next mark has come.
    begun: usize,
    /// Whether that was not given on yet; decided at the beginning of each mark.
    is_held: bool,
    /// Whether the marks of the paste are for the agent.
    is_marked: bool,
}

impl Keyboard {
    /// One where this byte detaches, pressed as a key. It is not Escape.
    pub(super) fn new(detach: u8) -> Self {
        Self { detach, is_pasting: false, begun: 0, is_held: false, is_marked: false }
    }

    /// Takes what the terminal gave, in pieces of any size. `wants_marks` says whether the agent asked for marks.
    pub(super) fn hear(&mut self, bytes: &[u8], wants_marks: bool) -> Typed {
        let mut typed = Typed::default();
        for &byte in bytes {
            if !self.is_mark(byte, wants_marks, &mut typed.bytes) {
                if byte == self.detach && !self.is_pasting {
                    typed.is_last = true;
                    break;
                }
                typed.bytes.push(byte);
            }
        }
        typed
    }

    /// Whether the byte belongs to a mark, as far as can be seen; what turned out to be none is given on.
    fn is_mark(&mut self, byte: u8, wants_marks: bool, typed: &mut Vec<u8>) -> bool {
        let mark = if self.is_pasting { END } else { BEGIN };
        if mark.get(self.begun) != Some(&byte) {
            typed.append(&mut self.held());
            self.begun = 0;
            if byte != mark[0] {
                return false;
            }
        }
        if self.begun == 0 {
            let passes = if self.is_pasting { self.is_marked } else { wants_marks };
            self.is_held = !passes;
        }
        self.begun += 1;
        if !self.is_held {
            typed.push(byte);
        }
        if self.begun == mark.len() {
            self.is_pasting = !self.is_pasting;
            self.is_marked = !self.is_held;
            self.begun = 0;
        }
        true
    }

    /// Whether something is held back that may be a key by itself, as Escape: the rest of a mark would follow at once.
    pub(super) fn holds_a_key(&self) -> bool {
        self.begun > 0 && self.is_held && !self.is_pasting
    }

    /// What was held back, for nothing followed.
    pub(super) fn let_go(&mut self) -> Vec<u8> {
        let held = self.held();
        self.begun = 0;
        held
    }

    fn held(&self) -> Vec<u8> {
        let mark = if self.is_pasting { END } else { BEGIN };
        if self.is_held { mark[..self.begun].to_vec() } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DETACH: u8 = 0x1c;

    /// What a keyboard gives on of this, in pieces of that size.
    fn hear(bytes: &[u8], piece: usize, wants_marks: bool) -> (Vec<u8>, bool) {
        let mut keyboard = Keyboard::new(DETACH);
        let mut given = Vec::new();
        for piece in bytes.chunks(piece) {
            let typed = keyboard.hear(piece, wants_marks);
            given.extend(typed.bytes);
            if typed.is_last {
                return (given, true);
            }
        }
        given.extend(keyboard.let_go());
        (given, false)
    }

    #[test]
    fn what_came_before_the_key_is_typed_and_what_came_behind_it_is_not() {
        assert_eq!(hear(b"ab\x1ccd", 99, true), (b"ab".to_vec(), true));
        assert_eq!(hear(b"\x1c", 99, true), (Vec::new(), true));
        assert_eq!(hear(b"\x1b\x1cx", 99, false), (b"\x1b".to_vec(), true), "Esc, and then the key");
        assert_eq!(hear(b"\x1b[20\x1cx", 1, false), (b"\x1b[20".to_vec(), true));
    }

    #[test]
    fn a_paste_detaches_nobody_however_it_comes() {
        let pasted = b"a\x1b[200~one\x1ctwo\x1b[200~\x1b[20\x1b\x1c\x1b[201~b";
        let without = b"aone\x1ctwo\x1b[200~\x1b[20\x1b\x1cb";
        for piece in 1..=pasted.len() {
            assert_eq!(hear(pasted, piece, true), (pasted.to_vec(), false), "in pieces of {piece}");
            assert_eq!(hear(pasted, piece, false), (without.to_vec(), false), "in pieces of {piece}");
            let then = [&pasted[..], b"\x1c!"].concat();
            assert_eq!(hear(&then, piece, false), (without.to_vec(), true), "in pieces of {piece}");
        }
    }

    #[test]
    fn other_keys_go_by_as_they_are() {
        let keys = b"\x1b[A\x1bOB\x1b[1;5C\x1b[2~\x1b[201~\x1b\x1b[200x\x1b[<0;1;2M\xff\0";
        for piece in 1..keys.len() {
            assert_eq!(hear(keys, piece, true), (keys.to_vec(), false));
            assert_eq!(hear(keys, piece, false), (keys.to_vec(), false));
        }
    }

    #[test]
    fn a_key_waits_for_a_mark_only_where_marks_are_taken_out() {
        let mut keyboard = Keyboard::new(DETACH);
        assert_eq!(keyboard.hear(b"\x1b", true).bytes, b"\x1b");
        assert!(!keyboard.holds_a_key());
        let mut keyboard = Keyboard::new(DETACH);
        assert_eq!(keyboard.hear(b"\x1b", false).bytes, b"");
        assert!(keyboard.holds_a_key());
        assert_eq!(keyboard.let_go(), b"\x1b");
        assert!(!keyboard.holds_a_key());
        assert_eq!(keyboard.hear(b"[200~", false).bytes, b"[200~");
        // In a paste the rest comes, however late.
        keyboard.hear(b"\x1b[200~x\x1b[2", false);
        assert!(!keyboard.holds_a_key());
        assert_eq!(keyboard.hear(b"01~y", false).bytes, b"y");
    }

    #[test]
    fn an_agent_that_changes_its_mind_within_a_paste_is_given_both_marks_or_none() {
        let mut keyboard = Keyboard::new(DETACH);
        assert_eq!(keyboard.hear(b"\x1b[200~a", true).bytes, b"\x1b[200~a");
        assert_eq!(keyboard.hear(b"\x1b[201~", false).bytes, b"\x1b[201~");
        assert_eq!(keyboard.hear(b"\x1b[200~a", false).bytes, b"a");
        assert_eq!(keyboard.hear(b"\x1b[201~b", true).bytes, b"b");
    }

    #[test]
    fn a_picture_tells_what_the_agent_wants() {
        assert_eq!(wants_marks(b"\x1b[?2026htext\x1b[?2026l"), None);
        assert_eq!(wants_marks(b"\x1b[?2004lx\x1b[?2004hy"), Some(true));
        assert_eq!(wants_marks(b"\x1b[?2004hx\x1b[?2004l"), Some(false));
    }
}
