//! A program that runs an agent by itself: it spawns one in a temporary repository, follows what happens, sends it a message, and ends it.
//!
//! ```text
//! cargo build && cargo run --example embed
//! ```
//!
//! The agent is a shell script here, so that it runs anywhere and costs nothing. For Claude Code leave `default_agent`, and the
//! agent, out.

#![expect(clippy::print_stdout, reason = "it tells a person what it does")]
#![allow(clippy::disallowed_methods, reason = "a program reads its own environment, and runs what it needs")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ao::app::spawn::SpawnRequest;
use ao::app::wait::WaitFor;
use ao::app::{RuntimeChoice, Settings};
use ao::domain::change::ChangeKind;
use ao::domain::id::{AgentKind, RuntimeKind};
use ao::domain::layout::DataDir;
use ao::orchestrator::surroundings::{CommandLine, Prompt, Surroundings};
use ao::ports::store::SessionFilter;
use ao::ports::terminal_input::PromptSettings;
use ao::ports::workspace::OnWork;
use ao::{Builder, Orchestrator};
use futures_util::StreamExt;

/// An agent that asks for lines, and does what it is told by saying so.
const AGENT: &str = r#"printf 'task> '; while read -r line; do echo "done: $line"; printf 'task> '; done"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // This program is target/debug/examples/embed.
    let ao = std::env::current_exe()?.with_file_name("../ao");
    run(&ao, std::env::vars().collect(), |line| println!("{line}")).await
}

/// Does it all, with this `ao` and this environment, and tells of each step.
pub(crate) async fn run(ao: &Path, env: BTreeMap<String, String>, say: fn(&str)) -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let repository = make_repository(scratch.path(), &env)?;

    let (orchestrator, driver) = builder(&scratch.path().join("data"), ao, env)?.build().await?;
    let driver = tokio::spawn(driver.into_future());
    // So that `ao`, when it is called with this data directory, and the agents' own find it, and hooks can wait for a permission.
    #[cfg(feature = "http")]
    let server = tokio::spawn(orchestrator.serve()?.into_future());
    let outcome = work(&orchestrator, &repository, say).await;

    // Agents outlive the program that spawned them. This one ends its own.
    for session in orchestrator.list(&SessionFilter::default()).await? {
        orchestrator.kill(&session.id, OnWork::Keep).await?;
    }
    orchestrator.shut_down().await;
    driver.await?;
    #[cfg(feature = "http")]
    server.await??;
    outcome
}

fn builder(data_dir: &Path, ao: &Path, env: BTreeMap<String, String>) -> Result<Builder, Box<dyn Error>> {
    let surroundings = Surroundings::new(DataDir::new(data_dir.to_owned()), ao.canonicalize()?, env);
    // What is typed to it is typed when the last line of its screen is this and nothing else.
    let prompt = PromptSettings {
        prompt: "task>".to_owned(),
        prompt_lines: 1,
        busy: None,
        echo: None,
        bracketed_paste: false,
        echoes: true,
    };
    let name = AgentKind::new("echo")?;
    let command = CommandLine::from_words(["sh", "-c", AGENT].map(str::to_owned).to_vec())?;
    let agent = surroundings.command(name.clone(), command).with_prompt(Some(Prompt::new(prompt)?));
    // The built-in runtime is there on every machine.
    let runtime = RuntimeKind::new("pty")?;
    Ok(Builder::within(surroundings).agent(Arc::new(agent)).settings(|settings: &mut Settings| {
        settings.default_agent = name;
        settings.default_runtime = RuntimeChoice::Named(runtime);
    }))
}

async fn work(orchestrator: &Orchestrator, repository: &Path, say: fn(&str)) -> Result<(), Box<dyn Error>> {
    let bound = Duration::from_secs(60);
    let project = orchestrator.add_project(repository).await?.project;
    let mut events = orchestrator.events(None, None).await?;

    let session = orchestrator.spawn(SpawnRequest::new(project.id)).await?;
    say(&format!("spawned {} on branch {}", session.id, session.branch));
    let (_, live) = orchestrator.wait(&session.id, WaitFor::Ready, bound).await?;
    say(&format!("{} is {}", live.id, live.status));

    let message = orchestrator.send(&session.id, "write the changelog").await?;
    let message = orchestrator.wait_for_message(&message.message.id, bound).await?;
    say(&format!("the message is {}", message.state.as_str()));
    say(&format!("its terminal shows:\n{}", orchestrator.output(&session.id, 10).await?));

    orchestrator.kill(&session.id, OnWork::Keep).await?;
    while let Some(change) = events.next().await {
        let change = change?;
        say(&format!("{:>3}  {}", change.seq, change.kind.as_str()));
        if change.kind == ChangeKind::SessionTerminated {
            break;
        }
    }
    Ok(())
}

/// A repository with one commit.
fn make_repository(directory: &Path, env: &BTreeMap<String, String>) -> Result<PathBuf, Box<dyn Error>> {
    let repository = directory.join("changes");
    std::fs::create_dir(&repository)?;
    for args in [
        &["init", "--quiet"][..],
        &["-c", "user.name=me", "-c", "user.email=me@example.org", "commit", "--quiet", "--allow-empty", "-m", "begin"],
    ] {
        let git = Command::new("git").args(args).current_dir(&repository).env_clear().envs(env).status()?;
        if !git.success() {
            return Err(format!("git {args:?}: {git}").into());
        }
    }
    Ok(repository)
}
