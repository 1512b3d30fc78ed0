//! What a screen shows of text that was pasted at a prompt.
//!
//! Terminals and agents wrap text, expand tabs, draw boxes around it and show some characters as others. So only letters, digits and ASCII
//! signs are compared, wherever lines end. What stands beside the text is compared as it is: it is somebody else's.

use crate::ports::terminal_input::Echo;

/// How many characters at the end of a text must be on the screen in one piece.
const TAIL: usize = 24;

/// A text of at most this many characters is on the screen as a whole, or it is not it. Of a longer one the beginning may have left it.
const WHOLE: usize = 200;

/// Whether the text stands at the prompt and nothing else does that did not before.
///
/// `prompt` are the last lines of the screen, those that hold anything, as they were before.
pub(super) fn of(prompt: &str, screen: &str, text: &str) -> Echo {
    let lines: Vec<&str> = screen.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let prompt: Vec<&str> = prompt.lines().collect();
    match find(&lines, text).filter(|found| found.is_alone(&lines, &prompt)) {
        Some(found) if found.is_whole => Echo::Alone,
        Some(_) => Echo::Similar,
        None => Echo::Other,
    }
}

/// A character of the screen: its line, and where in that it begins and ends.
#[derive(Debug, Clone, Copy)]
struct Shown {
    letter: char,
    line: usize,
    begin: usize,
    end: usize,
}

/// Where the text was found last.
struct Found<'text> {
    first: Shown,
    last: Shown,
    /// Whether it is all of it.
    is_whole: bool,
    /// Whether nothing is above it.
    is_at_top: bool,
    /// What the text begins and ends with that is not compared.
    edges: [&'text str; 2],
}

fn find<'text>(lines: &[&str], text: &'text str) -> Option<Found<'text>> {
    let has_letters = text.chars().any(is_compared);
    // One of other signs only is compared by these.
    let counts = |c: char| if has_letters { is_compared(c) } else { !c.is_whitespace() };
    let wanted: Vec<char> = text.chars().filter(|c| counts(*c)).collect();
    let shown: Vec<Shown> = lines
        .iter()
        .enumerate()
        .flat_map(|(line, content)| {
            content.char_indices().map(move |(begin, letter)| Shown {
                letter,
                line,
                begin,
                end: begin + letter.len_utf8(),
            })
        })
        .filter(|shown| counts(shown.letter))
        .collect();
    let tail = &wanted[wanted.len().saturating_sub(TAIL)..];
    let end = (tail.len()..=shown.len())
        .rev()
        .find(|end| shown[end - tail.len()..*end].iter().map(|shown| shown.letter).eq(tail.iter().copied()))?;
    let common =
        shown[..end].iter().rev().zip(wanted.iter().rev()).take_while(|(shown, c)| shown.letter == **c).count();
    let begin = text.find(counts).unwrap_or(0);
    let after = text.rfind(counts).map_or(0, |last| last + text[last..].chars().next().map_or(0, char::len_utf8));
    Some(Found {
        first: *shown.get(end - common)?,
        last: *shown.get(end.checked_sub(1)?)?,
        is_whole: common == wanted.len(),
        is_at_top: common == end,
        edges: [&text[..begin], &text[after..]],
    })
    .filter(|found| found.is_whole || wanted.len() > WHOLE)
}

impl Found<'_> {
    fn is_alone(&self, lines: &[&str], prompt: &[&str]) -> bool {
        let Self { first, last, .. } = self;
        let [head, tail] = self.edges.map(without_blanks);
        let before = without_blanks(&lines[first.line][..first.begin]);
        let after = without_blanks(&lines[last.line][last.end..]);
        let after = after.strip_prefix(&tail).unwrap_or(&after);
        let prompt: Vec<String> = prompt.iter().map(|line| without_blanks(line)).collect();
        let below = lines.len() - 1 - last.line;
        // What a box has on its right, and status lines, were there before.
        if !(after.is_empty() || prompt.iter().any(|line| line.ends_with(after))) {
            return false;
        }
        if !self.is_whole {
            let is_the_prompts = before.is_empty() || prompt.iter().any(|line| line.starts_with(&before));
            return below < prompt.len() && (self.is_at_top || is_the_prompts);
        }
        let before = before.strip_suffix(&head).unwrap_or(&before);
        let above = |count: usize| {
            let shown = lines[..first.line].iter().rev().map(|line| without_blanks(line));
            shown.zip(prompt[..count].iter().rev()).all(|(shown, line)| shown == *line)
        };
        if before.is_empty() {
            // Below the prompt, which is a line of its own; else it is where a draft went on in a new line.
            return below == 0 && first.line > 0 && above(prompt.len());
        }
        (0..prompt.len()).any(|at| prompt[at].starts_with(before) && above(at) && below < prompt.len() - at)
    }
}

fn is_compared(c: char) -> bool {
    c.is_alphanumeric() || c.is_ascii_graphic()
}

fn without_blanks(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}
