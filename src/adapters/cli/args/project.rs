//! The register of repositories.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::JsonArgs;
use crate::domain::id::ProjectId;

/// `ao project`.
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Register a repository
    Add(ProjectAddArgs),
    /// List the registered repositories
    #[command(after_help = "Examples:
  ao project ls")]
    Ls(JsonArgs),
    /// Show a project
    #[command(after_help = "Examples:
  ao project show app     its path, and whether its ao.toml takes effect")]
    Show(ProjectArgs),
    /// Accept what a repository's ao.toml says, after showing it
    Trust(ProjectTrustArgs),
    /// Forget a repository, unless sessions of it live; nothing in it is touched
    #[command(after_help = "Examples:
  ao project rm app")]
    Rm(ProjectArgs),
}

/// `ao project add`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao project add .
  ao project add ~/src/app --id main-app")]
pub struct ProjectAddArgs {
    /// A directory in the repository
    pub path: PathBuf,
    /// The id to register it under [default: made from the directory's name]
    #[arg(long)]
    pub id: Option<ProjectId>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `ao project trust`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao project trust               of the repository of this directory
  ao project trust app --yes     without being asked, for scripts

What an ao.toml runs, brings into worktrees and lets agents do takes effect only after you accepted its \
content here, and again when that changes.")]
pub struct ProjectTrustArgs {
    /// The project [default: the repository of this directory]
    pub project: Option<ProjectId>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A command about one project.
#[derive(Debug, Args)]
pub struct ProjectArgs {
    /// The project
    pub project: ProjectId,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
