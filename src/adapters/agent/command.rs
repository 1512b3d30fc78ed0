//! Any program as the agent. It reports nothing, so all that is known of it is its process, and where the configuration says how its prompt
//! looks, when it can be typed to.
//!
//! The prompt is a file whose path stands in `AO_PROMPT_FILE`; standard input stays the terminal. The built-in kind `command`
//! takes its command from the arguments of the session (`ao spawn --agent command -- make -k`); a kind named in the
//! configuration brings its own, and the session's arguments follow it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::terminal::Prompt;
use crate::domain::id::{AgentKind, AgentSessionId};
use crate::domain::observation::Signal;
use crate::platform::file::{find_program, is_executable, write_atomically};
use crate::ports::agent::{Agent, AgentCommand, AgentError, AgentInstallation, LaunchPlan, LaunchRequest, prompt_file};
use crate::ports::terminal_input::TerminalInput;

/// The variable that holds the path of the prompt's file.
pub const PROMPT_FILE_VARIABLE: &str = "AO_PROMPT_FILE";
/// The variable that holds the path of the system prompt's file.
pub const SYSTEM_PROMPT_FILE_VARIABLE: &str = "AO_SYSTEM_PROMPT_FILE";
/// The variable that holds the permission mode, for a program that has something alike.
pub const PERMISSION_MODE_VARIABLE: &str = "AO_AGENT_PERMISSION_MODE";

const NOWHERE_HINT: &str = "there is no such file; see whether the path is right";
const MISSING_HINT: &str = "install it, or give its absolute path";
const UNFIT_HINT: &str = "it is there, and is no program that may be run: chmod +x makes a script one";

/// A program and its arguments, in configuration either a list or one line in shell words. Empty for the built-in kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CommandForm", into = "Vec<String>")]
pub struct CommandLine(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum CommandForm {
    Words(Vec<String>),
    Line(String),
}

/// A command line that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommandLine {
    /// A quote is opened and not closed.
    #[error("{0:?} is not a command: a quote is not closed")]
    OpenQuote(String),
    /// The program's name is empty.
    #[error("the command has no program")]
    NoProgram,
}

impl CommandLine {
    /// A program and its arguments.
    ///
    /// # Errors
    /// [`InvalidCommandLine::NoProgram`] when there is none.
    pub fn from_words(words: Vec<String>) -> Result<Self, InvalidCommandLine> {
        match words.first() {
            Some(program) if !program.is_empty() => Ok(Self(words)),
            _ => Err(InvalidCommandLine::NoProgram),
        }
    }

    /// One line in shell words: quotes and backslashes are understood, nothing is expanded.
    ///
    /// # Errors
    /// [`InvalidCommandLine`] when it cannot be split, or is empty.
    pub fn from_line(line: &str) -> Result<Self, InvalidCommandLine> {
        let words = shell_words::split(line).map_err(|_| InvalidCommandLine::OpenQuote(line.to_owned()))?;
        Self::from_words(words)
    }
}

impl TryFrom<CommandForm> for CommandLine {
    type Error = InvalidCommandLine;

    fn try_from(form: CommandForm) -> Result<Self, InvalidCommandLine> {
        match form {
            CommandForm::Words(words) => Self::from_words(words),
            CommandForm::Line(line) => Self::from_line(&line),
        }
    }
}

impl From<CommandLine> for Vec<String> {
    fn from(command: CommandLine) -> Self {
        command.0
    }
}

/// The name of the built-in one, whose command comes with the session.
pub const KIND: &str = "command";

/// What a command agent is run with.
#[derive(Debug, Clone)]
pub struct CommandAgentSettings {
    /// The value of `PATH`, on which programs are looked up.
    pub path_var: String,
    /// Environment variables for the program, from the configuration.
    pub env: BTreeMap<String, String>,
}

/// The `command` agent, or one that the configuration names.
#[derive(Debug, Clone)]
pub struct CommandAgent {
    kind: AgentKind,
    command: CommandLine,
    settings: CommandAgentSettings,
    prompt: Option<Prompt>,
}

impl CommandAgent {
    /// An agent of that name. With an empty command ([`CommandLine::default`]) the session's arguments are the command.
    #[must_use]
    pub fn new(kind: AgentKind, command: CommandLine, settings: CommandAgentSettings) -> Self {
        Self { kind, command, settings, prompt: None }
    }

    /// The same, which is typed to at this prompt.
    #[must_use]
    pub fn with_prompt(self, prompt: Option<Prompt>) -> Self {
        Self { prompt, ..self }
    }

    /// The program's name and its arguments. A name that holds a `/` and is not absolute is taken from `workspace`, where
    /// the program will run.
    fn resolve(&self, args: &[String], workspace: Option<&Path>) -> Result<(PathBuf, Vec<String>), AgentError> {
        let mut words = self.command.0.iter().chain(args).cloned();
        let name = words.next().filter(|name| !name.is_empty()).ok_or_else(|| {
            let kind = &self.kind;
            AgentError::Refused(format!("agent {kind} was given no command: it runs what follows --, for example `ao spawn --agent {kind} -- make -k`"))
        })?;
        let program = if !name.contains('/') {
            find_program(&name, &self.settings.path_var)
        } else if let (true, Some(workspace)) = (Path::new(&name).is_relative(), workspace) {
            Some(workspace.join(&name)).filter(|program| is_executable(program))
        } else if Path::new(&name).is_relative() {
            // Which file this is shows only in the workspace, which is not there yet.
            Some(PathBuf::from(&name))
        } else {
            find_program(&name, &self.settings.path_var)
        };
        program.map(|program| (program, words.collect())).ok_or_else(|| self.not_found(&name, workspace))
    }

    fn not_found(&self, name: &str, workspace: Option<&Path>) -> AgentError {
        let path = Path::new(name);
        let searched = match (name.contains('/'), workspace.filter(|_| path.is_relative())) {
            (false, _) => std::env::split_paths(&self.settings.path_var).filter(|entry| entry.is_absolute()).collect(),
            (true, Some(workspace)) => vec![workspace.to_owned()],
            (true, None) => path.parent().map(Path::to_owned).into_iter().collect(),
        };
        let is_there = name.contains('/') && workspace.unwrap_or(Path::new("")).join(path).is_file();
        let hint = match (is_there, path.is_absolute()) {
            (true, _) => UNFIT_HINT,
            (false, true) => NOWHERE_HINT,
            (false, false) => MISSING_HINT,
        };
        let (agent, program, hint) = (self.kind.clone(), name.to_owned(), hint.to_owned());
        AgentError::NotFound { agent, program, searched, hint }
    }
}

#[async_trait]
impl Agent for CommandAgent {
    fn kind(&self) -> &AgentKind {
        &self.kind
    }

    fn reports(&self) -> bool {
        false
    }

    /// Finds the program, unless it is a path in the workspace: that shows only in [`prepare`](Agent::prepare).
    async fn preflight(&self, args: &[String]) -> Result<AgentInstallation, AgentError> {
        let (program, _) = self.resolve(args, None)?;
        Ok(AgentInstallation { program, version: None })
    }

    async fn prepare(&self, request: &LaunchRequest) -> Result<LaunchPlan, AgentError> {
        let (program, args) = self.resolve(&request.args, Some(&request.workspace))?;
        let mut env = self.settings.env.clone();
        env.insert(PERMISSION_MODE_VARIABLE.to_owned(), request.permission_mode.to_string());
        let texts = [
            (PROMPT_FILE_VARIABLE, prompt_file(&request.session_dir), &request.prompt),
            (SYSTEM_PROMPT_FILE_VARIABLE, request.session_dir.join("system-prompt.txt"), &request.system_prompt),
        ];
        for (variable, path, text) in texts {
            let Some(text) = text else { continue };
            write_atomically(&path, text.as_bytes(), 0o600).map_err(|source| AgentError::File {
                action: "write",
                path: path.clone(),
                source,
            })?;
            let shown = path.to_str().ok_or_else(|| {
                AgentError::Refused(format!(
                    "the path {} cannot be put into {variable}: it is not UTF-8",
                    path.display()
                ))
            })?;
            env.insert(variable.to_owned(), shown.to_owned());
        }
        let command = AgentCommand { program, args, env, stdin: None };
        Ok(LaunchPlan { command, agent_session_id: None, resumes: false, notes: Vec::new() })
    }

    /// Refused: a program that knows no conversations cannot go on with one, and running it from its beginning is a new
    /// session's business.
    async fn prepare_resume(
        &self,
        _request: &LaunchRequest,
        _conversation: &AgentSessionId,
    ) -> Result<LaunchPlan, AgentError> {
        let kind = &self.kind;
        Err(AgentError::Refused(format!("agent {kind} cannot go on with an earlier conversation: spawn a new session")))
    }

    fn terminal_input(&self) -> Option<&dyn TerminalInput> {
        self.prompt.as_ref().map(|prompt| prompt as &dyn TerminalInput)
    }

    fn interpret(&self, _event: &str, _payload: &Value) -> Vec<Signal> {
        Vec::new()
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
