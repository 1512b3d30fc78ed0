-- Why an agent's last turn failed, as by a login that is over or a limit of use; NULL: it did not, or another one has begun.

ALTER TABLE sessions ADD COLUMN turn_failure TEXT;
