//! What is new in a text that is read again and again, of which the beginning goes and the end changes.

/// How many lines at the end may change in their places: those of a screen.
const SCREEN_LINES: usize = 500;

/// What was told of a text.
#[derive(Debug, Default)]
pub(super) struct ToldLines {
    lines: Vec<String>,
    /// The last line, which may be half written, when it was not told.
    held_back: Option<String>,
}

impl ToldLines {
    /// The lines to tell of the text as it is now. Its last one is held back until it stays, or is not the last any more; `is_final` says
    /// that nothing follows.
    pub(super) fn news(&mut self, text: &str, is_final: bool) -> Vec<String> {
        let mut now: Vec<String> = text.lines().map(str::to_owned).collect();
        let gone = self.gone(&now);
        let before = self.lines.get(gone..).unwrap_or_default();
        let is_told = |at: usize, line: &String| before.get(at) == Some(line);
        let stays = |last: &String| is_told(now.len() - 1, last) || self.held_back.as_ref() == Some(last);
        let is_whole = is_final || now.last().is_none_or(stays);
        self.held_back = if is_whole { None } else { now.pop() };
        let news =
            now.iter().enumerate().filter(|(at, line)| !is_told(*at, line)).map(|(_, line)| line.clone()).collect();
        self.lines = now;
        news
    }

    /// How many lines went at the beginning: the fewest with which what is left is as it was, but for a screen's lines.
    fn gone(&self, now: &[String]) -> usize {
        let in_common =
            |gone: usize| self.lines[gone..].iter().zip(now).take_while(|(before, now)| before == now).count();
        let mut most = (0, 0);
        for gone in 0..self.lines.len() {
            let common = in_common(gone);
            let overlap = (self.lines.len() - gone).min(now.len());
            if common >= overlap.saturating_sub(SCREEN_LINES).max(1) {
                return gone;
            }
            if common > most.0 {
                most = (common, gone);
            }
        }
        most.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(from: usize, to: usize) -> String {
        (from..to).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_line_is_told_once_and_one_that_is_half_written_later() {
        let mut told = ToldLines::default();
        assert_eq!(told.news("one\ntwo\nthr", false), ["one", "two"]);
        assert_eq!(told.news("one\ntwo\nthree\nfour", false), ["three"]);
        assert_eq!(told.news("one\ntwo\nthree\nfour", false), ["four"], "it stayed");
        for _ in 0..3 {
            assert!(told.news("one\ntwo\nthree\nfour", false).is_empty());
        }
        assert_eq!(told.news("one\ntwo\nthree\nfour\nsame\nsame\nsame", false), ["same", "same"]);
        assert_eq!(told.news("one\ntwo\nthree\nfour\nsame\nsame\nsame\nend", true), ["same", "end"]);
    }

    #[test]
    fn what_goes_at_the_beginning_is_not_told_again() {
        let mut told = ToldLines::default();
        assert_eq!(told.news(&numbered(0, 5000), true).len(), 5000);
        assert_eq!(told.news(&numbered(1200, 6200), true), numbered(5000, 6200).lines().collect::<Vec<_>>());
        // More went than was there before.
        assert_eq!(told.news(&numbered(9000, 9700), true).len(), 700);
        assert_eq!(told.news(&numbered(9000, 9701), true), ["line 9700"]);
    }

    #[test]
    fn of_a_screen_those_that_changed_are_told() {
        let mut told = ToldLines::default();
        let screen = |spinner: &str| format!("head\n{spinner} working\nfoot\n");
        assert_eq!(told.news(&screen("|"), true), ["head", "| working", "foot"]);
        assert_eq!(told.news(&screen("/"), true), ["/ working"]);
        assert!(told.news("head\n", true).is_empty());
    }
}
