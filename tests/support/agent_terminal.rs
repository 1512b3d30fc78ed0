//! An agent's command on a terminal of its own, held by the test: no runtime of ao is involved.
#![allow(dead_code, unreachable_pub, reason = "each test target uses its own part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ao::ports::agent::AgentCommand;
use pty_process::OwnedWritePty;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A running agent. Dropping it kills the agent's process group.
pub struct AgentTerminal {
    pid: Pid,
    output: Arc<Mutex<Vec<u8>>>,
    writer: tokio::sync::Mutex<OwnedWritePty>,
    ended: watch::Receiver<bool>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for AgentTerminal {
    fn drop(&mut self) {
        // The leader is collected by its task only after `ended`, so until then the number is still its own.
        if !*self.ended.borrow() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        self.tasks[0].abort();
    }
}

impl AgentTerminal {
    /// Runs the command in `cwd`; its environment is `base` and the command's own.
    pub fn start(command: &AgentCommand, base: &BTreeMap<String, String>, cwd: &Path) -> Self {
        let (pty, pts) = pty_process::open().expect("a terminal");
        pty.resize(pty_process::Size::new(40, 120)).expect("a size");
        let mut program = pty_process::Command::new(&command.program)
            .args(&command.args)
            .env_clear()
            .envs(base)
            .envs(&command.env)
            .current_dir(cwd);
        if let Some(stdin) = &command.stdin {
            program = program.stdin(File::open(stdin).expect("the prompt file"));
        }
        let mut child = program.spawn(pts).expect("the agent starts");
        let pid = Pid::from_raw(i32::try_from(child.id().expect("it runs")).expect("a pid")).expect("a pid");
        let (mut reader, writer) = pty.into_split();
        let output = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&output);
        let read = tokio::spawn(async move {
            let mut chunk = vec![0; 64 * 1024];
            // Linux answers EIO when the last process has left the terminal.
            while let Ok(count @ 1..) = reader.read(&mut chunk).await {
                kept.lock().expect("not poisoned").extend_from_slice(&chunk[..count]);
            }
        });
        let (tell, ended) = watch::channel(false);
        let wait = tokio::spawn(async move {
            let _ = child.wait().await;
            tell.send_replace(true);
        });
        Self { pid, output, writer: tokio::sync::Mutex::new(writer), ended, tasks: [read, wait] }
    }

    /// Waits for the agent's end.
    pub async fn ended(&self) {
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Tells the agent that its terminal is gone.
    pub fn hang_up(&self) {
        kill_process_group(self.pid, Signal::HUP).expect("it runs");
    }

    /// What was printed, without escape sequences and white space: programs move the cursor instead of printing spaces.
    pub fn screen(&self) -> String {
        let output = self.output.lock().expect("not poisoned");
        plain(&String::from_utf8_lossy(&output))
    }

    /// Waits for a condition; panics with the end of the screen when it does not come about.
    pub async fn wait_until(&self, what: &str, timeout: Duration, condition: impl Fn() -> bool) {
        let wait = async {
            while !condition() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let in_time = tokio::time::timeout(timeout, wait).await.is_ok();
        let screen: Vec<char> = self.screen().chars().collect();
        let shown: String = screen[screen.len().saturating_sub(1500)..].iter().collect();
        assert!(in_time, "{what} did not come in {timeout:?} (ended: {}); screen: {shown}", *self.ended.borrow());
    }

    /// Waits until the text was printed; white space does not matter.
    pub async fn wait_for_text(&self, text: &str, timeout: Duration) {
        let wanted = plain(text);
        self.wait_until(&format!("text {text:?}"), timeout, || self.screen().contains(&wanted)).await;
    }

    /// Types text.
    pub async fn type_text(&self, text: &str) {
        self.writer.lock().await.write_all(text.as_bytes()).await.expect("the terminal takes input");
    }

    /// Presses a key until the condition holds: a dialog that was just drawn may not listen yet.
    pub async fn press_until(&self, key: &str, timeout: Duration, condition: impl Fn() -> bool) {
        let press = async {
            while !condition() {
                self.type_text(key).await;
                for _ in 0..20 {
                    if !condition() {
                        tokio::time::sleep(LOOK).await;
                    }
                }
            }
        };
        assert!(tokio::time::timeout(timeout, press).await.is_ok(), "{key:?} did nothing; screen: {}", self.screen());
    }

    /// Types a line, waits for its echo, and sends it off.
    pub async fn submit(&self, line: &str, timeout: Duration) {
        self.type_text(line).await;
        self.wait_for_text(line, timeout).await;
        self.type_text("\r").await;
    }

    /// Fails when the text stands in an argument or in the environment of any process of this agent.
    pub fn assert_not_in_process_listing(&self, text: &str) {
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let name = entry.file_name();
            if !name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            // Some have ended since the listing.
            let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
            assert!(!arguments.contains(text.trim()), "process {} shows it: {arguments}", name.display());
        }
        let own = std::fs::read(format!("/proc/{}/environ", self.pid.as_raw_nonzero())).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&own).contains(text.trim()), "the agent's environment holds it");
    }
}

fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            skip_escape(&mut chars);
        } else if !char.is_whitespace() && !char.is_control() && char != '\u{a0}' {
            plain.push(char);
        }
    }
    plain
}

fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            for char in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&char) {
                    break;
                }
            }
        }
        Some(']') => {
            while let Some(char) = chars.next() {
                if char == '\u{7}' || (char == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some('(' | ')') => {
            chars.next();
        }
        _ => {}
    }
}
