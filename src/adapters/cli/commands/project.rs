//! `ao project`.

use serde_json::Value;

use super::super::args::{JsonArgs, ProjectAddArgs, ProjectArgs};
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::ui;
use super::start;
use crate::adapters::http::wire::AddProject;
use crate::app::projects::Registered;
use crate::domain::project::Project;

pub(in super::super) async fn add(args: &ProjectAddArgs, context: &Context) -> Result<(), CliError> {
    start::ensure_running(context).await?;
    let request = AddProject { path: context.absolute(&args.path), id: args.id.clone() };
    let registered: Registered = Client::new(&context.socket).post("/projects", &request).await?;
    let project = &registered.project;
    if args.json {
        return ui::json(project);
    }
    if !registered.added {
        ui::talk(&format!("{} is registered already", project.path.display()));
    }
    ui::data(&format!("{}\n", project.id))
}

pub(in super::super) async fn ls(args: &JsonArgs, context: &Context) -> Result<(), CliError> {
    let projects: Vec<Project> = Client::new(&context.socket).get("/projects").await?;
    if args.json {
        return ui::json(&projects);
    }
    if projects.is_empty() {
        ui::talk("no projects yet; register one with: ao project add PATH");
        return Ok(());
    }
    let row = |project: &Project| vec![project.id.to_string(), ui::printable(&project.path.display().to_string())];
    let rows: Vec<Vec<String>> = projects.iter().map(row).collect();
    ui::data(&ui::table(&["PROJECT", "PATH"], &rows))
}

pub(in super::super) async fn show(args: &ProjectArgs, context: &Context) -> Result<(), CliError> {
    let project: Project = Client::new(&context.socket).get(&format!("/projects/{}", args.project)).await?;
    if args.json {
        return ui::json(&project);
    }
    let path = ui::printable(&project.path.display().to_string());
    ui::data(&format!("project    {}\npath       {path}\nregistered {}\n", project.id, project.created_at))
}

pub(in super::super) async fn rm(args: &ProjectArgs, context: &Context) -> Result<(), CliError> {
    let removed: Value = Client::new(&context.socket).delete(&format!("/projects/{}", args.project)).await?;
    if args.json {
        return ui::json(&removed);
    }
    ui::talk(&format!("{} is forgotten; nothing in the repository was touched", args.project));
    Ok(())
}
