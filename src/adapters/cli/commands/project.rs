//! `ao project`.

use std::path::PathBuf;

use serde_json::Value;

use super::super::ago;
use super::super::args::{JsonArgs, ProjectAddArgs, ProjectArgs, ProjectTrustArgs};
use super::super::client::{Client, ClientError};
use super::super::context::Context;
use super::super::error::{CliError, ExitCode};
use super::super::ui;
use super::start;
use crate::adapters::http::wire::{AddProject, TrustFile};
use crate::app::project_file::{Acceptance, ProjectFileStatus, ProjectFileView, ProjectView};
use crate::app::projects::Registered;
use crate::domain::id::ProjectId;
use crate::domain::project::Project;
use crate::domain::project_file::ProjectSettings;
use crate::domain::setup::ProjectSetup;

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
    let projects: Vec<Project> = Client::new(&context.socket).list("/projects").await?;
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
    let registered = ago::at(project.created_at, context.now(), &context.time_zone);
    let mut text = format!("project    {}\npath       {path}\nregistered {registered}\n", project.id);
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
pub(in crate::adapters) async fn named_or_here(
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
        // Only of that one: a broken repository or a full disk has a hint of its own.
        let is_elsewhere = matches!(&error, ClientError::Refused { body, .. } if body.error.code == "not_a_repository");
        let error = CliError::from(error);
        if is_elsewhere { error.hint(format!("go into a git repository, or name one with {naming}")) } else { error }
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
    let Some(ProjectFileView { status, content, settings }) = file else {
        let message = format!("the repository of project {project} has no ao.toml");
        return Err(
            CliError::new(ExitCode::NotFound, message).hint("nothing has to be accepted: ao spawn works without one")
        );
    };
    let status = if status.acceptance == Acceptance::Needed {
        show_file(&status, &content);
        show_effects(&settings);
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

/// Shows the whole file; what a terminal would hide or reorder is made visible, for the person decides by what they see.
fn show_file(status: &ProjectFileStatus, content: &str) {
    ui::talk(&format!("{}:", status.path.display()));
    for line in content.lines() {
        ui::talk(&format!("  | {}", ui::unmistakable(line)));
    }
}

/// Says once more what would take effect, right above the question: the file itself may be long enough to push that off the screen.
fn show_effects(settings: &ProjectSettings) {
    ui::talk("What takes effect:");
    for effect in effects(settings) {
        ui::talk(&format!("  {}", ui::unmistakable(&effect)));
    }
}

/// A line for each thing that needs acceptance; those of a command without the empty ones.
fn effects(settings: &ProjectSettings) -> Vec<String> {
    let ProjectSettings { base: _, branch_prefix: _, agent, permission_mode, setup } = settings;
    let ProjectSetup { setup, teardown, copy, link, env, rules, timeout_s: _, teardown_timeout_s: _ } = setup;
    let commands = |what: &str, commands: &[String]| -> Vec<String> {
        let shown = |command: &String| {
            let mut lines = command.lines().map(str::trim_end).filter(|line| !line.is_empty());
            let first = lines.next().unwrap_or_default();
            let rest: Vec<String> = lines.map(|line| format!("{:10}{line}", "")).collect();
            [vec![format!("{what:10}{first}")], rest].concat()
        };
        commands.iter().flat_map(shown).collect()
    };
    let paths = |what: &str, paths: &[PathBuf]| -> Vec<String> {
        paths.iter().map(|path| format!("{what:10}{}", path.display())).collect()
    };
    let mut effects: Vec<String> = Vec::new();
    effects.extend(agent.iter().map(|agent| format!("{:10}{agent}", "agent")));
    effects.extend(permission_mode.iter().map(|mode| format!("{:10}{mode}", "mode")));
    effects.extend(env.iter().flat_map(|(name, value)| commands("env", &[format!("{name}={value}")])));
    effects.extend(paths("copy", copy));
    effects.extend(paths("link", link));
    effects.extend(commands("setup", setup));
    effects.extend(commands("teardown", teardown));
    effects.extend(rules.iter().flat_map(|rule| commands("rule", &[rule.to_string()])));
    effects
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
        Err(CliError::failed("nothing was accepted")
            .hint(format!("until it is, spawns in {project} are refused; take out of ao.toml what you do not want")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::permission::PermissionMode;
    use crate::domain::rule::{Rule, RuleVerdict};

    #[test]
    fn whatever_needs_acceptance_is_told_once_more_and_without_padding() {
        let setup = ProjectSetup {
            setup: vec![format!("one{}two", "\n".repeat(5000))],
            teardown: vec!["three".into()],
            copy: vec![".env".into()],
            link: vec!["deps".into()],
            env: [("PATH".to_owned(), "x".to_owned())].into(),
            rules: vec![Rule { tool: "Bash".into(), input: None, decide: RuleVerdict::Allow, reason: None }],
            ..ProjectSetup::default()
        };
        let settings = ProjectSettings {
            agent: Some("command".parse().unwrap()),
            permission_mode: Some(PermissionMode::Plan),
            setup,
            ..ProjectSettings::default()
        };
        let told = effects(&settings);
        let words: Vec<String> =
            told.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let expected = [
            "agent command",
            "mode plan",
            "env PATH=x",
            "copy .env",
            "link deps",
            "setup one",
            "two",
            "teardown three",
            "rule allow Bash",
        ];
        assert_eq!(words, expected);
        assert!(effects(&ProjectSettings { base: Some("main".into()), ..ProjectSettings::default() }).is_empty());
    }
}
