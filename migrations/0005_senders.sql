-- Which messages are ao's own. Before, that was to be seen by how they began, which anybody could write: of the sessions that are told news, these are.

ALTER TABLE messages ADD COLUMN from_ao INTEGER NOT NULL DEFAULT 0 CHECK (from_ao IN (0, 1)); -- from_session is NULL then

UPDATE messages SET from_ao = 1, body = substr(body, 11)
WHERE from_session IS NULL AND body GLOB '[[]from ao] News of your workers:*'
    AND session_id IN (SELECT id FROM sessions WHERE kind = 'orchestrator');
