//! Projects, and what their repositories say about themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{object, same_schema, words};
use crate::app::project_file::{Acceptance, ProjectFileStatus, ProjectFileView, ProjectView};
use crate::app::projects::Registered;
use crate::domain::Timestamp;
use crate::domain::id::{AgentKind, ProjectId};
use crate::domain::permission::PermissionMode;
use crate::domain::project::Project;
use crate::domain::project_file::ProjectSettings;
use crate::domain::rule::Rule;
use crate::domain::setup::ProjectSetup;

object! {
    /// A registered git repository.
    Repository(Project) {
        /// The id, unique on this machine.
        id: ProjectId,
        /// The repository's main checkout, or the repository itself when it is bare. Absolute, links resolved.
        #[schema(value_type = String)]
        path: PathBuf,
        /// When it was registered.
        created_at: Timestamp,
    }
}

object! {
    /// What registering a repository came to.
    Registration(Registered) {
        /// The project.
        project: Project,
        /// Whether it was registered just now.
        added: bool,
    }
}

object! {
    /// A project with what is known of its file.
    RepositoryDetails(ProjectView) {
        /// The project.
        #[serde(flatten)]
        project: Project,
        /// Its file, if it has one that can be read.
        file: Option<ProjectFileStatus>,
        /// Why its file cannot be read.
        file_problem: Option<String>,
    }
}

object! {
    /// A project's `ao.toml`, as far as it matters for a spawn.
    ProjectFile(ProjectFileStatus) {
        /// Where it is.
        #[schema(value_type = String)]
        path: PathBuf,
        /// The SHA-256 of its content, in hexadecimal.
        digest: String,
        /// Whether it takes effect.
        acceptance: Acceptance,
    }
}

words! {
    /// Whether a project's file takes effect: it can do no harm, a person accepted it, or one has to before anything is spawned.
    FileAcceptance(Acceptance) {
        NotNeeded = "not_needed",
        Accepted = "accepted",
        Needed = "needed",
    }
}

object! {
    /// A project's `ao.toml` with its content.
    ProjectFileContent(ProjectFileView) {
        /// Which file, and whether it takes effect.
        #[serde(flatten)]
        status: ProjectFileStatus,
        /// Its whole content.
        content: String,
        /// What it sets.
        settings: ProjectSettings,
    }
}

object! {
    /// What a project's `ao.toml` sets.
    FileSettings(ProjectSettings) {
        /// What branches start from.
        base: Option<String>,
        /// What the names of branches begin with.
        branch_prefix: Option<String>,
        /// The agent of a spawn that names none.
        agent: Option<AgentKind>,
        /// The permission mode of a spawn that names none.
        permission_mode: Option<PermissionMode>,
        /// What is done in each new workspace.
        setup: ProjectSetup,
    }
}

object! {
    /// Commands, files and variables for a session's workspace.
    WorkspaceSetup(ProjectSetup) {
        /// Shell commands that run in the workspace before the agent starts, one after the other.
        setup: Vec<String>,
        /// Shell commands that run in the workspace before it is removed.
        teardown: Vec<String>,
        /// Files and directories of the main checkout that are copied into the workspace, relative to both.
        #[schema(value_type = Vec<String>)]
        copy: Vec<PathBuf>,
        /// Files and directories of the main checkout that are linked into the workspace, relative to both.
        #[schema(value_type = Vec<String>)]
        link: Vec<PathBuf>,
        /// Environment variables for the commands and the agent.
        env: BTreeMap<String, String>,
        /// What is decided about its agent's requests for permissions; the first rule that matches counts.
        rules: Vec<Rule>,
        /// How long the setup may take as a whole, in seconds.
        timeout_s: u64,
        /// How long the teardown may take as a whole, in seconds.
        teardown_timeout_s: u64,
    }
}
