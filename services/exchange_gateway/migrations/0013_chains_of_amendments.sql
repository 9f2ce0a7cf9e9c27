-- A fill that was corrected is corrected again, or busted, by the name of its latest correction: execution_id names what
-- was amended, and first_execution_id the fill itself. NULL: execution_id is the fill.
ALTER TABLE amended_execution ADD COLUMN first_execution_id text;
