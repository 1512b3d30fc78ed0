//! The contract of [`TerminalInput`].
//!
//! Implement [`TerminalInputFixture`] for your agent's screen, then let [`terminal_input_contract!`](crate::terminal_input_contract) make one test
//! of each function here:
//!
//! ```no_run
//! # use ao::ports::agent::Agent;
//! use ao::ports::terminal_input::TerminalInput;
//! use ao::testing::terminal_input::TerminalInputFixture;
//!
//! # fn my_agent() -> Box<dyn Agent> { unimplemented!() }
//! struct Mine(Box<dyn Agent>);
//!
//! impl TerminalInputFixture for Mine {
//!     fn input(&self) -> &dyn TerminalInput {
//!         self.0.terminal_input().unwrap()
//!     }
//!
//!     fn empty(&self) -> String {
//!         "Welcome.\n>".to_owned()
//!     }
//!
//!     fn with(&self, text: &str) -> String {
//!         format!("Welcome.\n> {text}")
//!     }
//!
//!     fn after(&self, text: &str) -> String {
//!         format!("Welcome.\n> {text}\nDone.\n>")
//!     }
//!
//!     fn busy(&self) -> Vec<String> {
//!         vec!["Welcome.\n> make\nworking".to_owned()]
//!     }
//! }
//!
//! ao::terminal_input_contract!(Mine(my_agent()));
//! ```

use crate::ports::terminal_input::{Echo, Paste, TerminalInput};

/// What is told for a person, in characters.
const MOST_TOLD: usize = 1024;

/// Texts that stand at a prompt in one line and are no part of each other.
const TEXTS: [&str; 4] = ["hello", "run the tests again", "größe 🦀 (x)", "1 + 1 = 2"];

/// What the suite needs of an agent. One fixture is made for each test. Screens are as a runtime gives them: lines without trailing blanks.
pub trait TerminalInputFixture {
    /// How it is typed to.
    fn input(&self) -> &dyn TerminalInput;

    /// A screen on which the agent waits at its empty prompt.
    fn empty(&self) -> String;

    /// That screen when this text, a short line, stands at the prompt.
    fn with(&self, text: &str) -> String;

    /// The screen once that text was submitted and done, and the agent waits at its empty prompt again.
    fn after(&self, text: &str) -> String;

    /// Screens on which nothing may be typed: the agent works, or asks something.
    fn busy(&self) -> Vec<String>;
}

/// Makes one `#[test]` of each function of the suite that takes a fixture. Takes an expression that makes one.
#[macro_export]
macro_rules! terminal_input_contract {
    ($fixture:expr) => {
        $crate::terminal_input_contract!(@tests $fixture;
            only_an_empty_prompt_is_one
            a_text_is_pasted_as_it_is_and_nothing_in_it_is_obeyed
            a_text_at_the_prompt_is_seen_there
            an_empty_prompt_shows_nothing_whatever_was_typed
            what_is_not_the_text_alone_is_not_taken_for_it
            where_there_is_no_prompt_there_is_no_text
            whatever_is_on_the_screen_nothing_fails
        );
    };
    (@tests $fixture:expr; $($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                $crate::testing::terminal_input::$name(&$fixture);
            }
        )+
    };
}

/// The empty prompt of the fixture's screen.
fn prompt(fixture: &dyn TerminalInputFixture) -> String {
    let found = fixture.input().empty_prompt(&fixture.empty());
    found.unwrap_or_else(|cause| panic!("the empty prompt is none: {cause}"))
}

/// Texts as messages have them, and worse.
fn texts() -> Vec<String> {
    let long = "aü🦀 ".repeat(20_000);
    let lines = "a line\n".repeat(1000);
    let texts = [
        "hello",
        "a\tb",
        "one\ntwo",
        "one\r\ntwo\r\n",
        "\n\nlines\n\n",
        "\rrm -r /\r",
        "\u{1b}[201~\rrm -r /\r\u{1b}[200~",
        "\u{3}\u{4}\u{7}\u{8}\u{15}\u{1a}\u{1b}\u{7f}",
        "\u{9b}201~\u{85}\u{90}\u{9d}0;x\u{9c}",
        "\0",
        "",
        " ",
        "größe 🦀 ]201~ [201~ ^[[201~ \u{feff}",
        "`id` $(id) !! \\ \"q\" 'q' ~ #",
        long.as_str(),
        lines.as_str(),
    ];
    texts.map(str::to_owned).to_vec()
}

/// The characters that come through whatever becomes of the others.
fn kept(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !c.is_whitespace() && *c != char::REPLACEMENT_CHARACTER).collect()
}

/// Neither a screen with nothing on it, nor one with a draft, nor one of an agent that is busy: and why not is told, shortly. The same screen is
/// always the same.
pub fn only_an_empty_prompt_is_one(fixture: &dyn TerminalInputFixture) {
    let input = fixture.input();
    assert_eq!(input.empty_prompt(&fixture.empty()), Ok(prompt(fixture)));
    assert_eq!(input.empty_prompt(&fixture.after("hello")), Ok(prompt(fixture)), "it waits again");
    let mut others = vec![String::new(), "\n \n\n".to_owned(), "Segmentation fault (core dumped)\n".to_owned()];
    others.extend(TEXTS.map(|text| fixture.with(text)));
    others.extend(fixture.busy());
    for screen in others {
        let found = input.empty_prompt(&screen);
        let cause = found.expect_err(&format!("{screen:?} is no empty prompt"));
        insist_on_little(&cause, &screen);
    }
}

fn insist_on_little(told: &str, of: &str) {
    assert!(!told.trim().is_empty(), "nothing is told of {of:?}");
    assert!(told.chars().count() <= MOST_TOLD, "{} characters are told", told.chars().count());
    assert!(!told.chars().any(char::is_control), "{told:?} has what a terminal obeys");
}

/// All that can be typed: the text comes through in its order, and a plain line can be typed anyhow.
pub fn a_text_is_pasted_as_it_is_and_nothing_in_it_is_obeyed(fixture: &dyn TerminalInputFixture) {
    let input = fixture.input();
    for text in TEXTS {
        assert_eq!(input.check(text), Ok(()), "{text:?}");
        assert_eq!(input.paste(text).pieces.concat(), text);
    }
    nothing_that_is_pasted_is_obeyed(input);
    what_surrounds_and_submits_a_text_never_changes(input);
}

/// No control character in any piece, but line ends and tabs within what opens and closes a paste; and never what closes it.
pub fn nothing_that_is_pasted_is_obeyed(input: &dyn TerminalInput) {
    for text in texts() {
        if let Err(cause) = input.check(&text) {
            insist_on_little(&cause, &text);
            continue;
        }
        let Paste { opening, pieces, closing } = input.paste(&text);
        let typed = pieces.concat();
        let is_surrounded = !opening.is_empty() && !closing.is_empty();
        let is_obeyed = |c: char| c.is_control() && !(is_surrounded && matches!(c, '\r' | '\n' | '\t'));
        assert!(!typed.contains(is_obeyed), "of {text:?} there is typed {typed:?}");
        let leaves = !closing.is_empty() && typed.as_bytes().windows(closing.len()).any(|part| part == closing);
        assert!(!leaves, "{text:?} closes its own paste");
        assert_eq!(kept(&typed), kept(&text), "a part of the text is lost");
    }
}

/// Also for no text at all, of which nothing is typed but that.
pub fn what_surrounds_and_submits_a_text_never_changes(input: &dyn TerminalInput) {
    let nothing = input.paste("");
    assert_eq!(nothing.pieces.concat(), "", "nothing is typed as something");
    let (submits, echoes) = (input.submit().to_vec(), input.echoes());
    assert!(!submits.is_empty(), "nothing submits what is typed");
    for text in texts() {
        let paste = input.paste(&text);
        assert_eq!((paste.opening, paste.closing), (nothing.opening, nothing.closing), "{text:?}");
        assert_eq!(paste, input.paste(&text), "{text:?} is typed in two ways");
        assert!(input.submit() == submits && input.echoes() == echoes, "they changed after {text:?}");
    }
}

/// Unless the agent shows nothing of what is typed.
pub fn a_text_at_the_prompt_is_seen_there(fixture: &dyn TerminalInputFixture) {
    let (input, prompt) = (fixture.input(), prompt(fixture));
    if !input.echoes() {
        return;
    }
    for text in TEXTS {
        let echo = input.echo(&prompt, &fixture.with(text), text);
        assert!(matches!(echo, Echo::Alone | Echo::Similar), "{text:?} stands there, and is {echo:?}");
        assert_eq!(input.echo(&prompt, &fixture.with(text), text), echo, "it is seen otherwise");
    }
}

/// Neither before it is shown nor after it was submitted, whatever the text looks like: else it would be submitted unseen, or twice.
pub fn an_empty_prompt_shows_nothing_whatever_was_typed(fixture: &dyn TerminalInputFixture) {
    let (input, prompt) = (fixture.input(), prompt(fixture));
    let like_the_prompt = (1..=prompt.chars().count().min(8)).map(|chars| {
        let skipped = prompt.chars().count() - chars;
        prompt.chars().skip(skipped).collect::<String>()
    });
    let like_the_screen = fixture.empty().lines().map(str::to_owned).collect::<Vec<_>>();
    for text in texts().into_iter().chain(like_the_prompt).chain(like_the_screen) {
        assert_eq!(input.echo(&prompt, &fixture.empty(), &text), Echo::Nothing, "{text:?} was not shown yet");
    }
    for text in TEXTS {
        assert_eq!(input.echo(&prompt, &fixture.after(text), text), Echo::Nothing, "{text:?} was submitted");
    }
}

/// A person's draft, a part of the text and more than the text. Only what is shown in the place of any text may be similar to all of them.
pub fn what_is_not_the_text_alone_is_not_taken_for_it(fixture: &dyn TerminalInputFixture) {
    let (input, prompt) = (fixture.input(), prompt(fixture));
    let text = "run the tests again";
    let may_be_similar = input.echo(&prompt, &fixture.with(text), text) == Echo::Similar;
    for typed in
        ["a draft", "run the tests", "tests again", "run the tests again and again", "do not run the tests again"]
    {
        let echo = input.echo(&prompt, &fixture.with(typed), text);
        let is_told_apart = echo == Echo::Other || may_be_similar && echo == Echo::Similar;
        assert!(is_told_apart, "{typed:?} stands there, and {text:?} is {echo:?}");
    }
}

/// A blank screen shows neither the text nor an empty prompt.
pub fn where_there_is_no_prompt_there_is_no_text(fixture: &dyn TerminalInputFixture) {
    let prompt = prompt(fixture);
    for text in TEXTS {
        for screen in ["", "\n\n"] {
            assert_eq!(fixture.input().echo(&prompt, screen, text), Echo::Other, "{screen:?} shows {text:?}");
        }
    }
}

/// Any screen, prompt and text; the same question has the same answer.
pub fn whatever_is_on_the_screen_nothing_fails(fixture: &dyn TerminalInputFixture) {
    let input = fixture.input();
    whatever_is_on_the_screen_little_is_told_of_it(input);
    let mut prompts = vec![prompt(fixture), String::new(), "\n".to_owned(), "größe 🦀".to_owned()];
    prompts.extend(fixture.busy());
    let mut screens = odd_screens();
    screens.extend([fixture.empty(), fixture.with("größe 🦀"), fixture.after("a")]);
    let short = texts().into_iter().filter(|text| text.len() < 1024).collect::<Vec<_>>();
    for screen in &screens {
        for (prompt, text) in prompts.iter().flat_map(|prompt| short.iter().map(move |text| (prompt, text))) {
            let echo = input.echo(prompt, screen, text);
            assert_eq!(
                input.echo(prompt, screen, text),
                echo,
                "{prompt:?}, {screen:?} and {text:?} are seen otherwise"
            );
        }
    }
}

fn odd_screens() -> Vec<String> {
    let wide = "x ü🦀".repeat(10_000);
    let screens = ["", "\n", "\0\u{1b}[2J\u{7}\r\u{9b}", "🦀", "\u{301}\u{feff}", "│ > │\n╰─╯", wide.as_str()];
    screens.map(str::to_owned).to_vec()
}

/// What stands at the prompt, and why it is not empty.
pub fn whatever_is_on_the_screen_little_is_told_of_it(input: &dyn TerminalInput) {
    for screen in odd_screens() {
        insist_on_little(&input.standing(&screen), &screen);
        let found = input.empty_prompt(&screen);
        assert_eq!(input.empty_prompt(&screen), found, "{screen:?} is seen otherwise");
        if let Err(cause) = found {
            insist_on_little(&cause, &screen);
        }
    }
}
