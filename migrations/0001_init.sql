-- Times end in _ms: milliseconds since 1970-01-01 UTC. Columns that end in _json hold JSON.
-- Words of sets that grow (kind, activity, end_reason, …) are checked by the program when it reads them: SQLite cannot
-- widen a CHECK without rebuilding the table. The phases are a closed set, so their shape is checked here.

-- Registered repositories. A row stays when its project is taken off the register, because its ended sessions stay on
-- record and its session numbers are not given out again.
CREATE TABLE projects (
    id                  TEXT NOT NULL PRIMARY KEY,
    path                TEXT NOT NULL,              -- of the repository, absolute, links resolved
    created_at_ms       INTEGER NOT NULL,
    removed_at_ms       INTEGER,                    -- NULL: it is registered
    last_session_number INTEGER NOT NULL DEFAULT 0 CHECK (last_session_number BETWEEN 0 AND 4294967295)
) STRICT;

CREATE UNIQUE INDEX projects_registered_path ON projects (path) WHERE removed_at_ms IS NULL;

-- One agent on one task: what was asked for, where it is in its life, what has been seen of it.
CREATE TABLE sessions (
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

    -- Where it is in its life.
    phase               TEXT NOT NULL CHECK (phase IN ('provisioning', 'live', 'terminated')),
    step                TEXT CHECK (step IN ('recorded', 'workspace', 'prepared', 'launched')), -- the one being taken
    end_reason          TEXT,                       -- killed, exited, spawn_failed, lost
    end_step            TEXT,                       -- spawn_failed: the step that failed
    end_cause           TEXT,                       -- spawn_failed: why
    end_exit            TEXT,                       -- exited: how, as in column `exit`

    -- What has been seen of it. A status is never stored: it is derived from these.
    activity            TEXT NOT NULL,
    activity_at_ms      INTEGER NOT NULL,
    launched_at_ms      INTEGER,
    first_report_at_ms  INTEGER,
    ready_at_ms         INTEGER,
    pid                 INTEGER,
    pid_start_ticks     INTEGER,                    -- tells the process from a later one of that number
    agent_session_id    TEXT,
    pending_request_json TEXT CHECK (json_type(pending_request_json) = 'object'),
    resolved_base       TEXT,                       -- what the branch started from, by name
    base_commit         TEXT,
    kill_requested_at_ms INTEGER,
    spawn_failure       TEXT,                       -- why the spawn failed, while it is being undone
    exit                TEXT,                       -- code:N, signal:N or unknown
    output_tail         TEXT,
    notes_json          TEXT NOT NULL CHECK (json_type(notes_json) = 'array'),

    UNIQUE (project_id, number),
    CHECK (id = project_id || '-' || number),
    CHECK ((phase = 'provisioning') = (step IS NOT NULL)),
    CHECK ((phase = 'terminated') = (end_reason IS NOT NULL)),
    CHECK ((pid IS NULL) = (pid_start_ticks IS NULL))
) STRICT;

CREATE INDEX sessions_not_over ON sessions (project_id) WHERE phase <> 'terminated';

-- What happened, in order. Rows are only ever added, each in the transaction of what it tells, by the one writer: so
-- the numbers have no gaps, and AUTOINCREMENT keeps one from being given out twice.
CREATE TABLE changes (
    seq                 INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_ms               INTEGER NOT NULL,
    kind                TEXT NOT NULL,              -- project.added, session.live, …
    project_id          TEXT NOT NULL REFERENCES projects (id),
    session_id          TEXT REFERENCES sessions (id),
    data_json           TEXT NOT NULL CHECK (json_valid(data_json))
) STRICT;

CREATE INDEX changes_of_session ON changes (session_id, seq) WHERE session_id IS NOT NULL;
