//! Clauses about the terminal itself.

use super::bench::Bench;
use crate::domain::exit::Exit;
use crate::ports::runtime::{RuntimeError, TerminalKey, TerminalSize};
use crate::ports::terminal_view::{Newcomer, Seen, TerminalView};

/// The screen shows what is on it now, the output also what scrolled away; neither shows escape sequences.
pub async fn screen_and_output_show_what_was_printed(bench: Bench) {
    let script = "i=0; while test $i -lt 200; do echo \"line $i\"; i=$((i+1)); done; printf '\\033[31mred\\033[0m end'; read line";
    let (key, _) = bench.run(script).await;
    bench.until_shown(&key, "red end").await;
    let screen = bench.runtime().screen(&key).await.unwrap();
    assert!(!screen.contains("line 10\n"), "the screen holds what scrolled away");
    assert!(screen.contains("line 199\nred end"), "{screen}");
    assert!(!screen.contains('\u{1b}'), "an escape sequence shows");
    assert_eq!(bench.runtime().output(&key, 2).await.unwrap(), "line 199\nred end");
    let all = bench.runtime().output(&key, 10_000).await.unwrap();
    assert!(all.lines().any(|line| line == "line 10"), "scrolled lines are not in the output");
    assert_eq!(all.lines().count(), 201);
}

/// The end takes the process, not what it said.
pub async fn screen_and_output_stay_after_the_end(bench: Bench) {
    let (key, _) = bench.run("echo the very last words; exit 3").await;
    assert_eq!(bench.until_dead(&key).await, Exit::Code(3));
    assert!(bench.runtime().screen(&key).await.unwrap().contains("the very last words"));
    assert_eq!(bench.runtime().output(&key, 1).await.unwrap(), "the very last words");
}

/// Typed bytes arrive as from a keyboard: a line is a line, control-C interrupts.
pub async fn what_is_typed_reaches_the_agent(bench: Bench) {
    let script = "trap 'echo interrupted > interrupt; exit 8' INT; read line; printf %s \"$line\" > typed.part; \
                  mv typed.part typed; while :; do sleep 0.05; done";
    let (key, _) = bench.run(script).await;
    bench.runtime().input(&key, "two words \u{e4}\u{1f980}\r".as_bytes()).await.unwrap();
    assert_eq!(bench.until_written("typed").await, "two words \u{e4}\u{1f980}".as_bytes());
    bench.runtime().input(&key, b"\x03").await.unwrap();
    assert_eq!(bench.until_dead(&key).await, Exit::Code(8));
}

fn is_no_terminal<T>(result: &Result<T, RuntimeError>) -> bool {
    matches!(result, Err(RuntimeError::NoTerminal { .. }))
}

/// Once the agent is gone there is nothing to type into: no shell, no prompt to run it again.
pub async fn nothing_is_typed_for_nobody(bench: Bench) {
    let (key, _) = bench.run("echo >> runs; exit 0").await;
    bench.until_dead(&key).await;
    let result = bench.runtime().input(&key, b"\recho pwned > pwned\r").await;
    assert!(is_no_terminal(&result), "{result:?}");
    assert!(!bench.path("pwned").exists());
    assert_eq!(bench.until_written("runs").await, b"\n", "the agent ran again");
}

/// What a viewer is shown until a text is in it. Pictures hold what changed, so the text is to be one word that was nowhere before.
async fn until_seen(bench: &Bench, view: &mut dyn TerminalView, word: &str) {
    let mut shown = String::new();
    while !shown.contains(word) {
        match bench.in_time(&format!("a viewer sees {word:?}"), view.next()).await.unwrap() {
            Seen::Picture(picture) => shown += &String::from_utf8_lossy(&picture),
            Seen::Size(_) => {}
            Seen::Ended(exit) => panic!("it ended ({exit}) before {word:?} was seen in {shown:?}"),
        }
    }
}

/// Viewers see what the terminal shows from the first picture on, each whatever the other does, type as from a keyboard, and are told of the end. A
/// runtime that cannot show its terminals says so, always.
pub async fn who_attaches_sees_and_types_and_is_told_of_the_end(bench: Bench) {
    let script =
        "echo begun; read line; printf %s \"$line\" > typed.part; mv typed.part typed; echo heard; read line; exit 5";
    let (key, _) = bench.run(script).await;
    bench.until_shown(&key, "begun").await;
    let sized = |rows, cols| Newcomer { size: TerminalSize { rows, cols }, is_watching: false };
    let attached = bench.runtime().attach(&key, sized(30, 90)).await;
    if !bench.shows_terminals() {
        assert!(matches!(attached, Err(RuntimeError::Failed { .. })), "{attached:?}");
        return;
    }
    let mut one = attached.unwrap();
    let mut other = bench.runtime().attach(&key, sized(20, 70)).await.unwrap();
    for viewer in [&mut one, &mut other] {
        until_seen(&bench, &mut *viewer.view, "begun").await;
    }
    one.keys.type_bytes("a word \u{e4}\r".as_bytes()).await.unwrap();
    assert_eq!(bench.until_written("typed").await, "a word \u{e4}".as_bytes());
    for viewer in [&mut one, &mut other] {
        until_seen(&bench, &mut *viewer.view, "heard").await;
    }
    drop(one);
    other.keys.type_bytes(b"\r").await.unwrap();
    let told = loop {
        if let Seen::Ended(exit) = bench.in_time("a viewer is told of the end", other.view.next()).await.unwrap() {
            break exit;
        }
    };
    assert_eq!(told, Exit::Code(5));
    bench.until_dead(&key).await;
    assert!(is_no_terminal(&bench.runtime().attach(&key, sized(20, 70)).await));
}

/// What never was has no screen.
pub async fn an_unknown_session_has_no_terminal(bench: Bench) {
    let key: TerminalKey = bench.key();
    assert!(is_no_terminal(&bench.runtime().screen(&key).await));
    assert!(is_no_terminal(&bench.runtime().output(&key, 5).await));
    assert!(is_no_terminal(&bench.runtime().input(&key, b"x").await));
    let newcomer = Newcomer { size: TerminalSize { rows: 24, cols: 80 }, is_watching: false };
    let attached = bench.runtime().attach(&key, newcomer).await;
    assert!(matches!(attached, Err(RuntimeError::NoTerminal { .. } | RuntimeError::Failed { .. })), "{attached:?}");
}
