-- Restore, setup, the line, preserved work and trust. Tables are rebuilt, because SQLite widens no CHECK and drops no
-- reference in place; the program runs migrations with foreign keys off and checks them afterwards.

CREATE TABLE sessions_v2 (
    id                  TEXT NOT NULL PRIMARY KEY,  -- {project_id}-{number}
    project_id          TEXT NOT NULL REFERENCES projects (id),
    number              INTEGER NOT NULL CHECK (number BETWEEN 1 AND 4294967295),
    version             INTEGER NOT NULL CHECK (version >= 1), -- how often the row was written
    created_at_ms       INTEGER NOT NULL,
    updated_at_ms       INTEGER NOT NULL,

    -- What was asked for. Never changes.
    kind                TEXT NOT NULL,              -- worker, orchestrator
    agent               TEXT NOT NULL,
    agent_reports       INTEGER NOT NULL CHECK (agent_reports IN (0, 1)),
    runtime             TEXT NOT NULL,
    permission_mode     TEXT NOT NULL,
    name                TEXT,
    issue               TEXT,
    prompt              TEXT,
    agent_args_json     TEXT NOT NULL CHECK (json_type(agent_args_json) = 'array'),
    branch              TEXT NOT NULL,
    base                TEXT,                       -- NULL: the project's base
    workspace           TEXT NOT NULL,
    setup_json          TEXT CHECK (json_type(setup_json) = 'object'), -- what ao.toml wanted done in the workspace

    -- Where it is in its life.
    phase               TEXT NOT NULL CHECK (phase IN ('provisioning', 'live', 'terminated')),
    step                TEXT CHECK (step IN ('recorded', 'workspace', 'setup', 'prepared', 'launched')), -- the one being taken
    end_reason          TEXT,                       -- killed, exited, spawn_failed, lost
    end_step            TEXT,                       -- spawn_failed: the step that failed
    end_cause           TEXT,                       -- spawn_failed: why
    end_exit            TEXT,                       -- exited: how, as in column `exit`
    restoring_json      TEXT CHECK (json_type(restoring_json) = 'object'), -- what it was before the restore under way
    queue_ticket        INTEGER,                    -- its place in the line, while it waits for one to become free

    -- What has been seen of it. A status is never stored: it is derived from these.
    activity            TEXT NOT NULL,
    activity_at_ms      INTEGER NOT NULL,
    launched_at_ms      INTEGER,
    first_report_at_ms  INTEGER,
    ready_at_ms         INTEGER,
    pid                 INTEGER,
    pid_start_ticks     INTEGER,                    -- tells the process from a later one of that number
    agent_session_id    TEXT,
    resumed             INTEGER NOT NULL DEFAULT 0 CHECK (resumed IN (0, 1)), -- its agent goes on with that conversation
    pending_request_json TEXT CHECK (json_type(pending_request_json) = 'object'),
    resolved_base       TEXT,                       -- what the branch started from, by name
    base_commit         TEXT,
    preserved_json      TEXT CHECK (json_type(preserved_json) = 'object'), -- uncommitted work that was saved
    kill_requested_at_ms INTEGER,
    kill_preserves      INTEGER NOT NULL DEFAULT 0 CHECK (kill_preserves IN (0, 1)), -- work is saved and the workspace goes
    spawn_failure       TEXT,                       -- why the spawn failed, while it is being undone
    exit                TEXT,                       -- code:N, signal:N or unknown
    output_tail         TEXT,
    notes_json          TEXT NOT NULL CHECK (json_type(notes_json) = 'array'),

    UNIQUE (project_id, number),
    CHECK (id = project_id || '-' || number),
    CHECK ((phase = 'provisioning') = (step IS NOT NULL)),
    CHECK ((phase = 'terminated') = (end_reason IS NOT NULL)),
    CHECK (phase = 'provisioning' OR (restoring_json IS NULL AND queue_ticket IS NULL)),
    CHECK ((pid IS NULL) = (pid_start_ticks IS NULL))
) STRICT;

INSERT INTO sessions_v2 (
    id, project_id, number, version, created_at_ms, updated_at_ms, kind, agent, agent_reports, runtime, permission_mode,
    name, issue, prompt, agent_args_json, branch, base, workspace, phase, step, end_reason, end_step, end_cause, end_exit,
    activity, activity_at_ms, launched_at_ms, first_report_at_ms, ready_at_ms, pid, pid_start_ticks, agent_session_id,
    pending_request_json, resolved_base, base_commit, kill_requested_at_ms, spawn_failure, exit, output_tail, notes_json)
SELECT
    id, project_id, number, version, created_at_ms, updated_at_ms, kind, agent, agent_reports, runtime, permission_mode,
    name, issue, prompt, agent_args_json, branch, base, workspace, phase, step, end_reason, end_step, end_cause, end_exit,
    activity, activity_at_ms, launched_at_ms, first_report_at_ms, ready_at_ms, pid, pid_start_ticks, agent_session_id,
    pending_request_json, resolved_base, base_commit, kill_requested_at_ms, spawn_failure, exit, output_tail, notes_json
FROM sessions;

-- The numbers go on where they were, also when the newest entry is gone: AUTOINCREMENT's own record of a table moves with
-- its name. An entry may name a session whose record was removed, so there is no reference to it.
CREATE TABLE changes_v2 (
    seq                 INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_ms               INTEGER NOT NULL,
    kind                TEXT NOT NULL,              -- project.added, session.live, …
    project_id          TEXT NOT NULL REFERENCES projects (id),
    session_id          TEXT,
    data_json           TEXT NOT NULL CHECK (json_valid(data_json))
) STRICT;

INSERT INTO changes_v2 (seq, at_ms, kind, project_id, session_id, data_json)
SELECT seq, at_ms, kind, project_id, session_id, data_json FROM changes;

DROP TABLE changes;
DROP TABLE sessions;
ALTER TABLE sessions_v2 RENAME TO sessions;
ALTER TABLE changes_v2 RENAME TO changes;

CREATE INDEX sessions_not_over ON sessions (project_id) WHERE phase <> 'terminated';
CREATE INDEX changes_of_session ON changes (session_id, seq) WHERE session_id IS NOT NULL;

-- Versions of a project's ao.toml that a person accepted.
CREATE TABLE trusted_files (
    project_id          TEXT NOT NULL REFERENCES projects (id),
    digest              TEXT NOT NULL,              -- SHA-256 of the content, hexadecimal
    accepted_at_ms      INTEGER NOT NULL,
    PRIMARY KEY (project_id, digest)
) STRICT;
