//! `ao project`.

use serde_json::Value;

use super::super::args::{JsonArgs, ProjectAddArgs, ProjectArgs, ProjectTrustArgs};
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::{CliError, ExitCode};
use super::super::ui;
use super::start;
use crate::adapters::http::wire::{AddProject, TrustFile};
use crate::app::project_file::{Acceptance, ProjectFileStatus, ProjectFileView, ProjectView};
use crate::app::projects::Registered;
use crate::domain::id::ProjectId;
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
    let view: ProjectView = Client::new(&context.socket).get(&format!("/projects/{}", args.project)).await?;
    if args.json {
        return ui::json(&view);
    }
    let ProjectView { project, file, file_problem } = view;
    let path = ui::printable(&project.path.display().to_string());
    let mut text = format!("project    {}\npath       {path}\nregistered {}\n", project.id, project.created_at);
    match (file, file_problem) {
        (Some(file), _) => text.push_str(&format!("ao.toml    {}\n", describe(file.acceptance, &project.id))),
        (None, Some(problem)) => text.push_str(&format!("ao.toml    {}\n", ui::printable(&problem))),
        (None, None) => {}
    }
    ui::data(&text)
}

fn describe(acceptance: Acceptance, project: &ProjectId) -> String {
    match acceptance {
        Acceptance::NotNeeded => "takes effect; nothing in it has to be accepted".to_owned(),
        Acceptance::Accepted => "accepted as it is now".to_owned(),
        Acceptance::Needed => {
            format!("not accepted as it is now, and spawns are refused; see: ao project trust {project}")
        }
    }
}

/// The project that was named, else the one of this directory's repository, which is registered when it is not yet. `naming` says
/// how one is named.
pub(super) async fn named_or_here(
    named: Option<&ProjectId>,
    naming: &str,
    context: &Context,
    client: &Client,
) -> Result<ProjectId, CliError> {
    if let Some(project) = named {
        return Ok(project.clone());
    }
    let request = AddProject { path: context.cwd.clone(), id: None };
    let registered: Registered = client.post("/projects", &request).await.map_err(|error| {
        let error = CliError::from(error);
        if error.exit == ExitCode::Failed {
            error.hint(format!("go into a git repository, or name one with {naming}"))
        } else {
            error
        }
    })?;
    let project = registered.project;
    if registered.added {
        ui::talk(&format!("registered {} as project {}", project.path.display(), project.id));
    }
    Ok(project.id)
}

pub(in super::super) async fn trust(args: &ProjectTrustArgs, context: &Context) -> Result<(), CliError> {
    start::ensure_running(context).await?;
    let client = Client::new(&context.socket);
    let project = named_or_here(args.project.as_ref(), "its id (ao project ls)", context, &client).await?;
    let file: Option<ProjectFileView> = client.get(&format!("/projects/{project}/file")).await?;
    let Some(ProjectFileView { status, content }) = file else {
        let message = format!("the repository of project {project} has no ao.toml");
        return Err(CliError::new(ExitCode::NotFound, message));
    };
    let status = if status.acceptance == Acceptance::Needed {
        refuse_agents(context, &project)?;
        show_file(&status, &content);
        agree(args, context, &project)?;
        client.post(&format!("/projects/{project}/trust"), &TrustFile { digest: status.digest }).await?
    } else {
        status
    };
    if args.json {
        return ui::json(&status);
    }
    ui::talk(&format!("{}: {}", status.path.display(), describe(status.acceptance, &project)));
    Ok(())
}

/// An agent does not accept what runs on its person's machine. This stops one that means well, and no other: whoever runs as
/// the user can do what the user can.
fn refuse_agents(context: &Context, project: &ProjectId) -> Result<(), CliError> {
    let Some(session) = context.env.get("AO_SESSION_ID") else { return Ok(()) };
    let message = format!(
        "nothing was accepted: this was called in session {}, and that is for a person to decide",
        ui::printable(session)
    );
    Err(CliError::new(ExitCode::Refused, message)
        .hint(format!("in a terminal of your own: ao project trust {project}")))
}

/// Shows the whole file; what a terminal would hide or reorder is made visible, for the person decides by what they see.
fn show_file(status: &ProjectFileStatus, content: &str) {
    ui::talk(&format!("{}:", status.path.display()));
    for line in content.lines() {
        ui::talk(&format!("  | {}", ui::unmistakable(line)));
    }
}

/// Asks, unless told not to; refused where there is nobody to ask.
fn agree(args: &ProjectTrustArgs, context: &Context, project: &ProjectId) -> Result<(), CliError> {
    if args.yes {
        return Ok(());
    }
    if !(context.stdin_is_terminal && context.stderr_is_terminal) {
        let message = "nothing was accepted: there is no terminal to ask on";
        return Err(CliError::new(ExitCode::Refused, message)
            .hint(format!("when you have read it and agree: ao project trust {project} --yes")));
    }
    ui::talk(&format!("Its commands run as you, in the worktrees of {project}. Accept it as it is now? [y/N]"));
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| CliError::failed(format!("cannot read your answer: {error}")))?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        Ok(())
    } else {
        Err(CliError::failed("nothing was accepted"))
    }
}

pub(in super::super) async fn rm(args: &ProjectArgs, context: &Context) -> Result<(), CliError> {
    let removed: Value = Client::new(&context.socket).delete(&format!("/projects/{}", args.project)).await?;
    if args.json {
        return ui::json(&removed);
    }
    ui::talk(&format!("{} is forgotten; nothing in the repository was touched", args.project));
    Ok(())
}
