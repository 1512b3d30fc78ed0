//! The register of projects.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::adapters::http::error::ApiError;
use crate::adapters::http::extract::{Answer, Body, Ids, project_id};
use crate::adapters::http::page::{PageOf, PageQuery, not_ours};
use crate::adapters::http::peer::Asking;
use crate::adapters::http::router::Daemon;
use crate::adapters::http::wire::{AddProject, Page, Removed, TrustFile};
use crate::app::project_file::{ProjectFileStatus, ProjectFileView, ProjectView};
use crate::app::projects::Registered;
use crate::domain::id::ProjectId;
use crate::domain::project::Project;

pub(super) fn routes() -> OpenApiRouter<Daemon> {
    OpenApiRouter::new()
        .routes(routes!(list_projects, add_project))
        .routes(routes!(show_project, remove_project))
        .routes(routes!(show_project_file))
        .routes(routes!(trust_project_file))
}

/// List projects, by id
#[utoipa::path(get, path = "/projects", tag = "projects", params(PageQuery), responses((status = 200, body = Page<Project>)))]
async fn list_projects(State(daemon): State<Daemon>, page: PageOf) -> Answer<Page<Project>> {
    if page.after.as_deref().is_some_and(|after| after.parse::<ProjectId>().is_err()) {
        return Err(not_ours());
    }
    Ok(Json(page.cut_by_name(daemon.application.projects().await?, |project| project.id.as_str())))
}

/// Register the repository that a directory is in
///
/// One that is registered already is given as it is, unless another id is asked for.
#[utoipa::path(post, path = "/projects", tag = "projects", request_body = AddProject, responses((status = 200, body = Registered)))]
async fn add_project(State(daemon): State<Daemon>, Body(request): Body<AddProject>) -> Answer<Registered> {
    if !request.path.is_absolute() {
        return Err(ApiError::invalid("path must be absolute"));
    }
    Ok(Json(daemon.application.add_project(&request.path, request.id).await?))
}

/// Show a project, also when its repository or its file cannot be read
#[utoipa::path(get, path = "/projects/{id}", tag = "projects", params(("id" = ProjectId, Path)), responses((status = 200, body = ProjectView)))]
async fn show_project(State(daemon): State<Daemon>, Ids(id): Ids<String>) -> Answer<ProjectView> {
    Ok(Json(daemon.application.show_project(&project_id(&id)?).await?))
}

/// Show a project's `ao.toml`; null where the repository has none
#[utoipa::path(get, path = "/projects/{id}/file", tag = "projects", params(("id" = ProjectId, Path)), responses((status = 200, body = Option<ProjectFileView>)))]
async fn show_project_file(State(daemon): State<Daemon>, Ids(id): Ids<String>) -> Answer<Option<ProjectFileView>> {
    Ok(Json(daemon.application.project_file(&project_id(&id)?).await?))
}

/// Accept a project's `ao.toml` for a person who has seen it
///
/// For persons only.
#[utoipa::path(post, path = "/projects/{id}/trust", tag = "projects", params(("id" = ProjectId, Path)), request_body = TrustFile, responses((status = 200, body = ProjectFileStatus)))]
async fn trust_project_file(
    State(daemon): State<Daemon>,
    Asking(caller): Asking,
    Ids(id): Ids<String>,
    Body(request): Body<TrustFile>,
) -> Answer<ProjectFileStatus> {
    Ok(Json(daemon.application.trust_project_file(&project_id(&id)?, &request.digest, &caller).await?))
}

/// Take a project off the register; the repository is not touched
#[utoipa::path(delete, path = "/projects/{id}", tag = "projects", params(("id" = ProjectId, Path)), responses((status = 200, body = Removed)))]
async fn remove_project(State(daemon): State<Daemon>, Ids(id): Ids<String>) -> Answer<Removed> {
    let removed = project_id(&id)?;
    daemon.application.remove_project(&removed).await?;
    Ok(Json(Removed { removed }))
}
