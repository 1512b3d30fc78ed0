-- Messages: text for sessions' agents, and what became of it.

CREATE TABLE messages (
    number              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, -- the order in which they were accepted
    id                  TEXT NOT NULL UNIQUE,       -- 16 hexadecimal digits
    session_id          TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    from_session        TEXT,                       -- NULL: a person. That session may have been removed since
    body                TEXT NOT NULL,
    created_at_ms       INTEGER NOT NULL,
    state               TEXT NOT NULL,              -- queued, injected, acknowledged, returned, failed
    via                 TEXT,                       -- how its agent was handed it: between_tools, end_of_turn, …
    injected_at_ms      INTEGER,
    acknowledged_at_ms  INTEGER,
    error               TEXT,
    depth               INTEGER NOT NULL            -- how many messages between sessions led to it, itself included; 0: a person's or ao's
) STRICT;

-- What the project's orchestrator was told of a worker last.
ALTER TABLE sessions ADD COLUMN announced TEXT;

CREATE INDEX messages_of_session ON messages (session_id, number);
CREATE INDEX messages_unsettled ON messages (session_id, number) WHERE state NOT IN ('acknowledged', 'failed');
