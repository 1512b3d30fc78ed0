//! A runtime of one's own: terminals of the built-in one, of whose launches and ends a journal is kept.
//!
//! ```text
//! cargo build && cargo run --example custom_runtime
//! ```
//!
//! Most runtimes of one's own are like this: they add something to one that is there (a journal, a sandbox, another place). The contract is
//! in [`Runtime`]; that this one keeps it is shown by the suite that every runtime of ao's own passes too: `tests/custom_runtime.rs` is the few lines
//! which that takes.

#![expect(clippy::print_stdout, reason = "it tells a person what it does")]
#![allow(clippy::disallowed_methods, reason = "a program reads its own environment, and runs what it needs")]

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ao::Orchestrator;
use ao::app::spawn::SpawnRequest;
use ao::app::wait::WaitFor;
use ao::domain::exit::Exit;
use ao::domain::id::{AgentKind, RuntimeKind, SessionId};
use ao::domain::session::ProcessIdentity;
use ao::orchestrator::surroundings::PtyRuntime;
use ao::ports::runtime::{Liveness, Marks, Runtime, RuntimeError, TerminalKey, TerminalSpec};
use ao::ports::terminal_view::{Attached, Newcomer};
use async_trait::async_trait;

/// Terminals with a journal.
pub(crate) struct Journalled {
    kind: RuntimeKind,
    inner: PtyRuntime,
    journal: PathBuf,
}

impl Journalled {
    /// The journal is a file, to which lines are appended.
    pub(crate) fn new(inner: PtyRuntime, journal: PathBuf) -> Result<Self, Box<dyn Error>> {
        Ok(Self { kind: RuntimeKind::new("journalled")?, inner, journal })
    }

    fn write(&self, session: &SessionId, what: impl Display) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("the journal {}: {error}", self.journal.display());
        let mut journal = OpenOptions::new().append(true).create(true).open(&self.journal).map_err(failed)?;
        // One write for each line: several sessions share the file.
        journal.write_all(format!("{session} {what}\n").as_bytes()).map_err(failed)
    }
}

#[async_trait]
impl Runtime for Journalled {
    fn kind(&self) -> &RuntimeKind {
        &self.kind
    }

    async fn preflight(&self) -> Result<Option<String>, RuntimeError> {
        self.inner.preflight().await
    }

    async fn create(&self, spec: &TerminalSpec) -> Result<ProcessIdentity, RuntimeError> {
        let refused = |cause| RuntimeError::CannotCreate {
            runtime: self.kind.clone(),
            cause,
            exit: None,
            output_tail: String::new(),
        };
        // Before anything runs: what cannot be written down is not begun. Never the arguments or the environment, which may hold secrets.
        self.write(&spec.key.session, format_args!("starts {}", spec.command.program.display())).map_err(refused)?;
        let created = self.inner.create(spec).await;
        if created.is_err() {
            // That it was not begun is the caller's to tell; the journal says what became of its line.
            let _ = self.write(&spec.key.session, "did not start");
        }
        created
    }

    async fn stop(&self, key: &TerminalKey, grace: Duration) -> Result<Option<Exit>, RuntimeError> {
        let exit = self.inner.stop(key, grace).await?;
        if let Some(exit) = exit {
            // A terminal must be ended also when the disk is full.
            let _ = self.write(&key.session, format_args!("was stopped: {exit}"));
        }
        Ok(exit)
    }

    async fn probe(&self, keys: &[TerminalKey]) -> HashMap<SessionId, Liveness> {
        self.inner.probe(keys).await
    }

    async fn ended(&self, key: &TerminalKey) {
        self.inner.ended(key).await;
    }

    async fn screen(&self, key: &TerminalKey) -> Result<String, RuntimeError> {
        self.inner.screen(key).await
    }

    async fn output(&self, key: &TerminalKey, lines: usize) -> Result<String, RuntimeError> {
        self.inner.output(key, lines).await
    }

    async fn input(&self, key: &TerminalKey, bytes: &[u8]) -> Result<(), RuntimeError> {
        self.inner.input(key, bytes).await
    }

    async fn attach(&self, key: &TerminalKey, newcomer: Newcomer) -> Result<Attached, RuntimeError> {
        self.inner.attach(key, newcomer).await
    }

    async fn remarks(&self, key: &TerminalKey) -> Vec<String> {
        self.inner.remarks(key).await
    }

    async fn has_launched(&self, key: &TerminalKey, marks: &Marks) -> bool {
        self.inner.has_launched(key, marks).await
    }

    async fn set_aside(&self, key: &TerminalKey) -> Result<(), RuntimeError> {
        self.inner.set_aside(key).await
    }

    async fn put_back(&self, key: &TerminalKey) -> Result<(), RuntimeError> {
        self.inner.put_back(key).await
    }

    async fn forget_aside(&self, key: &TerminalKey) -> Result<(), RuntimeError> {
        self.inner.forget_aside(key).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // This program is target/debug/examples/custom_runtime.
    let ao = std::env::current_exe()?.with_file_name("../ao");
    let journal = run(&ao, std::env::vars().collect()).await?;
    println!("The journal:\n{journal}");
    Ok(())
}

/// Runs a command on it and gives the journal.
pub(crate) async fn run(ao: &Path, env: BTreeMap<String, String>) -> Result<String, Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let ao = ao.canonicalize()?;
    let repository = scratch.path().join("app");
    let git = Command::new("git").args(["init", "--quiet"]).arg(&repository).env_clear().envs(&env).status()?;
    let commit =
        ["-c", "user.name=me", "-c", "user.email=me@example.org", "commit", "--quiet", "--allow-empty", "-m", "x"];
    let commit = Command::new("git").args(commit).current_dir(&repository).env_clear().envs(&env).status()?;
    if !(git.success() && commit.success()) {
        return Err("git makes no repository".into());
    }
    let journal = scratch.path().join("journal");
    let data_dir = scratch.path().join("data");
    let runtime = Journalled::new(PtyRuntime::new(ao.clone(), data_dir.join("run")), journal.clone())?;

    let agent = AgentKind::new("command")?;
    let builder = Orchestrator::builder(data_dir, ao).env(env).runtimes(vec![Arc::new(runtime)]);
    let (orchestrator, driver) = builder.settings(|settings| settings.default_agent = agent).build().await?;
    let driver = tokio::spawn(driver.into_future());
    let outcome = work(&orchestrator, &repository).await;
    orchestrator.shut_down().await;
    driver.await?;
    outcome?;
    Ok(std::fs::read_to_string(journal)?)
}

async fn work(orchestrator: &Orchestrator, repository: &Path) -> Result<(), Box<dyn Error>> {
    let bound = Duration::from_secs(60);
    let project = orchestrator.add_project(repository).await?.project;
    let mut request = SpawnRequest::new(project.id);
    request.agent_args = ["sh", "-c", "echo at work; sleep 1"].map(str::to_owned).to_vec();
    let session = orchestrator.spawn(request).await?.id;
    // Over by itself, or with the spawn that failed.
    let (_, ended) = orchestrator.wait(&session, WaitFor::Exit, bound).await?;
    let exit = ended.exit.as_ref().ok_or_else(|| format!("{session} did not end: {ended:?}"))?;
    println!("{session} ran on {} and ended: {exit:?}", ended.runtime);
    Ok(())
}
