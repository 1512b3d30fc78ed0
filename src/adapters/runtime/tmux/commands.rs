//! The tmux commands ao runs, each bounded in time. What is typed goes in by standard input: arguments show in every process
//! listing.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config;
use super::place::Place;
use crate::adapters::runtime::multiplexer::Shown;
use crate::adapters::runtime::multiplexer::view::Client;
use crate::platform::child::{Output, Program};
use crate::ports::runtime::TerminalSpec;

/// How long a command may take. They take about 5 ms.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most text that is read of a terminal, in bytes.
const MAX_TEXT_BYTES: usize = 64 * 1024 * 1024;

/// What is printed last.
const DONE: &str = "ao-done";

/// The one pane of a server.
const PANE: &str = "%0";

/// A tmux program.
#[derive(Debug, Clone)]
pub(super) struct Tmux(PathBuf);

impl Tmux {
    pub(super) fn new(program: PathBuf) -> Self {
        Self(program)
    }

    pub(super) fn program(&self) -> &Path {
        &self.0
    }

    /// What `-V` prints.
    pub(super) async fn version(&self) -> Result<String, String> {
        text_of(self.run([OsStr::new("-V")], BTreeMap::new())).await
    }

    /// Starts a server whose only pane runs `ao supervise`, in the background. Success says nothing about its pane.
    ///
    /// `env` is the base environment; what would lead tmux to another server is left out.
    pub(super) async fn start(
        &self,
        place: &Place,
        spec: &TerminalSpec,
        ao_program: &Path,
        env: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let env = own(env);
        let (config, socket) = (config::file(&spec.key.session_dir), place.socket());
        let (cols, rows) = (spec.size.cols.to_string(), spec.size.rows.to_string());
        let how =
            ["new-session", "-d", "-s", spec.key.session.as_str(), "-x", &cols, "-y", &rows, "--"].map(OsStr::new);
        // More than one word: a single one would be given to a shell.
        let what = [ao_program.as_os_str(), OsStr::new("supervise"), OsStr::new("--session-dir")];
        let where_ = [OsStr::new("-f"), config.as_os_str(), OsStr::new("-S"), socket.as_os_str()];
        let words = what.into_iter().chain([spec.key.session_dir.as_os_str()]).map(word);
        let then = [";"].into_iter().chain(config::AFTER_START).map(OsString::from);
        let args = where_.into_iter().chain(how).map(OsStr::to_owned).chain(words).chain(then);
        // A server keeps its working directory, so it must be none that anybody wants to remove.
        text_of(self.run(args, env).cwd(Path::new("/"))).await.map(drop)
    }

    /// What the terminal shows, wrapped lines joined in everything.
    pub(super) async fn capture(&self, place: &Place, shown: Shown) -> Result<String, String> {
        let (screen, everything) = (["capture-pane", "-p", "-t", PANE], ["-J", "-S", "-"]);
        match shown {
            Shown::Screen => self.ask(place, screen, &[]).await,
            Shown::Everything => self.ask(place, screen.into_iter().chain(everything), &[]).await,
        }
    }

    /// The title of the terminal, which programs in it can set.
    pub(super) async fn title(&self, place: &Place) -> Result<String, String> {
        let title = self.ask(place, ["display-message", "-p", "-t", PANE, "#{pane_title}"], &[]).await?;
        Ok(title.trim_end().to_owned())
    }

    /// Hands bytes to the terminal's input exactly as they are; `is_cleaned` says that this tmux would change some otherwise.
    ///
    /// By a paste buffer, not by `send-keys`: that goes to the copy mode of a person who looks around in the scrollback, and is
    /// refused when one watches who may only read.
    pub(super) async fn paste(&self, place: &Place, bytes: &[u8], is_cleaned: bool) -> Result<(), String> {
        let buffer = format!("ao-{}", uuid::Uuid::new_v4().simple());
        let as_it_is = if is_cleaned { "-drS" } else { "-dr" };
        let args = ["load-buffer", "-b", &buffer, "-", ";", "paste-buffer", as_it_is, "-b", &buffer, "-t", PANE];
        self.ask(place, args, bytes).await.map(drop)
    }

    /// What shows the terminal to a person.
    pub(super) fn client(&self, place: &Place, env: &BTreeMap<String, String>) -> Client {
        let socket = place.socket();
        // Whatever the locale: letters and colours come out as they are.
        let args = ["-u", "-T", "RGB", "-S"].map(OsString::from).into_iter();
        let args = args.chain([socket.into_os_string(), "attach-session".into()]);
        let args = args.chain(config::VIEWER_FLAGS.map(OsString::from)).collect();
        Client { program: self.0.clone(), args, env: own(env) }
    }

    /// Asks the server to end.
    pub(super) async fn end(&self, place: &Place) -> Result<(), String> {
        text_of(self.to(place, ["kill-server"])).await.map(drop)
    }

    /// What a command says to a server that runs, done to its end: one whose server ends meanwhile exits with 0 and has
    /// printed nothing, or a part.
    async fn ask<'a>(
        &self,
        place: &Place,
        command: impl IntoIterator<Item = &'a str>,
        stdin: &[u8],
    ) -> Result<String, String> {
        let then = [";", "display-message", "-p", "-t", PANE, DONE];
        let asked = self.to(place, command.into_iter().chain(then)).stdin(stdin).max_output_bytes(MAX_TEXT_BYTES);
        let text = text_of(asked).await?;
        let whole = text.trim_end_matches('\n').strip_suffix(DONE);
        whole.map(str::to_owned).ok_or_else(|| "its server ended before it had answered".to_owned())
    }

    /// A command to a server that runs. None of these starts one.
    fn to<'a>(&self, place: &Place, command: impl IntoIterator<Item = &'a str>) -> Program {
        let socket = place.socket();
        // Whatever the locale: letters come out as they are.
        let args = [OsStr::new("-u"), OsStr::new("-S"), socket.as_os_str()].map(OsStr::to_owned);
        self.run(args.into_iter().chain(command.into_iter().map(OsString::from)), BTreeMap::new())
    }

    fn run(&self, args: impl IntoIterator<Item = impl Into<OsString>>, env: BTreeMap<String, String>) -> Program {
        Program::new(&self.0, env, TIMEOUT).args(args)
    }
}

/// An environment without what would lead tmux to another server.
fn own(env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut env = env.clone();
    env.retain(|name, _| !name.starts_with("TMUX"));
    env
}

/// An argument that is not a tmux command's end: tmux takes a semicolon at an argument's end for one.
fn word(argument: &OsStr) -> OsString {
    match argument.as_bytes().strip_suffix(b";") {
        Some(rest) => OsString::from_vec([rest, b"\\;"].concat()),
        None => argument.to_owned(),
    }
}

async fn text_of(program: Program) -> Result<String, String> {
    let output: Output = program.run().await.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = output.complaint();
    let cause = complaint.lines().next().unwrap_or("it said nothing");
    Err(format!("tmux failed ({}): {cause}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_that_ends_like_a_command_is_still_an_argument() {
        assert_eq!(word(OsStr::new("/opt/a;o")), "/opt/a;o");
        assert_eq!(word(OsStr::new("/opt/ao;")), "/opt/ao\\;");
    }
}
