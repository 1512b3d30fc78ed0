//! When output has colours, and which: by the conventions of `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE`, as clap has it for help.

use std::collections::BTreeMap;

use super::ui::PLAIN;

/// Whether what is written to a stream has colours. By default it has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Colours(bool);

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// It goes well.
    Good,
    /// Somebody has to look.
    Attention,
    /// It went wrong.
    Bad,
    /// It is over, or beside the point.
    Faint,
}

impl Colours {
    /// Those of a stream. `NO_COLOR` wins over `CLICOLOR_FORCE`, that over `CLICOLOR=0`, and a variable that is empty is not set. Unless
    /// they say otherwise, a terminal that is not dumb has colours, and nothing else has.
    #[must_use]
    pub fn of(is_terminal: bool, env: &BTreeMap<String, String>) -> Self {
        let var = |name: &str| env.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let is_on = |name: &str| var(name).map(|value| value != "0");
        if var("NO_COLOR").is_some() {
            return Self(false);
        }
        if is_on("CLICOLOR_FORCE") == Some(true) {
            return Self(true);
        }
        let knows_colours = match is_on("CLICOLOR") {
            Some(is_on) => is_on,
            None => var("TERM").is_some_and(|terminal| terminal != "dumb"),
        };
        Self(is_terminal && knows_colours)
    }

    /// Whether there are any.
    #[must_use]
    pub fn are_on(self) -> bool {
        self.0
    }

    /// The text in a tone. Neither [`width`](super::ui::width) nor [`cut`](super::ui::cut) counts what that takes.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let Self(true) = self else { return text.to_owned() };
        let code = match tone {
            Tone::Good => 32,
            Tone::Attention => 33,
            Tone::Bad => 31,
            Tone::Faint => 2,
        };
        format!("\u{1b}[{code}m{text}{PLAIN}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_colours(is_terminal: bool, variables: &[(&str, &str)]) -> bool {
        let term = [("TERM", "xterm")];
        let env = term.iter().chain(variables).map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Colours::of(is_terminal, &env) == Colours(true)
    }

    #[test]
    fn a_terminal_has_colours_and_a_pipe_has_none_unless_a_variable_says_otherwise() {
        for (variables, on_terminal, on_pipe) in [
            (&[][..], true, false),
            (&[("NO_COLOR", "1")], false, false),
            (&[("NO_COLOR", "")], true, false),
            (&[("CLICOLOR", "0")], false, false),
            (&[("CLICOLOR", "1")], true, false),
            (&[("CLICOLOR_FORCE", "1")], true, true),
            (&[("CLICOLOR_FORCE", "0")], true, false),
            (&[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")], true, true),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, false),
            (&[("TERM", "dumb")], false, false),
            (&[("TERM", "")], false, false),
            (&[("TERM", "dumb"), ("CLICOLOR", "1")], true, false),
        ] {
            let found = [true, false].map(|is_terminal| has_colours(is_terminal, variables));
            assert_eq!(found, [on_terminal, on_pipe], "{variables:?}");
        }
    }

    #[test]
    fn only_painted_text_has_escapes() {
        assert_eq!(Colours(true).paint(Tone::Bad, "failed"), "\u{1b}[31mfailed\u{1b}[0m");
        assert_eq!(Colours::default().paint(Tone::Bad, "failed"), "failed");
    }
}
