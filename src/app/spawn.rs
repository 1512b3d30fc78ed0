//! Spawn: preflight everything, then record the session. What follows is [`super::provision`]'s.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::{AppError, ErrorKind};
use super::running::Exclusive;
use super::{Application, RuntimeChoice};
use crate::domain::change::{ChangeKind, NewChange};
use crate::domain::id::{AgentKind, ProjectId, RuntimeKind, SessionId};
use crate::domain::permission::PermissionMode;
use crate::domain::project_file::ProjectSettings;
use crate::domain::session::{Session, SessionKind, SessionSpec};
use crate::ports::repo::Repository;
use crate::ports::workspace::WorkspaceRequest;

/// How many numbers are passed over when branches of earlier sessions stand in the way.
const MAX_TAKEN_BRANCHES: usize = 1000;

/// What the names of branches begin with, where the repository does not say.
const DEFAULT_BRANCH_PREFIX: &str = "ao/";

/// What to spawn. Only the project is needed; the rest has defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SpawnRequest {
    /// The project.
    pub project: ProjectId,
    /// The agent; `None` for the repository's, else the configured one.
    #[serde(default)]
    pub agent: Option<AgentKind>,
    /// The task; any length, any text.
    #[serde(default)]
    pub prompt: Option<String>,
    /// The branch to make; `None` for the repository's prefix (`ao/`) and the session.
    #[serde(default)]
    pub branch: Option<String>,
    /// What the branch starts from; `None` for what the repository names, else the remote's default branch.
    #[serde(default)]
    pub base: Option<String>,
    /// How much the agent may do unasked; `None` for the repository's mode, else the configured one.
    #[serde(default)]
    pub permission_mode: Option<PermissionMode>,
    /// The runtime's name, or `auto`; `None` for the configured one.
    #[serde(default)]
    pub runtime: Option<String>,
    /// The issue it works on.
    #[serde(default)]
    pub issue: Option<String>,
    /// A name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Worker or orchestrator.
    #[serde(default)]
    pub kind: SessionKind,
    /// More arguments for the agent's command line.
    #[serde(default)]
    pub agent_args: Vec<String>,
    /// Wait in line when the limit of live agents is reached, instead of being refused.
    #[serde(default)]
    pub queue: bool,
    /// What counts where neither this request nor the repository says anything.
    #[serde(default)]
    pub defaults: SpawnDefaults,
}

/// The caller's own configuration, which may be another than the daemon's was when it started. The repository's `ao.toml` is
/// nearer to the task, so that wins over it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpawnDefaults {
    /// The agent; `None` for the daemon's.
    #[serde(default)]
    pub agent: Option<AgentKind>,
    /// How much the agent may do unasked; `None` for the daemon's.
    #[serde(default)]
    pub permission_mode: Option<PermissionMode>,
    /// The runtime's name, or `auto`; `None` for the daemon's.
    #[serde(default)]
    pub runtime: Option<String>,
}

impl SpawnRequest {
    /// A spawn in a project with nothing but defaults.
    #[must_use]
    pub fn new(project: ProjectId) -> Self {
        Self {
            project,
            agent: None,
            prompt: None,
            branch: None,
            base: None,
            permission_mode: None,
            runtime: None,
            issue: None,
            name: None,
            kind: SessionKind::Worker,
            agent_args: Vec::new(),
            queue: false,
            defaults: SpawnDefaults::default(),
        }
    }

    /// Takes what the repository says and then what the caller is used to for what was not asked for.
    fn fill_in(&mut self, project: &ProjectSettings) {
        let defaults = std::mem::take(&mut self.defaults);
        self.agent = self.agent.take().or_else(|| project.agent.clone()).or(defaults.agent);
        self.permission_mode = self.permission_mode.or(project.permission_mode).or(defaults.permission_mode);
        self.runtime = self.runtime.take().or(defaults.runtime);
        self.base = self.base.take().or_else(|| project.base.clone());
    }
}

impl Application {
    /// Checks that the spawn can succeed, records the session, and starts building it in the background, or puts it in line
    /// where no place is free and it may wait. The recorded session comes back at once; its progress is in the change log.
    ///
    /// # Errors
    /// [`AppError`] when something is missing or refused, `limit_reached` among them; nothing was recorded or built then (a session number may have been
    /// used up).
    pub async fn spawn(&self, request: SpawnRequest) -> Result<Session, AppError> {
        self.spawn_once(request, None).await
    }

    /// As [`spawn`](Self::spawn), and the change that tells of the record tells the mark too: by it [`Application::spawned_once`] finds the session.
    ///
    /// # Errors
    /// As for a spawn.
    pub async fn spawn_once(&self, request: SpawnRequest, mark: Option<String>) -> Result<Session, AppError> {
        if self.shared.stop.is_cancelled() {
            let message = "the daemon is stopping: nothing is spawned";
            return Err(AppError::new(ErrorKind::Refused, "stopping", message)
                .hint("once it has stopped, the same command starts a new one"));
        }
        let application = self.clone();
        self.to_its_end("a spawn", async move { application.spawn_now(request, mark).await }).await
    }

    async fn spawn_now(&self, request: SpawnRequest, mark: Option<String>) -> Result<Session, AppError> {
        let repository = self.shared.repos.resolve(&request.project).await?;
        let may_wait = request.queue;
        let (mut session, exclusive) = self.preflight(request, &repository).await?;
        let session = self
            .admit(may_wait, async move |admitted| {
                session.facts.queue_ticket = admitted.ticket();
                let mut told = json!({ "branch": session.spec.branch });
                if let Some(mark) = mark {
                    told["key"] = mark.into();
                }
                let recorded = NewChange::new(ChangeKind::SessionRecorded, told);
                let changes: Vec<NewChange> = [Some(recorded), admitted.change()].into_iter().flatten().collect();
                self.shared.sessions.insert_session(&mut session, &changes).await?;
                Ok(session)
            })
            .await?;
        let SessionSpec { agent, runtime, .. } = &session.spec;
        let ticket = session.facts.queue_ticket;
        tracing::info!(session = %session.id, %agent, %runtime, ticket, "recorded");
        if ticket.is_none() {
            let (application, id) = (self.clone(), session.id.clone());
            self.shared.tasks.spawn(async move { application.provision(&id, &repository, exclusive).await });
        }
        Ok(session)
    }

    async fn preflight(
        &self,
        mut request: SpawnRequest,
        repository: &Repository,
    ) -> Result<(Session, Exclusive), AppError> {
        let settings = &self.shared.settings;
        let project = self.project_settings(&request.project, repository).await?;
        request.fill_in(&project);
        let prefix = project.branch_prefix.as_deref().unwrap_or(DEFAULT_BRANCH_PREFIX);
        let agent = self.agent(request.agent.as_ref().unwrap_or(&settings.default_agent))?;
        agent.preflight(&request.agent_args).await?;
        let runtime = self.choose_runtime(request.runtime.as_deref()).await?;
        self.shared.workspace.check_tools().await?;
        let id = self.reserve_id(&request, repository, prefix).await?;
        let spec = SessionSpec {
            kind: request.kind,
            agent: agent.kind().clone(),
            agent_reports: agent.reports(),
            runtime,
            permission_mode: request.permission_mode.unwrap_or(settings.default_permission_mode),
            name: request.name,
            issue: request.issue,
            prompt: request.prompt.filter(|prompt| !prompt.is_empty()),
            agent_args: request.agent_args,
            branch: request.branch.unwrap_or_else(|| format!("{prefix}{id}")),
            base: request.base,
            workspace: settings.data_dir.worktree(&id.project(), &id),
            setup: Some(project.setup).filter(|setup| !setup.is_empty()),
        };
        let session = Session::record(id, spec, self.shared.clock.now());
        self.shared.workspace.preflight(&self.workspace_request(&session, repository)).await?;
        let exclusive = self.shared.running.exclusive(&session.id).await;
        Ok((session, exclusive))
    }

    /// The next session id whose default branch is free, unless the branch was named. Branches of sessions of an earlier
    /// data directory may still be there, and hold work.
    async fn reserve_id(
        &self,
        request: &SpawnRequest,
        repository: &Repository,
        prefix: &str,
    ) -> Result<SessionId, AppError> {
        for _ in 0..MAX_TAKEN_BRANCHES {
            let number = self.shared.projects.reserve_session_number(&request.project).await?;
            let id = SessionId::of(&request.project, number);
            let taken = request.branch.is_none()
                && self.shared.workspace.branch_exists(repository, &format!("{prefix}{id}")).await?;
            if !taken {
                return Ok(id);
            }
        }
        let message = format!("the next {MAX_TAKEN_BRANCHES} branches {prefix}{}-… exist already", request.project);
        Err(AppError::new(ErrorKind::Refused, "branch_exists", message).hint("name one with --branch"))
    }

    async fn choose_runtime(&self, asked: Option<&str>) -> Result<RuntimeKind, AppError> {
        let choice = match asked {
            Some(text) => text
                .parse()
                .map_err(|error| AppError::new(ErrorKind::Invalid, "unknown_runtime", format!("{error}")))?,
            None => self.shared.settings.default_runtime.clone(),
        };
        match choice {
            RuntimeChoice::Named(kind) => {
                let runtime = self.runtime(&kind)?;
                runtime.preflight().await?;
                Ok(kind)
            }
            RuntimeChoice::Auto => {
                let mut refusals = Vec::new();
                for runtime in &self.shared.runtimes {
                    match runtime.preflight().await {
                        Ok(_) => return Ok(runtime.kind().clone()),
                        Err(error) => refusals.push(error.to_string()),
                    }
                }
                Err(AppError::new(ErrorKind::Failed, "runtime_unusable", refusals.join("; ")))
            }
        }
    }

    pub(super) fn workspace_request(&self, session: &Session, repository: &Repository) -> WorkspaceRequest {
        WorkspaceRequest {
            session: session.id.clone(),
            repository: repository.clone(),
            path: session.spec.workspace.clone(),
            branch: session.spec.branch.clone(),
            base: session.spec.base.clone(),
            fetch_timeout: self.shared.settings.fetch_timeout,
        }
    }
}
