//! The command line's grammar.
#![allow(clippy::doc_markdown, reason = "these comments are help texts, read on a terminal")]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::config::HttpPort;
use crate::app::wait::WaitFor;
use crate::domain::id::{ProjectId, RequestId, SessionId};

mod attach;
mod events;
mod internal;
mod project;
mod spawn;
pub use attach::{AttachArgs, DetachKey};
pub use events::{EventsArgs, Since};
pub use internal::{HolderArgs, HookArgs, SetupShellArgs, SuperviseArgs};
pub use project::{ProjectAddArgs, ProjectArgs, ProjectCommand, ProjectTrustArgs};
pub use spawn::{KindArg, SpawnArgs, WaitArg};

/// Runs many coding agents at once, each in its own git worktree and its own terminal.
#[derive(Debug, Parser)]
#[command(name = "ao", version, propagate_version = false, max_term_width = 100)]
#[command(after_help = "Examples:
  ao spawn \"fix the failing test\"        start an agent on a task, in this repo
  ao ls                                  see what every agent does
  ao output app-1                        see what one printed
  ao send app-1 \"also update the docs\"   tell one something while it works
  ao wait app-1 --for idle               until its turn is over
  ao approve app-1                       allow what one is blocked on
  ao events -f                           follow what happens
  ao kill app-1                          end it; uncommitted work is kept

Exit codes: 0 done, 1 failed, 2 usage, 3 daemon not reachable, 4 no such thing, 5 refused in this state, 6 timed out.")]
pub struct Cli {
    /// Where ao keeps everything [default: AO_DATA_DIR, else the XDG data directory + ao]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start an agent on a task
    Spawn(Box<SpawnArgs>),
    /// List sessions
    Ls(LsArgs),
    /// Show everything about a session
    #[command(after_help = "Examples:
  ao show app-1
  ao show app-1 --json | jq -r .status")]
    Show(SessionArgs),
    /// Print what a session's terminal showed
    Output(OutputArgs),
    /// Sit down at a session's terminal: see it and type into it
    Attach(AttachArgs),
    /// Send a session's agent a message
    Send(SendArgs),
    /// Print what happened, and with -f what happens
    Events(EventsArgs),
    /// List a session's messages, and what became of them
    #[command(after_help = "Examples:
  ao messages app-1
  ao messages app-1 --json | jq '.[] | select(.state == \"queued\")'")]
    Messages(SessionArgs),
    /// Allow what a session's agent asks permission for
    Approve(ApproveArgs),
    /// Deny what a session's agent asks permission for
    Deny(DenyArgs),
    /// Wait until sessions reach a state
    Wait(WaitArgs),
    /// End a session; work that is not committed is kept
    Kill(KillArgs),
    /// Bring ended sessions back, with their agents' conversations
    Restore(RestoreArgs),
    /// Take away the workspaces of ended sessions that nobody needs any more
    Cleanup(CleanupArgs),
    /// Register, list and forget repositories
    #[command(after_help = "Examples:
  ao project add ~/src/app     register a repository, as ao spawn does
  ao project ls                see which there are
  ao project trust             accept what the ao.toml of this one says")]
    Project {
        /// What to do.
        #[command(subcommand)]
        command: ProjectCommand,
    },
    /// Offer these commands to an agent as tools: an MCP server on standard input and output
    #[command(after_help = "Examples:
  claude mcp add ao -- ao mcp     give them to a Claude Code of yours

An orchestrator that ao spawned has them already.")]
    Mcp(McpArgs),
    /// Run the daemon in the foreground
    #[command(after_help = "Examples:
  ao daemon                     serve until Ctrl-C; agents go on
  ao daemon --http off          without a TCP port
  AO_LOG=debug ao daemon        and say more of what it does

Usually not needed: ao spawn and ao start begin one in the background.")]
    Daemon(DaemonArgs),
    /// Start the daemon in the background, unless it runs
    #[command(after_help = "Examples:
  ao start
  AO_LOG=debug ao start     with a log that says more

The log is daemon.log in the data directory.")]
    Start,
    /// Stop the daemon; agents go on
    #[command(after_help = "Examples:
  ao stop
  ao stop && ao start     after a change of the configuration")]
    Stop,
    /// Tell whether the daemon runs
    #[command(after_help = "Examples:
  ao status
  ao status --json | jq .pid

Exit codes: 0 it runs, 3 it does not.")]
    Status(JsonArgs),
    /// Print the token for the daemon's TCP port, or make a new one
    #[command(after_help = "Examples:
  ao status            the port's address, among others
  printf 'Authorization: Bearer %s' \"$(ao token)\" | curl -H @- URL
  ao token --renew     what has the old one is cut off

It is in the file token of the data directory, which only you can read.")]
    Token(TokenArgs),
    /// Check git, runtimes, agents and directories, and say what to do
    #[command(after_help = "Examples:
  ao doctor

Needs no daemon, and changes nothing. Exit codes: 0 all that is needed is there, 1 something has to be mended.")]
    Doctor(JsonArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:
  source <(ao completion bash)                      in ~/.bashrc
  ao completion zsh > ~/.zfunc/_ao                  in a directory of $fpath
  ao completion fish > ~/.config/fish/completions/ao.fish

make install has put those of bash, zsh and fish where they are found.")]
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory
    #[command(after_help = "Examples:
  ao man ~/.local/share/man/man1     then: man ao, man ao-spawn

make install has done that.")]
    Man(ManArgs),
    /// Print the version
    #[command(after_help = "Examples:
  ao version
  ao version --json")]
    Version(JsonArgs),
    /// What agents' hooks call
    #[command(hide = true)]
    Hook(HookArgs),
    /// The process that holds a terminal of the pty runtime
    #[command(hide = true)]
    Holder(HolderArgs),
    /// The process that runs an agent inside a multiplexer's pane
    #[command(hide = true)]
    Supervise(SuperviseArgs),
    /// What becomes the shell of a project's command
    #[command(hide = true)]
    SetupShell(SetupShellArgs),
}

/// `ao daemon`.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// Leave the caller's terminal and process group; log to the data directory
    #[arg(long, hide = true)]
    pub background: bool,
    /// Where to serve the API on TCP too: a loopback address and a port (0 for a free one), or off [default: as config.toml says, else 127.0.0.1:0]
    #[arg(long, value_name = "ADDR|off")]
    pub http: Option<HttpPort>,
}

/// `ao wait`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao wait app-1 --for idle                     until its turn is over
  ao wait app-1 --for blocked --timeout 8h     until it asks for a permission
  ao wait app-1 app-2 --for exit --json        until both are over; a line each

A daemon that goes away meanwhile is waited for, for two minutes; agents go on without it.

Exit codes: 0 reached, 1 a session ended without reaching it, 2 its agent does not report such a state, \
3 daemon not reachable, 4 no such session, 6 timed out.")]
pub struct WaitArgs {
    /// The sessions, for example app-1; all of them are waited for
    #[arg(required = true, value_name = "SESSION")]
    pub sessions: Vec<SessionId>,
    /// What to wait for
    #[arg(long = "for", value_enum, value_name = "STATE")]
    pub state: WaitStateArg,
    /// How long to wait, for example 90s or 8h [default: no limit]
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub timeout: Option<std::time::Duration>,
    /// Print each session as JSON, on a line of its own, as soon as it is settled
    #[arg(long)]
    pub json: bool,
}

/// What `ao wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WaitStateArg {
    /// The agent's turn is over.
    Idle,
    /// The session is over, however it ended.
    Exit,
    /// The agent waits for a permission decision.
    Blocked,
}

impl From<WaitStateArg> for WaitFor {
    fn from(state: WaitStateArg) -> Self {
        match state {
            WaitStateArg::Idle => Self::Idle,
            WaitStateArg::Exit => Self::Exit,
            WaitStateArg::Blocked => Self::Blocked,
        }
    }
}

/// `ao ls`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao ls -a -p app                 everything there ever was of one project
  ao ls --watch                   a live table; Ctrl-C leaves it
  ao ls --watch --json | jq -c .  each state on a line of its own, for programs

With --watch and without a terminal, each state is printed after the one before.")]
pub struct LsArgs {
    /// Also those that are over
    #[arg(long, short)]
    pub all: bool,
    /// Only this project's
    #[arg(long, short, value_name = "ID")]
    pub project: Option<ProjectId>,
    /// Stay, and show what changes
    #[arg(long, short)]
    pub watch: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A command about one session.
#[derive(Debug, Args)]
pub struct SessionArgs {
    /// The session, for example app-1
    pub session: SessionId,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `ao send`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao send app-1 \"use the new API for this\"
  ao send app-1 --wait --timeout 10m \"stop after the first module\"
  git diff | ao send app-1 -

An agent with hooks is handed it, and no key is pressed: between two tools, at the end of its turn, with its next prompt, \
or, when it is idle, at once. One without is typed to when its prompt is empty. Each is handed over once and in order; \
what an agent that ends had not taken goes to the restored one.

Exit codes: 0 accepted, or with --wait taken by the agent; 1 it failed, 2 not this text, 5 the session is over or takes no \
messages, or too many were sent, 6 not taken in time.")]
pub struct SendArgs {
    /// The session, for example app-1
    pub session: SessionId,
    /// The message, or - to read it from standard input
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub message: Option<String>,
    /// Read the message from a file
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Return when the agent was seen to have taken it
    #[arg(long, short)]
    pub wait: bool,
    /// How long to wait, for example 90s or 10m [default: no limit]
    #[arg(long, value_parser = parse_duration, value_name = "TIME", requires = "wait")]
    pub timeout: Option<std::time::Duration>,
    /// Print the message as JSON
    #[arg(long)]
    pub json: bool,
}

/// `ao approve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao show app-1                                   what it asks
  ao approve app-1                                what was asked first
  ao approve app-1 --request b4f7b0e61d1f51a7     only if that is still asked

The agent's own dialog stays as it is (but for subagents in the background), and the first answer wins.

Exit codes: 0 allowed, 4 no such session, 5 it asks nothing, or not that any more, or its hook does not wait, or it is not \
yours to decide.")]
pub struct ApproveArgs {
    /// What is decided about
    #[command(flatten)]
    pub about: AskedArgs,
}

/// What an agent asks, and how the decision about it is shown.
#[derive(Debug, Args)]
pub struct AskedArgs {
    /// The session, for example app-1
    pub session: SessionId,
    /// The request, as ao show has it [default: what was asked first]
    #[arg(long, value_name = "ID")]
    pub request: Option<RequestId>,
    /// Print what was decided as JSON
    #[arg(long)]
    pub json: bool,
}

/// `ao deny`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao deny app-1 --reason \"use the staging server\"     the agent is told why

The agent goes on. What had been allowed in its terminal before runs all the same; ao show says so then.

Exit codes: 0 denied, 2 the reason cannot be told, 4 no such session, 5 it asks nothing, or not that any more, or its hook \
does not wait, or it is not yours to decide.")]
pub struct DenyArgs {
    /// What is decided about
    #[command(flatten)]
    pub about: AskedArgs,
    /// Why; the agent is told
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `ao kill`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao kill app-1             end it; a workspace with uncommitted work stays
  ao kill --force app-1     end it; the work is saved, and the workspace goes
  ao kill app-1 app-2       end several, side by side

Work is saved to refs/ao/preserved/SESSION, and comes back with: ao restore SESSION. Files that git ignores are not \
saved; they go with the workspace.")]
pub struct KillArgs {
    /// The sessions, for example app-1
    #[arg(required = true, value_name = "SESSION")]
    pub sessions: Vec<SessionId>,
    /// Take the workspace away also when it holds uncommitted work, after saving that to refs/ao/preserved/SESSION
    #[arg(long)]
    pub force: bool,
    /// Print JSON, a line for each of several sessions
    #[arg(long)]
    pub json: bool,
}

/// `ao restore`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao restore app-1     bring one back: its workspace, conversation and settings
  ao restore --all     bring back all that were cut short, as by a reboot

An agent that knows no conversations begins its task again. A restore that fails leaves the session as it was.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RestoreArgs {
    /// The sessions, for example app-1
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "SESSION")]
    pub sessions: Vec<SessionId>,
    /// Every session that was lost, or whose agent something other than ao ended by a signal
    #[arg(long)]
    pub all: bool,
    /// Wait in line when the limit of live agents is reached, instead of being refused
    #[arg(long)]
    pub queue: bool,
    /// Return when it is begun, not when the agent is ready
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait for each, for example 90s or 5m [default: 60s]
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub timeout: Option<std::time::Duration>,
    /// Print the sessions as JSON
    #[arg(long)]
    pub json: bool,
}

/// `ao cleanup`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao cleanup --dry-run     tell what would go, and why the rest stays
  ao cleanup               take away what holds nothing that is not committed
  ao cleanup --force       also what does, after saving that

Work is saved to refs/ao/preserved/SESSION. Branches with commits of their own are never deleted, and only what ao made is ever touched.")]
pub struct CleanupArgs {
    /// Only tell what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Also workspaces that hold uncommitted work, after saving that to refs/ao/preserved/SESSION
    #[arg(long)]
    pub force: bool,
    /// Only this project's
    #[arg(long, short, value_name = "ID")]
    pub project: Option<ProjectId>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `ao output`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao output app-1                 the last 200 lines
  ao output app-1 --tail 20
  ao output app-1 -f              and each line that comes, until it is over
  ao output app-1 --setup         what the project's setup printed

With -f a line is told once it has stood for half a second, and again when it changes on the screen; a full-screen program is better seen with ao attach.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct OutputArgs {
    /// The session, for example app-1
    pub session: SessionId,
    /// How many of the kept lines, from the end
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub tail: usize,
    /// Go on with what comes, until the session is over
    #[arg(long, short, conflicts_with_all = ["setup", "teardown", "json"])]
    pub follow: bool,
    /// What the project's setup commands printed instead
    #[arg(long, conflicts_with = "teardown")]
    pub setup: bool,
    /// What the project's teardown commands printed instead
    #[arg(long)]
    pub teardown: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A command that only prints.
#[derive(Debug, Args)]
pub struct JsonArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `ao token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Make a new token; the old one is worth nothing from then on
    #[arg(long)]
    pub renew: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `ao mcp`.
#[derive(Debug, Args)]
pub struct McpArgs {
    /// A file to make once the client was told of the tools, for a hook of its that waits for them
    #[arg(long, hide = true, value_name = "FILE")]
    pub told_file: Option<PathBuf>,
}

/// `ao man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The directory; made when it is not there
    pub directory: PathBuf,
}

/// A number with a unit: `500ms`, `90s`, `5m`, `2h`. A bare number is seconds.
fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is not a time; write for example 90s or 5m"))?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => return Err(format!("{unit:?} is not a unit of time; use ms, s, m or h")),
    };
    milliseconds.map(std::time::Duration::from_millis).ok_or_else(|| format!("{text} is too long"))
}

#[cfg(test)]
mod tests;
