//! A session as columns, and back.

use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;

use super::column::{Columns, exit_text, integer, json_text, path_text};
use crate::domain::Timestamp;
use crate::domain::news::Announced;
use crate::domain::phase::{EndReason, Phase, Step};
use crate::domain::requests::Requests;
use crate::domain::session::{Facts, ProcessIdentity, Session, SessionSpec};
use crate::ports::store::StoreError;

type Statement = Query<'static, Sqlite, SqliteArguments<'static>>;

/// Writes a whole new row.
pub(super) fn insert(session: &Session, action: &'static str) -> Result<Statement, StoreError> {
    let Session { id, spec, created_at, .. } = session;
    let statement = sqlx::query(
        "INSERT INTO sessions (
             updated_at_ms, version, phase, step, end_reason, end_step, end_cause, end_exit,
             activity, activity_at_ms, launched_at_ms, first_report_at_ms, ready_at_ms, pid, pid_start_ticks,
             agent_session_id, requests_json, resolved_base, base_commit, kill_requested_at_ms,
             spawn_failure, exit, output_tail, notes_json, kill_preserves, queue_ticket, restoring_json, resumed,
             preserved_json, announced, turn_failure, id, project_id, number, created_at_ms, kind, agent, agent_reports, runtime, permission_mode,
             name, issue, prompt, agent_args_json, branch, base, workspace, setup_json)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?,  ?, ?, ?, ?, ?, ?, ?,  ?, ?, ?, ?, ?, ?, ?, ?, ?,  ?, ?, ?, ?, ?, ?,
                 ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,  ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let statement = bind_what_changes(statement, session, action)?
        .bind(id.to_string())
        .bind(id.project().to_string())
        .bind(id.number())
        .bind(created_at.as_millisecond())
        .bind(spec.kind.as_str())
        .bind(spec.agent.to_string())
        .bind(spec.agent_reports)
        .bind(spec.runtime.to_string())
        .bind(spec.permission_mode.as_str())
        .bind(spec.name.clone())
        .bind(spec.issue.clone())
        .bind(spec.prompt.clone())
        .bind(json_text(&spec.agent_args, action)?)
        .bind(spec.branch.clone())
        .bind(spec.base.clone())
        .bind(path_text(&spec.workspace, action)?.to_owned())
        .bind(spec.setup.as_ref().map(|setup| json_text(setup, action)).transpose()?);
    Ok(statement)
}

/// Writes what can change. What was asked for cannot: a prompt of a megabyte is not rewritten with every report.
pub(super) fn update(session: &Session, action: &'static str) -> Result<Statement, StoreError> {
    let statement = sqlx::query(
        "UPDATE sessions SET
             updated_at_ms = ?, version = ?, phase = ?, step = ?, end_reason = ?, end_step = ?, end_cause = ?,
             end_exit = ?, activity = ?, activity_at_ms = ?, launched_at_ms = ?, first_report_at_ms = ?,
             ready_at_ms = ?, pid = ?, pid_start_ticks = ?, agent_session_id = ?, requests_json = ?,
             resolved_base = ?, base_commit = ?, kill_requested_at_ms = ?, spawn_failure = ?, exit = ?, output_tail = ?,
             notes_json = ?, kill_preserves = ?, queue_ticket = ?, restoring_json = ?, resumed = ?, preserved_json = ?, announced = ?,
             turn_failure = ?
         WHERE id = ?",
    );
    Ok(bind_what_changes(statement, session, action)?.bind(session.id.to_string()))
}

/// The first 31 values of both statements.
fn bind_what_changes(statement: Statement, session: &Session, action: &'static str) -> Result<Statement, StoreError> {
    let Session { phase, facts, updated_at, version, .. } = session;
    let phase = PhaseColumns::of(phase);
    let ms = |time: Option<Timestamp>| time.map(Timestamp::as_millisecond);
    let start_ticks = facts.process.map(|process| integer(process.start_ticks, action)).transpose()?;
    let is_any = facts.requests != Requests::default();
    let requests = is_any.then(|| json_text(&facts.requests, action)).transpose()?;
    Ok(statement
        .bind(updated_at.as_millisecond())
        .bind(integer(*version, action)?)
        .bind(phase.phase)
        .bind(phase.step)
        .bind(phase.end_reason)
        .bind(phase.end_step)
        .bind(phase.end_cause)
        .bind(phase.end_exit)
        .bind(facts.activity.as_str())
        .bind(facts.activity_at.as_millisecond())
        .bind(ms(facts.launched_at))
        .bind(ms(facts.first_report_at))
        .bind(ms(facts.ready_at))
        .bind(facts.process.map(|process| process.pid))
        .bind(start_ticks)
        .bind(facts.agent_session_id.as_ref().map(ToString::to_string))
        .bind(requests)
        .bind(facts.resolved_base.clone())
        .bind(facts.base_commit.clone())
        .bind(ms(facts.kill_requested_at))
        .bind(facts.spawn_failure.clone())
        .bind(facts.exit.map(exit_text))
        .bind(facts.output_tail.clone())
        .bind(json_text(&facts.notes, action)?)
        .bind(facts.kill_preserves)
        .bind(facts.queue_ticket.map(|ticket| integer(ticket, action)).transpose()?)
        .bind(facts.restoring.as_ref().map(|restoring| json_text(restoring, action)).transpose()?)
        .bind(facts.resumed)
        .bind(facts.preserved.as_ref().map(|preserved| json_text(preserved, action)).transpose()?)
        .bind(facts.announced.as_ref().map(|announced| announced_text(announced, action)).transpose()?)
        .bind(facts.turn_failure.clone()))
}

/// What was told to whom is JSON; what an ao before 0.1 with schema 8 or less kept is no such text.
fn announced_text(announced: &Announced, action: &'static str) -> Result<String, StoreError> {
    match announced {
        Announced::ToSomebody(key) => Ok(key.clone()),
        told => json_text(told, action),
    }
}

fn announced(text: String) -> Announced {
    serde_json::from_str(&text)
        .ok()
        .filter(|told| matches!(told, Announced::To(_)))
        .unwrap_or(Announced::ToSomebody(text))
}

/// A phase as columns: those that say nothing in it are NULL.
#[derive(Default)]
struct PhaseColumns {
    phase: &'static str,
    step: Option<&'static str>,
    end_reason: Option<&'static str>,
    end_step: Option<&'static str>,
    end_cause: Option<String>,
    end_exit: Option<String>,
}

impl PhaseColumns {
    fn of(phase: &Phase) -> Self {
        let reason = match phase {
            Phase::Provisioning { step } => {
                return Self { phase: "provisioning", step: Some(step.as_str()), ..Self::default() };
            }
            Phase::Live => return Self { phase: "live", ..Self::default() },
            Phase::Terminated { reason } => reason,
        };
        let over = |end_reason| Self { phase: "terminated", end_reason: Some(end_reason), ..Self::default() };
        match reason {
            EndReason::Killed => over("killed"),
            EndReason::Lost => over("lost"),
            EndReason::Exited(exit) => Self { end_exit: Some(exit_text(*exit)), ..over("exited") },
            EndReason::SpawnFailed { step, cause } => {
                Self { end_step: Some(step.as_str()), end_cause: Some(cause.clone()), ..over("spawn_failed") }
            }
        }
    }
}

/// Reads a row.
pub(super) fn read(row: Columns<'_>) -> Result<Session, StoreError> {
    let session = || {
        Ok(Session {
            id: row.word("id")?,
            spec: read_spec(row)?,
            phase: read_phase(row)?,
            facts: read_facts(row)?,
            created_at: row.time("created_at_ms")?,
            updated_at: row.time("updated_at_ms")?,
            version: row.number("version")?,
        })
    };
    session().map_err(|cause| {
        let id = row.get::<String>("id").unwrap_or_default();
        StoreError::Corrupt { id: format!("session {id}"), cause }
    })
}

fn read_spec(row: Columns<'_>) -> Result<SessionSpec, String> {
    Ok(SessionSpec {
        kind: row.word("kind")?,
        agent: row.word("agent")?,
        agent_reports: row.get("agent_reports")?,
        runtime: row.word("runtime")?,
        permission_mode: row.word("permission_mode")?,
        name: row.get("name")?,
        issue: row.get("issue")?,
        prompt: row.get("prompt")?,
        agent_args: row.json("agent_args_json")?,
        branch: row.get("branch")?,
        base: row.get("base")?,
        workspace: row.get::<String>("workspace")?.into(),
        setup: row.optional_json("setup_json")?,
    })
}

fn read_phase(row: Columns<'_>) -> Result<Phase, String> {
    match row.get("phase")? {
        "provisioning" => Ok(Phase::Provisioning { step: row.word("step")? }),
        "live" => Ok(Phase::Live),
        "terminated" => Ok(Phase::Terminated { reason: read_reason(row)? }),
        phase => Err(format!("column phase holds {phase:?}")),
    }
}

fn read_reason(row: Columns<'_>) -> Result<EndReason, String> {
    match row.get("end_reason")? {
        "killed" => Ok(EndReason::Killed),
        "lost" => Ok(EndReason::Lost),
        "exited" => row.exit("end_exit")?.map(EndReason::Exited).ok_or_else(|| "column end_exit is empty".to_owned()),
        "spawn_failed" => {
            let step: Step = row.word("end_step")?;
            Ok(EndReason::SpawnFailed { step, cause: row.get("end_cause")? })
        }
        reason => Err(format!("column end_reason holds {reason:?}")),
    }
}

fn read_facts(row: Columns<'_>) -> Result<Facts, String> {
    let process = match (row.optional_number("pid")?, row.optional_number("pid_start_ticks")?) {
        (Some(pid), Some(start_ticks)) => Some(ProcessIdentity { pid, start_ticks }),
        _ => None,
    };
    Ok(Facts {
        activity: row.word("activity")?,
        activity_at: row.time("activity_at_ms")?,
        launched_at: row.optional_time("launched_at_ms")?,
        first_report_at: row.optional_time("first_report_at_ms")?,
        ready_at: row.optional_time("ready_at_ms")?,
        process,
        agent_session_id: row.optional_word("agent_session_id")?,
        requests: row.optional_json("requests_json")?.unwrap_or_default(),
        resolved_base: row.get("resolved_base")?,
        base_commit: row.get("base_commit")?,
        kill_requested_at: row.optional_time("kill_requested_at_ms")?,
        kill_preserves: row.get("kill_preserves")?,
        queue_ticket: row.optional_number("queue_ticket")?,
        restoring: row.optional_json("restoring_json")?,
        resumed: row.get("resumed")?,
        preserved: row.optional_json("preserved_json")?,
        spawn_failure: row.get("spawn_failure")?,
        exit: row.exit("exit")?,
        output_tail: row.get("output_tail")?,
        notes: row.json("notes_json")?,
        announced: row.get::<Option<String>>("announced")?.map(announced),
        turn_failure: row.get("turn_failure")?,
    })
}
