//! The `tmux` runtime with the real tmux: the contract of every runtime, what every multiplexer has to get right, and what only
//! tmux can get wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test: it fails by panicking, and the edge is where the environment is read"
)]

mod multiplexer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ao::adapters::runtime::tmux::{self, TmuxSettings};
use ao::domain::exit::Exit;
use ao::platform::file::find_program;
use ao::ports::runtime::{Liveness, Runtime, TerminalKey};

use crate::multiplexer::{Fixture, GRACE, Multiplexer, environment, path_var, until};

const TMUX: Multiplexer =
    Multiplexer { name: "tmux", runtime: |root| Arc::new(tmux::runtime(settings(root))), server: " new-session " };

multiplexer_tests!(TMUX);

fn settings(root: &Path) -> TmuxSettings {
    let socket_dir = root.join("s");
    std::fs::create_dir_all(&socket_dir).unwrap();
    TmuxSettings { path_var: path_var(), ao_program: env!("CARGO_BIN_EXE_ao").into(), env: environment(), socket_dir }
}

/// Where the server that shows a session says that it listens.
fn socket(key: &TerminalKey) -> PathBuf {
    let record = std::fs::read(key.session_dir.join("terminal/tmux.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    record["socket"].as_str().unwrap().into()
}

/// A tmux command of a person's own to a server.
fn command(socket: &Path, args: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(find_program("tmux", &path_var()).unwrap());
    command.env_clear().envs(environment()).arg("-S").arg(socket).args(args);
    command
}

/// What it prints.
fn ask(socket: &Path, args: &[&str]) -> String {
    let output = command(socket, args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A server of the user's own, ended when dropped.
struct Foreign(PathBuf);

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = command(&self.0, &["kill-server"]).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_users_own_tmux_counts() {
    let Some(fixture) = Fixture::new(&TMUX).await else { return };
    let foreign = Foreign(fixture.root.join("foreign"));
    ask(&foreign.0, &["new-session", "-d", "-s", "mine", "sleep", "600"]);
    let home = fixture.root.join("home");
    let surprise = format!("set -g status on\nset -g history-limit 7\nrun-shell 'touch {0}/read'\n", home.display());
    for file in [".tmux.conf", ".config/tmux/tmux.conf"] {
        std::fs::create_dir_all(home.join(file).parent().unwrap()).unwrap();
        std::fs::write(home.join(file), &surprise).unwrap();
    }
    let mut settings = settings(&fixture.root);
    let of_a_person = [
        ("HOME", home.display().to_string()),
        ("TMUX", format!("{},1,0", foreign.0.display())),
        ("TMUX_PANE", "%0".to_owned()),
        ("TMUX_TMPDIR", fixture.root.display().to_string()),
    ];
    settings.env.extend(of_a_person.map(|(name, value)| (name.to_owned(), value)));
    let runtime = tmux::runtime(settings);
    let spec = fixture.spec(1, "/bin/sleep", &["600"]);
    runtime.create(&spec).await.unwrap();
    let own = socket(&spec.key);
    assert_eq!(ask(&own, &["show-options", "-gv", "status"]), "off\n");
    assert_eq!(ask(&own, &["show-options", "-gv", "history-limit"]), "5000\n");
    assert_eq!(ask(&own, &["list-sessions", "-F", "#{session_name}"]), "shop-1\n");
    assert_eq!(ask(&foreign.0, &["list-sessions", "-F", "#{session_name}"]), "mine\n", "it is in the user's server");
    runtime.stop(&spec.key, GRACE).await.unwrap();
    assert!(!home.join("read").exists(), "the user's configuration was read");
    assert_eq!(ask(&foreign.0, &["list-sessions", "-F", "#{session_name}"]), "mine\n", "the user's server was harmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_understood_and_leaves_one_key() {
    let Some(fixture) = Fixture::new(&TMUX).await else { return };
    let spec = fixture.spec(1, "/bin/sleep", &["600"]);
    fixture.runtime.create(&spec).await.unwrap();
    let own = socket(&spec.key);
    // A line that is not understood is an error here, and in ao's server a message on the screen of whoever attaches.
    let other = Foreign(fixture.root.join("other"));
    ask(&other.0, &["-f", "/dev/null", "new-session", "-d", "sleep", "600"]);
    ask(&other.0, &["source-file", spec.key.session_dir.join("terminal/tmux.conf").to_str().unwrap()]);
    drop(other);
    // 3.7 does not list any key when there is no prefix.
    let keys = ask(&own, &["list-keys"]);
    assert!(keys.lines().count() <= 1 && keys.lines().all(|key| key.contains("detach-client")), "{keys}");
    for name in ["prefix", "prefix2"] {
        assert_eq!(ask(&own, &["show-options", "-gv", name]), "None\n");
    }
    fixture.runtime.stop(&spec.key, GRACE).await.unwrap();
    fixture.nothing_is_left().await;
}

/// A person's client on a terminal of its own.
struct Client {
    child: tokio::process::Child,
    terminal: pty_process::Pty,
}

impl Client {
    fn attach(socket: &Path, args: &[&str]) -> Self {
        let (terminal, pts) = pty_process::open().unwrap();
        terminal.resize(pty_process::Size::new(30, 100)).unwrap();
        let command = pty_process::Command::new(find_program("tmux", &path_var()).unwrap()).env_clear();
        let command = command.envs(environment()).env("TERM", "xterm-256color").kill_on_drop(true);
        let child = command.arg("-S").arg(socket).arg("attach-session").args(args).spawn(pts).unwrap();
        Self { child, terminal }
    }

    /// Presses keys until something has happened: a client that is only starting does not take them.
    async fn press_until(&mut self, keys: &[u8], what: &str, happened: impl Fn() -> bool) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let press = async {
            let mut drawn = vec![0; 64 * 1024];
            while !happened() {
                // What it draws is read, so that it never waits for that.
                let _ =
                    tokio::time::timeout(std::time::Duration::from_millis(20), self.terminal.read(&mut drawn)).await;
                let _ = self.terminal.write_all(keys).await;
            }
        };
        assert!(tokio::time::timeout(std::time::Duration::from_secs(20), press).await.is_ok(), "never: {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_attaches_has_every_key_but_the_one_that_detaches() {
    let Some(fixture) = Fixture::new(&TMUX).await else { return };
    let spec = fixture.shell(1, "stty raw -echo; : > ready; exec cat > got");
    let agent = fixture.runtime.create(&spec).await.unwrap();
    until("the agent reads", || fixture.root.join("ready").exists()).await;
    let own = socket(&spec.key);
    let got = || std::fs::read(fixture.root.join("got")).unwrap_or_default();
    let mut client = Client::attach(&own, &[]);
    // The usual prefix and what would open a window after it.
    client.press_until(b"\x02c", "the prefix reaches the agent", || got().windows(2).any(|two| two == b"\x02c")).await;
    assert_eq!(ask(&own, &["list-windows", "-F", "#{window_width}x#{window_height}"]), "100x30\n");
    client.press_until(b"\x1c", "it is detached", || ask(&own, &["list-clients"]).is_empty()).await;
    client.child.wait().await.unwrap();
    assert!(!got().contains(&0x1c), "the key that detaches was typed, too");
    assert_eq!(fixture.liveness(&spec).await, Liveness::Alive(agent));
    fixture.runtime.stop(&spec.key, GRACE).await.unwrap();
    fixture.nothing_is_left().await;
}

/// `send-keys` would go to that person's copy mode, or be refused because they may only read.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_arrives_whatever_a_person_who_watches_does() {
    let Some(fixture) = Fixture::new(&TMUX).await else { return };
    let spec = fixture.shell(1, "stty raw -echo; : > ready; exec cat > got");
    fixture.runtime.create(&spec).await.unwrap();
    until("the agent reads", || fixture.root.join("ready").exists()).await;
    let own = socket(&spec.key);
    let client = Client::attach(&own, &["-r"]);
    until("the person watches", || !ask(&own, &["list-clients"]).is_empty()).await;
    ask(&own, &["copy-mode"]);
    fixture.runtime.input(&spec.key, b"typed\r").await.unwrap();
    let got = fixture.root.join("got");
    until("it arrived", || std::fs::read(&got).is_ok_and(|got| got == b"typed\r")).await;
    assert_eq!(ask(&own, &["display-message", "-p", "#{pane_in_mode}"]), "1\n", "the person was disturbed");
    assert_eq!(ask(&own, &["list-buffers"]), "", "what was typed stays in the server");
    drop(client);
    fixture.runtime.stop(&spec.key, GRACE).await.unwrap();
    fixture.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_opened_beside_the_agent_ends_with_it() {
    let Some(fixture) = Fixture::new(&TMUX).await else { return };
    let spec = fixture.shell(1, "read line; exit 4");
    fixture.runtime.create(&spec).await.unwrap();
    let beside = fixture.root.display().to_string();
    ask(&socket(&spec.key), &["new-window", "-d", "-c", &beside, "sleep", "600"]);
    fixture.runtime.input(&spec.key, b"\r").await.unwrap();
    assert_eq!(fixture.dead(&spec).await, Exit::Code(4));
    fixture.nothing_is_left().await;
}

/// tmux answers before it has read the terminal to its end: asked at once, it lacks the last words one time in ten.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_much_output_is_kept() {
    let Some(fixture) = Fixture::new(&TMUX).await else { return };
    for round in 1..=20 {
        // In the middle of a string that is never ended, which must not hide what is waited for.
        let spec = fixture.shell(round, "seq 1 30000; printf 'the last words'; printf '\\033P1;2q'; exit 0");
        fixture.runtime.create(&spec).await.unwrap();
        assert_eq!(fixture.dead(&spec).await, Exit::Code(0));
        let output = fixture.runtime.output(&spec.key, 2).await.unwrap();
        assert_eq!(output, "30000\nthe last words", "round {round}");
    }
    fixture.nothing_is_left().await;
}

/// A killed daemon leaves the client that it had just started to make a server.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_still_makes_a_server_is_ended_with_it() {
    let Some(fixture) = Fixture::new(&TMUX).await else { return };
    let spec = fixture.spec(1, "/bin/sleep", &["600"]);
    fixture.runtime.create(&spec).await.unwrap();
    let own = socket(&spec.key);
    fixture.runtime.stop(&spec.key, GRACE).await.unwrap();
    // A shell with the client's arguments, of which `-f` means no harm to it and the next is its script.
    let script = fixture.root.join("script");
    std::fs::write(&script, "read line").unwrap();
    let mut client = std::process::Command::new("/bin/sh");
    client.env_clear().envs(environment()).current_dir(&fixture.root).stdin(std::process::Stdio::piped());
    client.arg("-f").arg(&script).arg("-S").arg(&own).args(["new-session", "-d"]);
    let mut client = client.spawn().unwrap();
    fixture.runtime.stop(&spec.key, GRACE).await.unwrap();
    let left = client.try_wait().unwrap();
    client.kill().unwrap();
    assert!(left.is_some(), "it was not ended");
    fixture.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_found_usable_before_its_directory_is_made() {
    let Some(fixture) = Fixture::new(&TMUX).await else { return };
    let socket_dir = fixture.root.join("data/run");
    tmux::runtime(TmuxSettings { socket_dir, ..settings(&fixture.root) }).preflight().await.unwrap();
    assert!(!fixture.root.join("data").exists(), "the data directory was made");
}
