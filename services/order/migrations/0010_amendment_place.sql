-- Which transaction recorded what became of a fill: told to whoever compares books, in the order in which fills are.
-- Those recorded before have the number that PostgreSQL itself keeps with the row.
ALTER TABLE execution_amendment ADD COLUMN transaction_id bigint NOT NULL
    DEFAULT (pg_current_xact_id()::text)::bigint;
UPDATE execution_amendment SET transaction_id = (xmin::text)::bigint;
CREATE INDEX execution_amendment_place ON execution_amendment (transaction_id, venue, execution_id);
