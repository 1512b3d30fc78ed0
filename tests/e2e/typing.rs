//! Messages to agents that have no hooks for text: typed into real terminals of real programs, seen from outside.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ao::adapters::runtime::pty::PtyRuntime;
use ao::adapters::runtime::tmux::{self, TmuxSettings};
use ao::adapters::runtime::zellij::{self, ZellijSettings};
use ao::ports::runtime::{Runtime, TerminalKey};
use serde_json::{Value, json};

use crate::sandbox::{BOUND, Sandbox};
use crate::tools::{RUNTIMES, has_runtime};

/// A shell as people have it, but for what theirs would read. It counts its prompts, and so what was submitted.
const RC: &str = r#"PS1='ready> '
PROMPT_COMMAND='echo >> "$HOME/prompts"'
unset HISTFILE
bind 'set enable-bracketed-paste on'
"#;

/// A program that asks for lines and shows nothing of what is typed.
const SILENT: &str = r#"stty -echo; printf 'pass> '
while read -r line; do printf '%s\n' "$line" >> "$HOME/got"; printf '\npass> '; done"#;

/// One at whose prompt, when something is pasted, a person was faster. It writes down what it is typed.
const CROWDED: &str = r#"stty raw -echo; printf 'pass> '
dd bs=1 count=17 2> /dev/null > "$HOME/got"
printf 'my hello'; exec dd bs=1 2> /dev/null >> "$HOME/got""#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let (rc, config) = (sandbox.path("home/rc"), sandbox.path("home/.config/ao/config.toml"));
    std::fs::write(&rc, RC).unwrap();
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    let shell = format!("['bash', '--noprofile', '--rcfile', '{}', '-i']", rc.display());
    let agent = |name: &str, command: &str, prompt: &str, more: &str| {
        format!("[agents.{name}]\nkind = 'command'\ncommand = {command}\nprompt = '{prompt}'\n{more}\n")
    };
    let config_of = [
        agent("shell", &shell, "ready>", "bracketed_paste = true"),
        agent("silent", &format!("['sh', '-c', '''{SILENT}''']"), "pass>", "echoes = false"),
        agent("crowded", &format!("['sh', '-c', '''{CROWDED}''']"), "pass>", "bracketed_paste = true"),
    ];
    std::fs::write(config, config_of.concat()).unwrap();
    sandbox
}

async fn spawn(sandbox: &Sandbox, agent: &str, runtime: &str) {
    sandbox.ao(&["spawn", "--agent", agent, "--runtime", runtime, "--wait", "ready"]).await.ok();
}

async fn messages(sandbox: &Sandbox) -> Vec<Value> {
    let run = sandbox.ao(&["messages", "app-1", "--json"]).await;
    run.ok();
    run.json().as_array().unwrap().clone()
}

/// Waits until the messages are as wanted; gives them.
async fn until(sandbox: &Sandbox, what: &str, are_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let started = Instant::now();
    loop {
        let messages = messages(sandbox).await;
        if are_so(&messages) {
            return messages;
        }
        let screen = sandbox.ao(&["output", "app-1"]).await.stdout;
        assert!(started.elapsed() < BOUND, "never {what}: {messages:#?}\n{screen}\n{}", sandbox.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn all_acknowledged(messages: &[Value]) -> bool {
    messages.iter().all(|message| message["state"] == "acknowledged")
}

fn all_unseen(messages: &[Value]) -> bool {
    messages.iter().all(|message| says(message, "no echo of it was seen"))
}

fn says(message: &Value, words: &str) -> bool {
    message["error"].as_str().is_some_and(|error| error.contains(words))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Types into the terminal of the session, as a person does who is attached to it.
async fn types(sandbox: &Sandbox, runtime: &str, keys: &[u8]) {
    let (ao_program, socket_dir) = (env!("CARGO_BIN_EXE_ao").into(), sandbox.path("data/run"));
    let (path_var, env) = (sandbox.env["PATH"].clone(), sandbox.env.clone());
    let terminals: Arc<dyn Runtime> = match runtime {
        "pty" => Arc::new(PtyRuntime::new(ao_program, socket_dir)),
        "tmux" => Arc::new(tmux::runtime(TmuxSettings { path_var, ao_program, env, socket_dir })),
        _ => {
            let config_dir = sandbox.path("data/zellij");
            Arc::new(zellij::runtime(ZellijSettings { path_var, ao_program, env, socket_dir, config_dir }))
        }
    };
    let key = TerminalKey { session: "app-1".parse().unwrap(), session_dir: sandbox.session_dir("app-1"), agent: None };
    terminals.input(&key, keys).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn i07_an_agent_without_hooks_is_typed_to_in_order_when_it_is_idle() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = sandbox();
        spawn(&sandbox, "shell", runtime).await;
        let run = sandbox.ao(&["send", "app-1", "--wait", "--timeout", "60s", "--json", "echo one > ~/one"]).await;
        run.ok();
        let first = run.json();
        assert_eq!((&first["state"], &first["via"]), (&json!("acknowledged"), &json!("terminal")), "{first:#}");
        assert_eq!(first["error"], Value::Null);
        sandbox.until("it was run", || read(&sandbox.path("home/one")) == "one\n").await;

        let busy = "touch ~/begun; while ! test -e ~/go; do sleep 0.05; done";
        sandbox.ao(&["send", "app-1", busy]).await.ok();
        sandbox.until("the shell is busy", || sandbox.path("home/begun").exists()).await;
        for word in ["a", "b", "c"] {
            sandbox.ao(&["send", "app-1", &format!("echo {word} >> ~/order")]).await.ok();
        }
        let waiting = until(&sandbox, "told why it waits", |all| says(&all[2], "ready>")).await;
        assert!(waiting[2..].iter().all(|message| message["state"] == "queued"), "{waiting:#?}");
        assert_eq!(waiting[1]["state"], "injected", "its end was not seen yet: {waiting:#?}");
        std::fs::write(sandbox.path("home/go"), "").unwrap();
        let done = until(&sandbox, "all taken", all_acknowledged).await;
        assert!(
            done.iter().all(|message| message["via"] == "terminal" && message["error"] == Value::Null),
            "{done:#?}"
        );
        sandbox.until("all were run", || read(&sandbox.path("home/order")) == "a\nb\nc\n").await;
        let listed = sandbox.ao(&["messages", "app-1"]).await.ok();
        assert!(listed.contains("acknowledged  terminal"), "{listed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i08_what_a_person_has_typed_is_never_merged_with() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = sandbox();
        spawn(&sandbox, "shell", runtime).await;
        sandbox.until_output("app-1", "ready>").await;
        types(&sandbox, runtime, b"echo mine").await;
        sandbox.until_output("app-1", "ready> echo mine").await;
        sandbox.ao(&["send", "app-1", "echo sent > ~/sent"]).await.ok();
        let waiting = until(&sandbox, "told what stands there", |all| says(&all[0], "ready> echo mine")).await;
        assert_eq!((&waiting[0]["state"], &waiting[0]["via"]), (&json!("queued"), &Value::Null), "{waiting:#?}");
        // It goes on being looked at, and stays.
        types(&sandbox, runtime, b" too").await;
        until(&sandbox, "told that more stands there", |all| says(&all[0], "ready> echo mine too")).await;
        assert!(!sandbox.path("home/sent").exists(), "it was typed");
        // Ctrl-U
        types(&sandbox, runtime, b"\x15").await;
        until(&sandbox, "taken", all_acknowledged).await;
        sandbox.until("it was run", || read(&sandbox.path("home/sent")) == "sent\n").await;
        let shown = sandbox.ao(&["output", "app-1"]).await.ok();
        assert!(!shown.contains("mine too\n") && !shown.lines().any(|line| line == "mine"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_lines_arrive_as_one_and_nothing_in_them_is_obeyed() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = sandbox();
        spawn(&sandbox, "shell", runtime).await;
        sandbox.until_output("app-1", "ready>").await;
        let body =
            "printf '%s|' 'one\ntwo' 'a\u{1b}[201~\rtouch ~/pwned\rb\u{3}\u{4}\u{9b}201~' > ~/out\necho two >> ~/out";
        let before = read(&sandbox.path("home/prompts")).len();
        let run = sandbox.ao(&["send", "app-1", "--wait", "--timeout", "60s", "--json", body]).await;
        run.ok();
        assert_eq!(run.json()["body"], body, "the record has it as it was sent");
        let odd = char::REPLACEMENT_CHARACTER;
        let expected = format!("one\ntwo|a{odd}[201~{odd}touch ~/pwned{odd}b{odd}{odd}{odd}201~|two\n");
        sandbox.until("it was run", || read(&sandbox.path("home/out")) == expected).await;
        assert!(!sandbox.path("home/pwned").exists(), "what was sent left its paste");
        sandbox.until("there is a prompt again", || read(&sandbox.path("home/prompts")).len() > before).await;
        assert_eq!(read(&sandbox.path("home/prompts")).len(), before + 1, "it was submitted in pieces");
    }
}

/// A command of more than a hundred kilobytes, and what it writes into `~/long`.
fn long_command() -> (String, String) {
    let parts = (0..2500).map(|number| format!("part {number} of a long text, with ü and 🦀"));
    let text = parts.collect::<Vec<_>>().join(", ");
    assert!(text.len() > 100_000);
    (format!("printf %s '{text}' > ~/long\n"), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kilobytes_arrive_whole() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = sandbox();
        spawn(&sandbox, "shell", runtime).await;
        let ((command, text), file) = (long_command(), sandbox.path("long"));
        std::fs::write(&file, command).unwrap();
        sandbox.ao(&["send", "app-1", "--file", file.to_str().unwrap()]).await.ok();
        let taken = until(&sandbox, "taken", |all| all_acknowledged(all) || says(&all[0], "not submitted")).await;
        assert!(
            all_acknowledged(&taken),
            "{runtime}: {}\n{}",
            taken[0]["error"],
            sandbox.ao(&["output", "app-1"]).await.stdout
        );
        sandbox.until("it was run", || read(&sandbox.path("home/long")) == text).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i08_a_paste_that_is_not_taken_to_its_end_is_closed_and_its_beginning_is_not_submitted() {
    let sandbox = sandbox();
    spawn(&sandbox, "shell", "pty").await;
    sandbox.until_output("app-1", "ready>").await;
    let shell = u32::try_from(sandbox.show("app-1").await["pid"].as_u64().unwrap()).unwrap();
    crate::sandbox::signal(shell, rustix::process::Signal::STOP);
    let ((command, text), file) = (long_command(), sandbox.path("long"));
    std::fs::write(&file, command).unwrap();
    sandbox.ao(&["send", "app-1", "--file", file.to_str().unwrap()]).await.ok();
    until(&sandbox, "told that it cannot be typed", |all| says(&all[0], "cannot be typed just now")).await;
    crate::sandbox::signal(shell, rustix::process::Signal::CONT);
    let left = until(&sandbox, "told what is left", |all| says(&all[0], "broken off; there stands")).await;
    assert_eq!(left[0]["state"], "queued", "{left:#?}");
    assert!(!sandbox.path("home/long").exists(), "its beginning was submitted");
    // Ctrl-U, and Ctrl-L: bash does not draw the prompt again that left the screen.
    types(&sandbox, "pty", b"\x15\x0c").await;
    until(&sandbox, "taken", all_acknowledged).await;
    sandbox.until("it was run", || read(&sandbox.path("home/long")) == text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_echo_the_record_says_so_and_nothing_is_typed_twice() {
    let sandbox = sandbox();
    spawn(&sandbox, "silent", "pty").await;
    sandbox.until_output("app-1", "pass>").await;
    sandbox.ao(&["send", "app-1", "one"]).await.ok();
    sandbox.ao(&["send", "app-1", "two\n"]).await.ok();
    sandbox.ao(&["send", "app-1", "one\ntwo"]).await.fails(2, &["several lines", "bracketed paste"]);
    let unseen = until(&sandbox, "told that no echo was seen", all_unseen).await;
    assert!(unseen.iter().all(|message| message["state"] == "injected" && message["via"] == "terminal"), "{unseen:#?}");
    assert_eq!(read(&sandbox.path("home/got")), "one\ntwo\n");
    // Not by another daemon either.
    let daemon = sandbox.daemon_pid().await;
    crate::sandbox::signal(daemon, rustix::process::Signal::KILL);
    sandbox.until("the daemon is gone", || !Sandbox::is_running(daemon)).await;
    sandbox.ao(&["send", "app-1", "three"]).await.ok();
    until(&sandbox, "told of the third too", all_unseen).await;
    assert_eq!(read(&sandbox.path("home/got")), "one\ntwo\nthree\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn i08_what_does_not_stand_alone_at_the_prompt_is_not_submitted() {
    let sandbox = sandbox();
    spawn(&sandbox, "crowded", "pty").await;
    sandbox.until_output("app-1", "pass>").await;
    sandbox.ao(&["send", "app-1", "hello"]).await.ok();
    let left = until(&sandbox, "told that it is not submitted", |all| says(&all[0], "not submitted")).await;
    assert!(says(&left[0], "pass> my hello"), "{left:#?}");
    assert_eq!(left[0]["state"], "queued", "{left:#?}");
    assert_eq!(read(&sandbox.path("home/got")), "\u{1b}[200~hello\u{1b}[201~", "typed once, and not submitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn i07_a_message_that_waits_is_typed_by_the_next_daemon_and_an_ended_agent_returns_it() {
    let sandbox = sandbox();
    spawn(&sandbox, "shell", "pty").await;
    sandbox.until_output("app-1", "ready>").await;
    types(&sandbox, "pty", b"a draft").await;
    sandbox.ao(&["send", "app-1", "echo sent >> ~/sent"]).await.ok();
    until(&sandbox, "told what stands there", |all| says(&all[0], "a draft")).await;
    let daemon = sandbox.daemon_pid().await;
    crate::sandbox::signal(daemon, rustix::process::Signal::KILL);
    sandbox.until("the daemon is gone", || !Sandbox::is_running(daemon)).await;
    sandbox.ao(&["start"]).await.ok();
    types(&sandbox, "pty", b"\x15").await;
    until(&sandbox, "taken", all_acknowledged).await;
    sandbox.until("it was run", || read(&sandbox.path("home/sent")) == "sent\n").await;
    types(&sandbox, "pty", b"another draft").await;
    sandbox.ao(&["send", "app-1", "echo late >> ~/sent"]).await.ok();
    until(&sandbox, "told what stands there", |all| says(&all[1], "another draft")).await;
    types(&sandbox, "pty", b"\x15exit\r").await;
    let over = until(&sandbox, "returned, or taken before the shell ended", |all| all[1]["state"] != "queued").await;
    assert_eq!(over[1]["state"], "returned", "{over:#?}");
    assert_eq!(read(&sandbox.path("home/sent")), "sent\n");
}
