//! Cleaning up, and what works on this machine.

use std::path::PathBuf;

use super::{object, same_schema, words};
use crate::app::cleanup::{Cleanup, CleanupAction, CleanupItem, CleanupRequest};
use crate::app::doctor::{Check, Verdict};
use crate::domain::id::{ProjectId, SessionId};
use crate::domain::preserved::PreservedWork;
use crate::ports::workspace::OnWork;

object! {
    /// What to clean up.
    #[serde(deny_unknown_fields)]
    CleanUp(CleanupRequest) {
        /// Only this project's.
        project: Option<ProjectId>,
        /// Only tell what would be done.
        #[serde(default)]
        dry_run: bool,
        /// What becomes of workspaces that hold uncommitted work.
        #[serde(default)]
        on_work: OnWork,
    }
}

object! {
    /// Everything that was looked at.
    CleanUpAnswer(Cleanup) {
        /// Whether nothing was done.
        dry_run: bool,
        /// The workspaces there are, by session.
        items: Vec<CleanupItem>,
        /// What could not be looked at: nothing of it was touched.
        problems: Vec<String>,
    }
}

object! {
    /// What became, or would become, of one workspace.
    CleanUpItem(CleanupItem) {
        /// Whose it is.
        session: SessionId,
        /// Its directory.
        #[schema(value_type = String)]
        workspace: PathBuf,
        /// What happens to it.
        action: CleanupAction,
        /// Why, for a person.
        reason: String,
        /// Where its uncommitted work was saved, if it held any; not yet where nothing was done.
        preserved: Option<PreservedWork>,
    }
}

words! {
    /// What happens to a workspace.
    CleanUpAction(CleanupAction) {
        Remove = "remove",
        Keep = "keep",
        Fail = "fail",
    }
}

object! {
    /// One thing that was looked at.
    HealthCheck(Check) {
        /// What was looked at, for example `git`.
        name: String,
        /// How it went.
        verdict: Verdict,
        /// What was found.
        found: String,
        /// What to do, when something is to be done.
        advice: Option<String>,
    }
}

words! {
    /// How a check went: it works, it does not and ao can be used without it, or it must be mended.
    HealthVerdict(Verdict) {
        Ok = "ok",
        Absent = "absent",
        Broken = "broken",
    }
}
