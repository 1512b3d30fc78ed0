-- What was answered to requests that their clients may ask again (`Idempotency-Key`).

CREATE TABLE answers (
    key           TEXT NOT NULL PRIMARY KEY,   -- method, path, and the client's own
    digest        TEXT NOT NULL,               -- of the body: another one may not have its key
    since         INTEGER NOT NULL,            -- the newest change when it was begun
    begun_at_ms   INTEGER NOT NULL,
    status        INTEGER,                     -- NULL: it was begun, and no answer is known
    location      TEXT,
    body          TEXT
) STRICT;

CREATE INDEX answers_begun ON answers (begun_at_ms);
