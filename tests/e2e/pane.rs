//! A real terminal for a command: a pane of a private tmux server.

use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;

/// A shell in the pane of a tmux server of its own.
pub(crate) struct Pane<'a> {
    sandbox: &'a Sandbox,
    socket: &'a str,
}

impl<'a> Pane<'a> {
    /// Opens one with so many columns and rows; the socket's name tells several apart.
    pub(crate) async fn open(sandbox: &'a Sandbox, socket: &'a str, (cols, rows): (u16, u16)) -> Self {
        let pane = Self { sandbox, socket };
        let (cols, rows) = (cols.to_string(), rows.to_string());
        pane.tmux(&["new-session", "-d", "-x", &cols, "-y", &rows, "env PS1='$ ' sh"]);
        pane.until("the shell is there", |screen| screen.starts_with('$')).await;
        pane
    }

    pub(crate) fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.sandbox.path(self.socket)).args(["-f", "/dev/null"]).args(args);
        command.current_dir(self.sandbox.repo()).env_clear().envs(&self.sandbox.env).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn enter(&self, line: &str) {
        self.tmux(&["send-keys", line, "Enter"]);
    }

    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&str) -> bool) {
        self.sandbox.until(&format!("{what}: the screen"), || condition(&self.screen())).await;
    }

    pub(crate) fn ask(&self, what: &str) -> String {
        self.tmux(&["display-message", "-p", what]).trim().to_owned()
    }

    /// Waits until the screen is taken over; `is` says whether there is an alternate screen, and a cursor.
    pub(crate) async fn until_taken_over(&self, is: &str) {
        self.sandbox.until("the screen is taken over", || self.ask("#{alternate_on} #{cursor_flag}") == is).await;
    }

    /// Waits until the shell has its terminal back, just as it was: with nothing of what the command showed.
    pub(crate) async fn given_back(&self, shown_before: &str, left: &str) {
        self.until("the shell is back", |screen| screen.contains(left)).await;
        assert_eq!(self.ask("#{alternate_on} #{cursor_flag} #{wrap_flag}"), "0 1 1", "{}", self.screen());
        let screen = self.screen();
        assert!(screen.contains("before") && !screen.contains(shown_before), "{screen}");
        // Modes too: the shell does not mend these, and what is typed shows.
        self.enter(
            "clear; stty -a | grep -ow -- -*echo; stty -a | grep -ow -- -*icanon; stty -a | grep -o 'susp = ..'",
        );
        self.until("the modes show", |screen| screen.contains("susp = ^Z")).await;
        let screen = self.screen();
        assert!(screen.lines().any(|line| line == "echo") && screen.lines().any(|line| line == "icanon"), "{screen}");
        self.enter("clear; echo before");
        self.until("it is cleared", |screen| screen.contains("before") && !screen.contains("susp")).await;
    }
}

impl Drop for Pane<'_> {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.arg("-S").arg(self.sandbox.path(self.socket)).arg("kill-server").stderr(Stdio::null()).status();
    }
}
