//! The one composition root: parses the command line, composes adapters into the application, runs, and returns an exit code.

#[path = "main/bounds.rs"]
mod bounds;
#[path = "main/compose.rs"]
mod compose;
#[path = "main/daemon.rs"]
mod daemon;
#[path = "main/doctor.rs"]
mod doctor;
#[path = "main/edge.rs"]
mod edge;
#[cfg(feature = "fault-points")]
#[path = "main/fault.rs"]
mod fault;
#[path = "main/signals.rs"]
mod signals;
#[path = "main/waiter.rs"]
mod waiter;

use std::process::ExitCode;
use std::sync::Arc;

use ao::adapters::cli;
use ao::adapters::cli::args::{Cli, Command, EventsArgs, HookArgs, LsArgs, OutputArgs};
use ao::adapters::cli::error::{self, CliError};
use ao::adapters::cli::hook::{self, HookCall, HookPorts};
use ao::adapters::cli::usage;
use ao::adapters::mcp;
use ao::adapters::runtime::{self, pty};
use ao::adapters::setup;
use ao::domain::exit::Exit;
use ao::platform::detached;
use ao::platform::log_file::LogFile;
use clap::Parser;

use edge::Edge;
use waiter::{Resting, Waiter};

fn main() -> ExitCode {
    detached::keep_open_files_from_children();
    #[cfg(feature = "fault-points")]
    fault::arm();
    if let Some(resting) = Resting::of_this_process() {
        return ExitCode::from(resting.rest());
    }
    // Building the grammar costs a hook a part of its time.
    if let Some(args) = plain_hook_call() {
        return ExitCode::from(call_hook(None, args));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // For some agents a hook's exit code 2 is a veto: a grammar that changed must not stop their tools.
        Err(_) if is_hook_call() => return ExitCode::SUCCESS,
        Err(mut error) => {
            usage::suggest_nothing_hidden(&mut error);
            // There is nobody left to tell when stderr is gone.
            let _ = error.print();
            if let Some(hint) = usage::hint(&error) {
                let _ = error::report_hint(hint, edge::stderr_colours(), &mut std::io::stderr().lock());
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(error::ExitCode::Usage as u8));
        }
    };
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            // There is nobody left to tell when stderr is gone.
            let _ = error::report(&failure, edge::stderr_colours(), &mut std::io::stderr().lock());
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, CliError> {
    match cli.command {
        Command::Holder(args) => {
            // Its stderr is the log file of its terminal.
            let log = Arc::new(LogFile::default());
            tracing_subscriber::fmt().with_ansi(false).with_writer(log).log_internal_errors(false).init();
            let scrollback_bytes = args.scrollback_bytes.unwrap_or(pty::scrollback::SCROLLBACK_BYTES);
            pty::holder::run(&args.session_dir, &args.socket, scrollback_bytes)
                .map(|()| ExitCode::SUCCESS)
                .map_err(|error| CliError::failed(format!("cannot hold a terminal: {error}")))
        }
        Command::Supervise(args) => runtime::supervise(&args.session_dir)
            .map(exit_code)
            .map_err(|error| CliError::failed(format!("cannot run the agent: {error}"))),
        Command::SetupShell(args) => {
            if let Some(Err(error)) = args.group.as_deref().map(setup::enter_group) {
                // Its stderr is the log of the setup. What cannot be bounded runs all the same.
                let failure = CliError::failed(format!("nothing bounds the memory of this: {error}"));
                let _ = error::report(&failure, edge::stderr_colours(), &mut std::io::stderr().lock());
            }
            let error = setup::become_shell(&args.command);
            Err(CliError::failed(format!("cannot run a project's command: {error}")))
        }
        Command::Hook(args) => Ok(ExitCode::from(call_hook(cli.data_dir.as_deref(), args))),
        Command::Daemon(args) => {
            let edge = Edge::with_config(cli.data_dir)?;
            executor(true)?.block_on(daemon::run(&edge, &args)).map(|()| ExitCode::SUCCESS)
        }
        Command::Doctor(args) => {
            let edge = Edge::with_config(cli.data_dir)?;
            let checks = executor(false)?.block_on(doctor::examine(&edge))?;
            cli::doctor::show(&checks, args.json, edge.colours()).map(|()| ExitCode::SUCCESS)
        }
        command @ (Command::Version(_) | Command::Completion { .. } | Command::Man(_)) => {
            cli::run_alone(command).map(|()| ExitCode::SUCCESS)
        }
        command @ Command::Spawn(_) => {
            let context = Edge::with_config(cli.data_dir)?.context()?;
            executor(false)?.block_on(cli::run(command, &context)).map(|()| ExitCode::SUCCESS)
        }
        command @ (Command::Ls(LsArgs { watch: true, .. })
        | Command::Events(EventsArgs { follow: true, .. })
        | Command::Output(OutputArgs { follow: true, .. })
        | Command::Attach(_)) => {
            let context = Edge::read(cli.data_dir)?.context()?;
            signals::give_terminal_back_on_panic();
            let sits = matches!(command, Command::Attach(_));
            executor(false)?.block_on(async {
                signals::hand_on(&context.attention, sits)?;
                cli::run(command, &context).await.map(|()| ExitCode::SUCCESS)
            })
        }
        Command::Mcp(args) => {
            let context = Edge::read(cli.data_dir)?.context()?;
            let executor = executor(false)?;
            let served = executor.block_on(mcp::serve(context, args.told_file));
            // A read of standard input that is under way is not waited for.
            executor.shutdown_background();
            served.map(|()| ExitCode::SUCCESS)
        }
        command => {
            let context = Edge::read(cli.data_dir)?.context()?;
            executor(false)?.block_on(cli::run(command, &context)).map(|()| ExitCode::SUCCESS)
        }
    }
}

/// The call as agents' settings have it; `None` for any other, which the grammar reads.
fn plain_hook_call() -> Option<HookArgs> {
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.into_string().ok()).collect::<Option<_>>()?;
    let (agent, event, wait) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["hook", agent, event] => (agent, event, false),
        ["hook", agent, event, "--wait"] => (agent, event, true),
        _ => return None,
    };
    let is_option = |argument: &str| argument.starts_with('-');
    if is_option(agent) || is_option(event) {
        return None;
    }
    Some(HookArgs { agent: agent.parse().ok()?, event: event.to_owned(), wait })
}

fn is_hook_call() -> bool {
    std::env::args_os().nth(1).is_some_and(|command| command == "hook")
}

/// A hook is never an error for the agent, whatever is wrong here.
fn call_hook(data_dir: Option<&std::path::Path>, args: HookArgs) -> u8 {
    let data_dir = || data_dir.map(std::path::Path::to_owned);
    let clock = compose::clock();
    let at = clock.now();
    let Ok(edge) = Edge::read(data_dir()) else { return if args.wait { hook::AGAIN } else { 0 } };
    let Some(session) = edge.var("AO_SESSION_ID").and_then(|id| id.parse().ok()) else { return 0 };
    let input = hook::read_input(std::io::stdin());
    let agent = compose::agent(&edge, data_dir(), &args.agent);
    // Only looked for by those that wait.
    let process = || compose::agent_process(&edge, &session);
    let mailbox = compose::mailbox(&edge, &session);
    let ports = agent.as_deref().map(|agent| HookPorts { agent, process: &process, mailbox: &mailbox, clock: &*clock });
    let call = HookCall { session: session.clone(), agent: args.agent, event: args.event, at };
    if args.wait {
        let workspace = edge.data_dir.worktree(&session.project(), &session);
        let look = |waiter: &Waiter| {
            let is_heard = || waiter.is_heard();
            ports.as_ref().map_or(hook::Looked::Failed, |ports| {
                hook::look_for_idle(&call, &input, waiter.begun(), &is_heard, ports)
            })
        };
        return Waiter::of(&edge, &call).wait(&workspace, &input, look, process);
    }
    let Ok(executor) = executor(false) else { return 0 };
    // How much is spooled is configured; a configuration that cannot be read leaves the default.
    let spool = || Edge::with_config(data_dir()).map_or_else(|_| compose::spool(&edge), |edge| compose::spool(&edge));
    executor.block_on(hook::run(call, &input, ports, &edge.socket(), spool))
}

/// The agent's exit as this process's: what a shell would give.
fn exit_code(exit: Exit) -> ExitCode {
    let code = match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
        Exit::Unknown => 1,
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn executor(has_workers: bool) -> Result<tokio::runtime::Runtime, CliError> {
    let mut builder = if has_workers {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build().map_err(|error| CliError::failed(format!("cannot start: {error}")))
}
