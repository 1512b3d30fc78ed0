-- The requests for permissions: those that are open, and what became of others, where one open request was before. What older records say of
-- that is still read.

ALTER TABLE sessions RENAME COLUMN pending_request_json TO requests_json;
