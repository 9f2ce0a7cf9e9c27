-- Months whose entries lay in entry_default and were moved into a partition of their own. Never changed.
CREATE TABLE moved_month (
    month smallint NOT NULL, -- since January 1970
    entries bigint NOT NULL CHECK (entries >= 0),
    moved_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER moved_month_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON moved_month
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON moved_month FROM CURRENT_USER;
