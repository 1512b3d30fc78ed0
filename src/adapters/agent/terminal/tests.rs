use super::*;

fn settings(prompt: &str) -> PromptSettings {
    PromptSettings {
        prompt: prompt.into(),
        prompt_lines: 1,
        busy: None,
        echo: None,
        bracketed_paste: true,
        echoes: true,
    }
}

fn shell() -> Prompt {
    Prompt::new(settings("ready>")).unwrap()
}

/// A full-screen agent with a box around its prompt and a line of help below.
fn boxed() -> Prompt {
    let prompt = r"╭─+╮\n│ > +│\n╰─+╯\n  \? for help".to_owned();
    Prompt::new(PromptSettings { prompt_lines: 4, busy: Some("esc to interrupt".into()), ..settings(&prompt) }).unwrap()
}

fn in_box(lines: &[&str]) -> String {
    let inner: Vec<String> = lines.iter().map(|line| format!("│ {line:<20} │")).collect();
    format!("Hello.\n╭{edge}╮\n{}\n╰{edge}╯\n  ? for help\n\n", inner.join("\n"), edge = "─".repeat(22))
}

#[test]
fn only_an_empty_prompt_in_the_last_line_is_one() {
    let shell = shell();
    for screen in ["ready>", "Welcome.\n\nready>", "ready> make\nready> \n\n"] {
        assert_eq!(shell.empty_prompt(screen).as_deref(), Ok("ready>"), "{screen:?}");
    }
    for screen in ["", "\n \n", "ready> a draft", "ready> sleep 5\n", "not ready>", "ready>\nworking", "ready>>"] {
        let cause = shell.empty_prompt(screen).unwrap_err();
        assert!(cause.contains("\"ready>\""), "{cause}");
    }
    let cause = shell.empty_prompt(&format!("ready> {}the end", "x".repeat(500))).unwrap_err();
    assert!(cause.len() < 250 && cause.contains("the end"), "{cause}");
}

#[test]
fn a_pattern_is_compared_as_a_whole_and_what_shows_that_it_is_busy_anywhere() {
    let either = Prompt::new(settings("a>|b>")).unwrap();
    assert!(either.empty_prompt("a>").is_ok() && either.empty_prompt("b>").is_ok());
    assert!(either.empty_prompt("a> x").is_err() && either.empty_prompt("x b>").is_err());
    assert!(boxed().empty_prompt(&in_box(&[">"])).is_ok());
    assert!(boxed().empty_prompt(&in_box(&["> draft"])).is_err());
    let busy = format!("thinking (esc to interrupt)\n{}", in_box(&[">"]));
    assert!(boxed().empty_prompt(&busy).unwrap_err().contains("busy"));
    assert!(Prompt::new(settings("(")).is_err());
}

#[test]
fn a_paste_holds_nothing_that_is_obeyed() {
    let paste = shell().paste("a\tb\r\nü\u{1b}[201~\rrm\u{9b}31m\u{7}\u{3}\u{7f}\n\n");
    assert_eq!((paste.opening, paste.closing), (&b"\x1b[200~"[..], &b"\x1b[201~"[..]));
    let odd = char::REPLACEMENT_CHARACTER;
    assert_eq!(paste.pieces.concat(), format!("a\tb\rü{odd}[201~{odd}rm{odd}31m{odd}{odd}{odd}"));
}

#[test]
fn a_long_text_comes_in_pieces_of_whole_characters() {
    let text = "aü🦀".repeat(20_000);
    let pieces = shell().paste(&text).pieces;
    assert_eq!(pieces.concat(), text);
    assert!(
        pieces
            .iter()
            .all(|piece| piece.len() <= PIECE_BYTES && piece.len() > PIECE_BYTES - 4
                || piece == &pieces[pieces.len() - 1])
    );
}

#[test]
fn without_bracketed_paste_one_line_is_taken_and_nothing_that_completes() {
    let plain = Prompt::new(PromptSettings { bracketed_paste: false, ..settings("ready>") }).unwrap();
    assert!(plain.check("one\ntwo").unwrap_err().contains("several lines"));
    assert!(plain.check("one\n").is_ok() && shell().check("one\ntwo").is_ok());
    let expected = Paste { opening: b"", pieces: vec!["a b".into()], closing: b"" };
    assert_eq!(plain.paste("a\tb\n"), expected);
}

#[test]
fn a_text_that_stands_alone_is_seen_however_it_is_wrapped() {
    let shell = shell();
    let alone = [
        ("ready> hello world", "hello world"),
        ("before\nready> hello\nready> hello", "hello"),
        ("ready> hello wo\nrld", "hello world"),
        ("ready> one\ntwo\nthree", "one\ntwo\nthree"),
        ("ready> one\n\ntwo", "one\n\ntwo\n"),
        ("ready> a       b", "a\tb"),
        ("ready> grün 🦀 \u{fffd}", "grün 🦀 \u{1b}"),
        ("ready> 🦀🦀", "🦀🦀"),
        ("ready> >", ">"),
    ];
    for (screen, text) in alone {
        assert_eq!(shell.echo("ready>", screen, text), Echo::Alone, "{screen:?} {text:?}");
    }
    assert_eq!(shell.echo("ready>", "before\nready>\n", "hello"), Echo::Nothing);
    // A prompt in a line of its own.
    assert_eq!(shell.echo("What now?", "What now?\nhello", "hello"), Echo::Alone);
}

#[test]
fn what_a_person_typed_before_within_or_after_it_is_seen() {
    let shell = shell();
    let other = [
        ("ready> my hello", "hello"),
        ("ready> rhello", "hello"),
        ("ready> hello my", "hello"),
        ("ready> hemyllo", "hello"),
        ("ready> a long draft\nhello", "hello"),
        ("ready> hello\nmore", "hello"),
        ("ready> hel", "hello"),
        ("ready> hello\nready> x", "hello"),
        ("ready> 🦀hello", "hello"),
        ("ready> hello🦀", "hello"),
        ("ready> ^[[200~hello^[[201~", "hello"),
        ("ready> hello\nready> rm -r\nhello", "hello"),
        ("", "hello"),
    ];
    for (screen, text) in other {
        assert_eq!(shell.echo("ready>", screen, text), Echo::Other, "{screen:?} {text:?}");
    }
}

#[test]
fn of_a_text_longer_than_the_screen_its_end_is_looked_at() {
    let shell = shell();
    let text = (0..400).map(|number| format!("word {number}")).collect::<Vec<_>>().join(" ");
    let end: String = text.chars().skip(text.len() - 600).collect();
    assert_eq!(shell.echo("ready>", &end, &text), Echo::Similar, "its beginning may be another one");
    assert_eq!(shell.echo("ready>", &format!("ready> {text}"), &text), Echo::Alone);
    assert_eq!(shell.echo("ready>", &format!("{end} more"), &text), Echo::Other);
    assert_eq!(shell.echo("ready>", &format!("{end}\nready> x"), &text), Echo::Other);
    let begin: String = text.chars().take(600).collect();
    assert_eq!(shell.echo("ready>", &format!("ready> {begin}"), &text), Echo::Other, "its end is missing");
    assert_eq!(shell.echo("ready>", &format!("ready> my {text}"), &text), Echo::Other);
}

#[test]
fn a_box_and_the_lines_below_it_are_no_draft() {
    let boxed = boxed();
    let empty = boxed.empty_prompt(&in_box(&[">"])).unwrap();
    assert_eq!(boxed.echo(&empty, &in_box(&["> hello wide", "  world"]), "hello wide world"), Echo::Alone);
    assert_eq!(boxed.echo(&empty, &in_box(&["> my hello"]), "hello"), Echo::Other);
    assert_eq!(boxed.echo(&empty, &in_box(&["> hello my"]), "hello"), Echo::Other);
    assert_eq!(boxed.echo(&empty, &in_box(&["> hello", "  my"]), "hello"), Echo::Other);
    assert_eq!(boxed.echo(&empty, &in_box(&[">"]), "hello"), Echo::Nothing);
    // It was submitted, and stands above now.
    let after = format!("> hello\n{}", in_box(&[">"]));
    assert_eq!(boxed.echo(&empty, &after, "hello"), Echo::Nothing);
}

#[test]
fn what_an_agent_shows_in_the_place_of_a_long_paste_can_be_told_it() {
    let echo = Some(r"> \[Pasted \d+ lines\]".to_owned());
    let prompt = Prompt::new(PromptSettings { echo, ..settings(">") }).unwrap();
    assert_eq!(prompt.echo(">", "> [Pasted 7 lines]", "1\n2\n3\n4\n5\n6\n7"), Echo::Similar);
    assert_eq!(prompt.echo(">", "> my [Pasted 7 lines]", "1\n2\n3\n4\n5\n6\n7"), Echo::Other);
    assert_eq!(prompt.echo(">", "> [Pasted 7 lines]\nmore\n> x", "1\n2\n3"), Echo::Other);
}
