//! A register of projects in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::domain::Timestamp;
use crate::domain::id::ProjectId;
use crate::domain::project::Project;
use crate::ports::store::{ProjectStore, StoreError};

#[derive(Debug, Default)]
struct State {
    projects: BTreeMap<ProjectId, Project>,
    numbers: BTreeMap<ProjectId, u32>,
    trusted: BTreeSet<(ProjectId, String)>,
}

/// A register of projects that is gone with its process. It knows no sessions, so no project is ever in use.
#[derive(Debug, Default)]
pub struct MemoryProjects(Mutex<State>);

impl MemoryProjects {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(id: &ProjectId) -> StoreError {
    StoreError::Missing { what: "project", id: id.to_string() }
}

#[async_trait]
impl ProjectStore for MemoryProjects {
    async fn add_project(&self, project: &Project) -> Result<(), StoreError> {
        let mut state = self.state();
        let taken = state.projects.values().any(|other| other.id == project.id || other.path == project.path);
        if taken {
            return Err(StoreError::Exists { what: "project", id: project.id.to_string() });
        }
        state.projects.insert(project.id.clone(), project.clone());
        Ok(())
    }

    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, StoreError> {
        Ok(self.state().projects.get(id).cloned())
    }

    async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        Ok(self.state().projects.values().cloned().collect())
    }

    async fn remove_project(&self, id: &ProjectId, _at: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state();
        state.trusted.retain(|(project, _)| project != id);
        state.projects.remove(id).map(drop).ok_or_else(|| missing(id))
    }

    async fn trust(&self, id: &ProjectId, digest: &str, _at: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.projects.contains_key(id) {
            return Err(missing(id));
        }
        state.trusted.insert((id.clone(), digest.to_owned()));
        Ok(())
    }

    async fn is_trusted(&self, id: &ProjectId, digest: &str) -> Result<bool, StoreError> {
        Ok(self.state().trusted.contains(&(id.clone(), digest.to_owned())))
    }

    async fn reserve_session_number(&self, id: &ProjectId) -> Result<u32, StoreError> {
        let mut state = self.state();
        if !state.projects.contains_key(id) {
            return Err(missing(id));
        }
        let number = state.numbers.entry(id.clone()).or_default();
        *number += 1;
        Ok(*number)
    }
}
