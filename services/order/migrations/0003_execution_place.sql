-- Which transaction recorded a fill: the order in which fills are told to whoever compares books. It is
-- not the order of commits, but below the oldest transaction in progress nothing is ever added.
-- Those recorded before have the number that PostgreSQL itself keeps with the row.
ALTER TABLE execution ADD COLUMN transaction_id bigint NOT NULL
    DEFAULT (pg_current_xact_id()::text)::bigint;
UPDATE execution SET transaction_id = (xmin::text)::bigint;
CREATE INDEX execution_place ON execution (transaction_id, venue, execution_id);
