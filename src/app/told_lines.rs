//! What is new in a text that is read again and again, of which the beginning goes and the end changes.

/// How many lines at the end of a text without numbers may change in their places: those of a screen.
const SCREEN_LINES: usize = 500;

/// How many rows a terminal may keep, less what is not counted alike everywhere. A text that may have so many may have lost some.
const FULL_ROWS: usize = 4_500;
/// A row has no fewer columns, as a rule: more is not known of terminals of other programs.
const ROW_COLUMNS: usize = 20;

/// How many lines a place is known by.
const MARKED_LINES: usize = 16;

/// A text as it is now. Each line has a number and keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// The number of the first line.
    pub(super) first: u64,
    pub(super) lines: Vec<String>,
    /// Lines before this number never change.
    pub(super) settled: u64,
    /// Whether the last line is the last there is now.
    pub(super) is_last: bool,
}

/// What was told of a text.
#[derive(Debug, Default)]
pub(super) struct ToldLines {
    /// The number of the first line of these.
    first: u64,
    /// What may still change, as it was told.
    lines: Vec<String>,
    /// The last line, which may be half written, when it was not told.
    held_back: Option<String>,
}

impl ToldLines {
    /// The number after the last line that was told.
    pub(super) fn next(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// The number of the first line that may still change.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The end of what was told, by which it is found again where lines have no numbers of their own.
    pub(super) fn mark(&self) -> u64 {
        mark(&self.lines)
    }

    /// Begins with a text of which the lines before number `told_to` are known already.
    pub(super) fn begin(&mut self, look: &Look, told_to: u64) {
        let told = usize::try_from(told_to.saturating_sub(look.first)).unwrap_or(usize::MAX);
        self.first = look.first;
        self.lines = look.lines[..told.min(look.lines.len())].to_vec();
        self.held_back = None;
    }

    /// The lines to tell of the text as it is now. Its last one is held back until it stays, or is not the last any more; `is_final` says
    /// that nothing follows.
    pub(super) fn news(&mut self, look: Look, is_final: bool) -> Vec<String> {
        let Look { first, lines: mut now, settled, is_last } = look;
        let known = |number: u64| {
            let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
            at.and_then(|at| self.lines.get(at))
        };
        // A line that came back on to a screen that became larger has been told.
        let is_told = |at: usize, line: &String| {
            let number = first + at as u64;
            number < self.first || known(number) == Some(line)
        };
        let stays = |last: &String| is_told(now.len() - 1, last) || self.held_back.as_ref() == Some(last);
        let is_whole = is_final || !is_last || now.last().is_none_or(stays);
        let news_to = if is_whole { now.len() } else { now.len() - 1 };
        let news = now[..news_to].iter().enumerate().filter(|(at, line)| !is_told(*at, line));
        let news = news.map(|(_, line)| line.clone()).collect();
        self.held_back = if is_whole { None } else { now.pop() };
        let settled = usize::try_from(settled.saturating_sub(first)).unwrap_or(usize::MAX).min(now.len());
        self.first = first + settled as u64;
        self.lines = now.split_off(settled);
        news
    }

    /// Numbers the lines of a text that have none, by what was told of it before. False beside it where it cannot be told what went by.
    pub(super) fn number(&self, text: &str) -> (Look, bool) {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let (gone, is_sure) = self.gone(&lines);
        let first = self.first + gone as u64;
        (Look { first, lines, settled: first, is_last: true }, is_sure || !may_be_full(text))
    }

    /// How many lines went at the beginning: the fewest with which what is left is as it was, but for a screen's lines. And whether that is
    /// beyond doubt: of a screen's lines alone at least half must be as they were.
    fn gone(&self, now: &[String]) -> (usize, bool) {
        let in_common =
            |gone: usize| self.lines[gone..].iter().zip(now).take_while(|(before, now)| before == now).count();
        let mut most = (0, 0);
        for gone in 0..self.lines.len() {
            let common = in_common(gone);
            let overlap = (self.lines.len() - gone).min(now.len());
            if common >= overlap.saturating_sub(SCREEN_LINES).max(1) {
                return (gone, gone == 0 || overlap > SCREEN_LINES || common * 2 > overlap);
            }
            if common > most.0 {
                most = (common, gone);
            }
        }
        // Nothing is as it was: all of it is another text, further on.
        if most.0 == 0 { (self.lines.len(), false) } else { (most.1, false) }
    }
}

/// The place in a text without numbers up to which it was told, where that can be found: by the lines before it, or where none went of the text yet, by
/// their number.
pub(super) fn place(text: &str, told: u64, marked: u64) -> Option<u64> {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let found = (0..=lines.len()).rev().find(|end| mark(&lines[..*end]) == marked && (*end > 0 || told == 0));
    let by_number = || usize::try_from(told).ok().filter(|told| *told <= lines.len() && !may_be_full(text));
    found.or_else(by_number).map(|place| place as u64)
}

/// Tells the ends of texts apart (FNV-1a).
fn mark(lines: &[String]) -> u64 {
    let from = lines.len().saturating_sub(MARKED_LINES);
    let bytes = lines[from..].iter().flat_map(|line| line.bytes().chain([b'\n']));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Whether a text may have as many rows as terminals keep.
fn may_be_full(text: &str) -> bool {
    text.lines().map(|line| 1 + line.len() / ROW_COLUMNS).sum::<usize>() >= FULL_ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(from: usize, to: usize) -> String {
        (from..to).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n")
    }

    fn news(told: &mut ToldLines, text: &str, is_final: bool) -> Vec<String> {
        let (look, _) = told.number(text);
        told.news(look, is_final)
    }

    #[test]
    fn each_line_is_told_once_and_one_that_is_half_written_later() {
        let mut told = ToldLines::default();
        assert_eq!(news(&mut told, "one\ntwo\nthr", false), ["one", "two"]);
        assert_eq!(news(&mut told, "one\ntwo\nthree\nfour", false), ["three"]);
        assert_eq!(news(&mut told, "one\ntwo\nthree\nfour", false), ["four"], "it stayed");
        for _ in 0..3 {
            assert!(news(&mut told, "one\ntwo\nthree\nfour", false).is_empty());
        }
        assert_eq!(news(&mut told, "one\ntwo\nthree\nfour\nsame\nsame\nsame", false), ["same", "same"]);
        assert_eq!(news(&mut told, "one\ntwo\nthree\nfour\nsame\nsame\nsame\nend", true), ["same", "end"]);
    }

    #[test]
    fn what_goes_at_the_beginning_is_not_told_again() {
        let mut told = ToldLines::default();
        assert_eq!(news(&mut told, &numbered(0, 5000), true).len(), 5000);
        assert_eq!(news(&mut told, &numbered(1200, 6200), true), numbered(5000, 6200).lines().collect::<Vec<_>>());
        // More went than was there before.
        assert_eq!(news(&mut told, &numbered(9000, 9700), true).len(), 700);
        assert_eq!(news(&mut told, &numbered(9000, 9701), true), ["line 9700"]);
    }

    #[test]
    fn of_a_screen_those_that_changed_are_told() {
        let mut told = ToldLines::default();
        let screen = |spinner: &str| format!("head\n{spinner} working\nfoot\n");
        assert_eq!(news(&mut told, &screen("|"), true), ["head", "| working", "foot"]);
        assert_eq!(news(&mut told, &screen("/"), true), ["/ working"]);
        assert!(news(&mut told, "head\n", true).is_empty());
    }

    #[test]
    fn it_is_known_when_lines_may_have_gone_by_and_when_not() {
        let is_sure = |before: &str, now: &str| {
            let mut told = ToldLines::default();
            news(&mut told, before, true);
            told.number(now).1
        };
        assert!(is_sure("", &numbered(0, 300)), "there is room for all there was");
        assert!(is_sure(&numbered(0, 5000), &numbered(4000, 9000)));
        assert!(is_sure(&numbered(0, 5000), &numbered(4990, 9990)), "the last ten are still there");
        for (before, now) in [
            (numbered(0, 5000), numbered(5000, 10_000)),
            (numbered(0, 9), numbered(9000, 14_000)),
            (String::new(), numbered(9000, 14_000)),
            // A line that happens to be the same proves nothing.
            (numbered(0, 5000) + "\nsame\n" + &numbered(0, 40), "same\n".to_owned() + &numbered(9000, 14_000)),
        ] {
            assert!(!is_sure(&before, &now));
        }
        assert!(is_sure(&numbered(0, 5000), &numbered(0, 20)), "the program cleared it");
    }

    #[test]
    fn a_place_is_found_again_by_what_stands_before_it() {
        let mut told = ToldLines::default();
        news(&mut told, &numbered(0, 3000), true);
        let (next, mark) = (told.next(), told.mark());
        assert_eq!(place(&numbered(0, 3000), next, mark), Some(3000));
        assert_eq!(place(&numbered(0, 3500), next, mark), Some(3000));
        assert_eq!(place(&numbered(2000, 7000), next, mark), Some(1000), "the numbers of such a text say nothing");
        assert_eq!(place(&numbered(3000, 8000), next, mark), None);
        // The screen was drawn anew, but nothing went.
        assert_eq!(place("a\nb\nc", 2, 7), Some(2));
        let nothing = ToldLines::default();
        assert_eq!(place("a\nb\nc", nothing.next(), nothing.mark()), Some(0));
    }

    #[test]
    fn lines_with_numbers_are_told_by_them_alone() {
        let mut told = ToldLines::default();
        let look = |first: u64, lines: &[&str], settled| {
            let lines = lines.iter().map(|line| (*line).to_owned()).collect();
            Look { first, lines, settled, is_last: true }
        };
        assert_eq!(told.news(look(0, &["same", "same", "same"], 1), true), ["same"; 3]);
        assert_eq!((told.first(), told.next()), (1, 3));
        assert_eq!(told.news(look(1, &["same", "same", "same", "same"], 3), true), ["same"; 2]);
        // A larger screen has lines again that had left it.
        assert!(told.news(look(2, &["same", "same", "same"], 2), true).is_empty());
        let part = Look { is_last: false, ..look(5, &["far", "on"], 7) };
        assert_eq!(told.news(part, false), ["far", "on"], "of a part the last line is whole");
        assert_eq!((told.first(), told.next()), (7, 7));
    }
}
