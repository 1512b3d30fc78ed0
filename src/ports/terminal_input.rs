//! How does an agent that has no hooks for text take it on its terminal?

/// How an agent's prompt looks and takes text, as it is configured. The patterns are regular expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptSettings {
    /// The last lines of its screen, as a whole and without trailing blanks, when it waits and nothing is typed.
    pub prompt: String,
    /// How many lines that are; empty ones do not count. Default: 1.
    pub prompt_lines: usize,
    /// What is found anywhere on its screen while nothing may be typed, whatever the prompt looks like. Default: nothing.
    pub busy: Option<String>,
    /// The same lines as `prompt`, where it shows something else in the place of what was pasted. Default: it shows the text.
    pub echo: Option<String>,
    /// Whether it understands bracketed paste. Default: it does not, for then each line would submit itself.
    pub bracketed_paste: bool,
    /// Whether it shows what is typed. Default: it does.
    pub echoes: bool,
}

/// What a terminal shows after text was pasted into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// The text stands at the prompt, and nothing else does that was not there before, as far as a screen can tell.
    Alone,
    /// What stands there may be the text: its end, or what the agent shows in the place of any long one.
    Similar,
    /// The prompt is as empty as it was.
    Nothing,
    /// Something else: a part of the text, more than the text, or no prompt.
    Other,
}

/// Text as it goes into a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paste {
    /// What opens it; may be empty.
    pub opening: &'static [u8],
    /// The text in pieces, none of which ends within a character.
    pub pieces: Vec<String>,
    /// What closes it, also one that was broken off; may be empty.
    pub closing: &'static [u8],
}

/// An agent that is typed to. What it shows is all that is known of it.
///
/// # Contract
/// - Everything is pure: it is asked about a screen as [`Runtime::screen`](super::runtime::Runtime::screen) gives it. Whatever a screen or a text
///   holds, nothing fails.
/// - [`empty_prompt`](TerminalInput::empty_prompt) is `Ok` only where the agent waits for input and nothing is typed yet.
/// - Of what [`paste`](TerminalInput::paste) gives no byte is obeyed by a terminal or by the agent's line editor as a command, but for
///   what opens and closes it: whatever the text holds, it can neither leave the paste nor submit itself. Where nothing opens it, line ends and
///   tabs are commands too, and [`check`](TerminalInput::check) refuses what cannot be typed without them. What is obeyed and line ends at the
///   text's end may be left out or be typed as something else; the rest is typed as it is, in pieces.
/// - What opens and closes a paste, what submits it and whether the agent shows what is typed never change: who finds a paste broken off closes
///   it without knowing what it was.
/// - What is told for a person is a few hundred characters at most, whatever is on the screen, with nothing in it that a terminal obeys.
pub trait TerminalInput: Send + Sync {
    /// Whether this text can be typed at all.
    ///
    /// # Errors
    /// Why not, for a person.
    fn check(&self, text: &str) -> Result<(), String>;

    /// The lines of the prompt at which the agent waits with nothing typed.
    ///
    /// # Errors
    /// What was looked for and what is there instead, shortly, for a person.
    fn empty_prompt(&self, screen: &str) -> Result<String, String>;

    /// Whether the agent shows what is typed at all.
    fn echoes(&self) -> bool;

    /// The text as it is typed.
    fn paste(&self, text: &str) -> Paste;

    /// What submits it; never empty.
    fn submit(&self) -> &[u8];

    /// What a screen shows of a text that was pasted at `prompt`, as [`empty_prompt`](TerminalInput::empty_prompt) gave that. Where the prompt
    /// stands empty again the text is no more at it, wherever else it is on the screen.
    fn echo(&self, prompt: &str, screen: &str, text: &str) -> Echo;

    /// What stands at the prompt now, shortly, for a person.
    fn standing(&self, screen: &str) -> String;
}
