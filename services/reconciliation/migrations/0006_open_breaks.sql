-- Those that are not over are listed, the newest first; those that are, are kept for ever.
CREATE INDEX break_not_over ON break (break_id) WHERE closed_at IS NULL;
