//! What each operation may be refused with: the one table. The OpenAPI document is made from it, and every answer is held to it
//! ([`super::super::operations`]).

use axum::http::Method;
use utoipa::openapi::path::Operation;

use crate::adapters::http::codes::{CODES, Code};

/// Of every operation: what comes before its handler, and what may go wrong anywhere.
const EVERY: &[&str] = &[
    "invalid_request",
    "unauthorized",
    "host_not_allowed",
    "origin_not_allowed",
    "body_too_large",
    "internal",
    "still_at_work",
];
/// Of one that may be asked with an `Idempotency-Key`, for which its body is read and its answer is kept.
const WITH_KEY: &[&str] =
    &["invalid_idempotency_key", "idempotency_key_reused", "unknown_sender", "request_too_slow", "store_unwritable"];
/// Of one that has a body.
const WITH_BODY: &[&str] = &["unsupported_media_type", "request_too_slow"];

/// The register and the log: a disk that fails refuses who reads, too.
const RECORDS: &[&str] = &["store_unwritable"];
/// A session.
const SESSION: &[&str] = &["unknown_session", "store_unwritable"];
/// A session that is changed: its record may be removed meanwhile.
const CHANGED_SESSION: &[&str] = &["unknown_session", "not_found", "store_unwritable"];
/// Its terminal.
const TERMINAL: &[&str] = &["unknown_session", "unknown_runtime", "runtime_failed", "store_unwritable"];
/// A project of the register, by its id.
const PROJECT: &[&str] = &["unknown_project", "not_found", "store_unwritable"];
/// A project's repository.
const REPOSITORY: &[&str] =
    &["unknown_project", "repository_moved", "not_a_repository", "repository_corrupt", "store_unwritable"];
/// Its `ao.toml`.
const PROJECT_FILE: &[&str] = &["project_file_mistake", "project_file_unusable"];
/// What an agent needs to be started again.
const LAUNCH: &[&str] = &[
    "stopping",
    "unknown_agent",
    "agent_refused",
    "agent_not_found",
    "agent_too_old",
    "agent_broken",
    "agent_file",
    "unknown_runtime",
    "runtime_unusable",
    "git_unusable",
    "workspace_failed",
    "workspace_not_ours",
    "limit_reached",
];

/// By the operation's id, which is its handler's name.
const TABLE: &[(&str, &[&[&str]])] = &[
    ("show_daemon", &[]),
    ("stop_daemon", &[&["embedded"]]),
    ("examine", &[]),
    ("renew_token", &[&["socket_only"]]),
    ("list_projects", &[RECORDS]),
    ("add_project", &[RECORDS, &["not_a_repository", "repository_corrupt", "exists"]]),
    ("show_project", &[PROJECT]),
    ("show_project_file", &[REPOSITORY, PROJECT_FILE]),
    (
        "trust_project_file",
        &[REPOSITORY, PROJECT_FILE, PROJECT, &["not_a_person", "no_project_file", "project_file_changed"]],
    ),
    ("remove_project", &[PROJECT, &["in_use"]]),
    ("list_sessions", &[RECORDS, &["unknown_project"]]),
    (
        "spawn",
        &[
            REPOSITORY,
            PROJECT_FILE,
            LAUNCH,
            &[
                "untrusted_project_file",
                "not_found",
                "exists",
                "branch_exists",
                "invalid_branch",
                "unknown_base",
                "unsupported_repository",
            ],
        ],
    ),
    ("show_session", &[SESSION]),
    ("kill", &[CHANGED_SESSION, TERMINAL, &["illegal_transition", "setup_broken", "session_dir", "workspace_busy"]]),
    (
        "restore",
        &[
            CHANGED_SESSION,
            REPOSITORY,
            LAUNCH,
            &[
                "not_over",
                "agent_not_dead",
                "illegal_transition",
                "workspace_busy",
                "setup_broken",
                "spool",
                "runtime_failed",
            ],
        ],
    ),
    ("restore_all", &[RECORDS]),
    ("wait", &[SESSION, &["no_reports"]]),
    ("output", &[TERMINAL, &["setup_broken"]]),
    ("output_stream", &[TERMINAL]),
    ("screen", &[TERMINAL, &["no_terminal"]]),
    ("terminal", &[TERMINAL, &["no_terminal", "not_a_person", "too_many_viewers"]]),
    ("list_messages", &[SESSION]),
    (
        "send",
        &[
            CHANGED_SESSION,
            &[
                "unknown_sender",
                "unknown_agent",
                "unknown_message",
                "message_exists",
                "session_over",
                "no_text_hooks",
                "empty_message",
                "message_too_large",
                "cannot_be_typed",
                "messages_loop",
                "too_many_messages",
                "message_failed",
            ],
        ],
    ),
    ("show_message", &[RECORDS, &["unknown_message"]]),
    ("wait_for_message", &[RECORDS, &["unknown_message"]]),
    (
        "decide",
        &[
            CHANGED_SESSION,
            &["invalid_reason", "not_yours_to_decide", "request_not_open", "nothing_asked", "nobody_waits"],
        ],
    ),
    ("wait_for_decision", &[CHANGED_SESSION, &["unknown_request"]]),
    ("clean_up", &[RECORDS, &["unknown_project"]]),
    ("report", &[CHANGED_SESSION, &["unknown_agent"]]),
    ("events", &[SESSION, &["changes_gone", "changes_ahead"]]),
];

/// Whether a request with this method may have an `Idempotency-Key`.
pub(in crate::adapters::http) fn may_have_key(method: &Method) -> bool {
    [Method::POST, Method::DELETE].contains(method)
}

/// What an operation may be refused with, in the order of [`CODES`].
pub(in crate::adapters::http) fn codes(
    method: &Method,
    operation: &Operation,
) -> impl Iterator<Item = &'static Code> + use<> {
    let id = operation.operation_id.as_deref().unwrap_or_default();
    let own = TABLE.iter().find(|(name, _)| *name == id).map(|(_, own)| *own).unwrap_or_default();
    let with_key = may_have_key(method).then_some(WITH_KEY);
    let with_body = operation.request_body.is_some().then_some(WITH_BODY);
    CODES.iter().filter(move |code| {
        own.iter().copied().chain([EVERY]).chain(with_key).chain(with_body).any(|names| names.contains(&code.name))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::adapters::http::codes::find;
    use crate::adapters::http::operations::methods;
    use crate::adapters::http::router::described;

    #[test]
    fn the_table_has_every_operation_once_and_no_code_that_is_none() {
        let document = described().into_openapi();
        let operations: Vec<&Operation> =
            document.paths.paths.values().flat_map(methods).map(|(_, operation)| operation).collect();
        let described: BTreeSet<&str> =
            operations.iter().filter_map(|operation| operation.operation_id.as_deref()).collect();
        let listed: BTreeSet<&str> = TABLE.iter().map(|(id, _)| *id).collect();
        assert_eq!(described, listed);
        assert_eq!((operations.len(), TABLE.len()), (listed.len(), listed.len()), "one is there twice");
        let names = TABLE.iter().flat_map(|(_, own)| own.iter().copied()).chain([EVERY, WITH_KEY, WITH_BODY]).flatten();
        for name in names {
            assert!(find(name).is_some(), "{name} is not in codes.rs");
        }
    }
}
