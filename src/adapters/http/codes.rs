//! Every code that an error may have. This is the one table: the OpenAPI document and `docs/http.md` are made from it, and a test compares it
//! with the codes that the sources name.

use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// A code of an error: what programs may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The HTTP status.
    pub status: u16,
    /// The code.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn code(status: u16, name: &'static str, meaning: &'static str) -> Code {
    Code { status, name, meaning }
}

/// The code of what is unexpected.
pub const INTERNAL: &str = "internal";

/// By status, then by name.
pub const CODES: &[Code] = &[
    code(400, "agent_refused", "the agent cannot be run like this, as with arguments it does not take"),
    code(400, "cannot_be_typed", "the message cannot be typed into this agent's terminal"),
    code(400, "changes_ahead", "a stream was to go on from a number that no change has yet: it was another log"),
    code(400, "empty_message", "the message has no text"),
    code(400, "invalid_branch", "git allows no branch of that name"),
    code(400, "invalid_idempotency_key", "`Idempotency-Key` is empty, longer than 255, or not printable ASCII"),
    code(400, "invalid_reason", "the reason is empty or too long"),
    code(400, "invalid_request", "a parameter or the body is missing, has another type, or is not known"),
    code(400, "message_too_large", "the message is too long"),
    code(400, "no_reports", "the agent reports nothing by which that state could be seen"),
    code(400, "project_file_mistake", "there is a mistake in the project's `ao.toml`"),
    code(400, "unknown_agent", "there is no agent of that name"),
    code(400, "unknown_base", "the repository has nothing of that name to start from"),
    code(400, "unknown_runtime", "there is no runtime of that name"),
    code(401, "unauthorized", "the bearer token is missing or wrong"),
    code(403, "host_not_allowed", "`Host` names something else than this daemon, as after DNS rebinding"),
    code(403, "origin_not_allowed", "a web page of another origin asks"),
    code(403, "socket_only", "this is for the Unix socket alone"),
    code(404, "no_project_file", "the repository has no `ao.toml`"),
    code(404, "no_report", "a file in the spool holds no report"),
    code(404, "no_such_path", "the API has no such path"),
    code(404, "not_found", "there is no such thing"),
    code(404, "unknown_message", "there is no such message"),
    code(404, "unknown_project", "there is no such project"),
    code(404, "unknown_request", "there is no such request for a permission"),
    code(404, "unknown_session", "there is no such session"),
    code(405, "method_not_allowed", "the path is there, but not with this method"),
    code(408, "request_too_slow", "the request did not come in time"),
    code(409, "agent_not_dead", "the last agent is not known to be dead"),
    code(409, "branch_exists", "the branch is there already"),
    code(409, "branch_in_use", "the branch is checked out elsewhere"),
    code(409, "embedded", "a program of somebody's serves this, and can be stopped by its own means only"),
    code(409, "exists", "that is on record already"),
    code(409, "idempotency_key_reused", "`Idempotency-Key` was used for another request"),
    code(409, "illegal_transition", "the session is in no state that allows it"),
    code(409, "in_use", "the project has sessions that are not over"),
    code(409, "limit_reached", "the limit of live agents is reached"),
    code(409, "message_exists", "another message has that id"),
    code(409, "messages_loop", "sessions answer each other without end"),
    code(409, "no_terminal", "the session has no terminal"),
    code(409, "no_text_hooks", "the agent cannot be handed text"),
    code(409, "nobody_waits", "the hook that asked waits no more, so nobody would hear the decision"),
    code(409, "not_a_person", "that is for persons, and this is an agent, or says that it is one"),
    code(409, "not_over", "the session is not over"),
    code(409, "not_yours_to_decide", "an agent may not decide about this request"),
    code(409, "nothing_asked", "the session's agent asks nothing"),
    code(409, "project_file_changed", "the project's `ao.toml` was changed since it was looked at"),
    code(409, "request_not_open", "the request is open no more"),
    code(409, "session_over", "the session is over"),
    code(409, "stopping", "the daemon is stopping"),
    code(409, "too_many_messages", "a session sent another one too many messages"),
    code(409, "too_many_viewers", "the session's terminal has as many viewers as it may have"),
    code(409, "unknown_sender", "who sends, or asks with a key, says to be a session and is not, or has ended"),
    code(409, "unsupported_repository", "a repository of this kind cannot have worktrees of ao's"),
    code(409, "untrusted_project_file", "nobody has accepted the project's `ao.toml` as it is now"),
    code(409, "workspace_busy", "somebody still works in the workspace"),
    code(409, "workspace_not_ours", "the workspace is not one that ao made"),
    code(410, "changes_gone", "changes that were asked for were trimmed; `oldest` says where to go on"),
    code(413, "body_too_large", "the body is larger than what is taken"),
    code(415, "unsupported_media_type", "the body is not said to be `application/json`"),
    code(422, "agent_broken", "the agent's program cannot be run"),
    code(422, "agent_exited", "the agent ended right after its start"),
    code(422, "agent_file", "a file of the agent's could not be read or written"),
    code(422, "agent_not_found", "the agent's program is not installed"),
    code(422, "agent_too_old", "the agent's program is too old"),
    code(422, "git_unusable", "git is missing or too old"),
    code(422, "inbox_refused", "something stands in the place of the session's inbox"),
    code(422, "message_failed", "the message could not be put into the inbox"),
    code(422, "messenger", "a file of the message could not be written"),
    code(422, "not_a_repository", "the directory is in no git repository"),
    code(422, "project_file_unusable", "the project's `ao.toml` cannot be read"),
    code(422, "repository_corrupt", "the repository is broken"),
    code(422, "repository_moved", "the repository is not where it was registered"),
    code(422, "runtime_failed", "the runtime failed"),
    code(422, "runtime_unusable", "the runtime is missing or too old"),
    code(422, "session_dir", "the session's own directory cannot be used"),
    code(422, "setup_broken", "the project's commands could not be run"),
    code(422, "setup_failed", "a command of the project failed"),
    code(422, "setup_timed_out", "the project's commands took too long"),
    code(422, "spool", "the spool cannot be used"),
    code(422, "store_unwritable", "nothing can be recorded, as on a full disk"),
    code(422, "terminal_failed", "the terminal could not be made"),
    code(422, "too_slow", "a stream ends, for its reader takes what it is given too slowly"),
    code(422, "workspace_failed", "git, or the file system, failed in the workspace"),
    code(500, INTERNAL, "unexpected; the daemon's log has the cause, by the request id"),
    code(504, "still_at_work", "the answer is not there in time; the work goes on, and events tell how it ends"),
];

/// What a code means.
#[must_use]
pub fn find(name: &str) -> Option<&'static Code> {
    CODES.iter().find(|code| code.name == name)
}

/// The schema of a code.
pub(super) fn schema() -> Object {
    let names = CODES.iter().map(|code| code.name);
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("What programs may rely on. Later versions may have more."))
        .enum_values(Some(names))
        .build()
}

/// The table as it stands in `docs/http.md`.
#[must_use]
pub fn as_markdown() -> String {
    let mut text = String::from("| Status | Code | Meaning |\n| --- | --- | --- |\n");
    for Code { status, name, meaning } in CODES {
        text.push_str(&format!("| {status} | `{name}` | {meaning} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_has_each_code_once() {
        let keys: Vec<(u16, &str)> = CODES.iter().map(|code| (code.status, code.name)).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        assert_eq!(keys, sorted);
        let mut names: Vec<&str> = CODES.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
    }
}
