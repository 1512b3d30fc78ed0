-- A key is its caller's own, and each caller has so many at most. Those that there are were not told apart: they count as a person's.

CREATE TABLE answers_of_askers (
    asker         TEXT NOT NULL,               -- the session whose agent asked; '' for a person
    route         TEXT NOT NULL,               -- method and path
    key           TEXT NOT NULL,               -- the client's own
    digest        TEXT NOT NULL,               -- of the body: another one may not have its key
    since         INTEGER NOT NULL,            -- the newest change when it was begun
    begun_at_ms   INTEGER NOT NULL,
    status        INTEGER,                     -- NULL: it was begun, and no answer is known
    location      TEXT,
    body          TEXT,
    PRIMARY KEY (asker, route, key)
) STRICT;

-- Before, route and key were one text with a space between them, and a key has no spaces.
INSERT INTO answers_of_askers (asker, route, key, digest, since, begun_at_ms, status, location, body)
SELECT '', rtrim(beginning), substr(key, length(beginning) + 1), digest, since, begun_at_ms, status, location, body
FROM (SELECT *, rtrim(key, replace(key, ' ', '')) AS beginning FROM answers);

DROP TABLE answers;
ALTER TABLE answers_of_askers RENAME TO answers;

CREATE INDEX answers_begun ON answers (begun_at_ms);
CREATE INDEX answers_of_asker ON answers (asker, begun_at_ms);
