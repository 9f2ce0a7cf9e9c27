-- Entries lie in a partition for each month in which they were recorded, so that old months can be
-- taken out. What there is already stays where it is: it is the first partition, whose last month
-- is this one.
ALTER TABLE entry RENAME TO entry_first;
ALTER INDEX entry_version RENAME TO entry_first_version;
ALTER INDEX entry_journal RENAME TO entry_first_journal;
-- Months since January 1970; 0: recorded before months were told apart. No row is written for that.
ALTER TABLE entry_first ADD COLUMN month smallint NOT NULL DEFAULT 0;
ALTER TABLE entry_first ALTER COLUMN month DROP DEFAULT;

-- No index of a partitioned table could say that (account_id, version) is unique, for `month` is no
-- part of it. So every partition has its own, which says it of a month; across months the writer's
-- version says it, which it takes from the account under the lock of the head, and invariant I3.
CREATE TABLE entry (LIKE entry_first INCLUDING CONSTRAINTS) PARTITION BY RANGE (month);
CREATE TABLE entry_default (LIKE entry_first INCLUDING ALL);

CREATE TRIGGER entry_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entry_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON entry_default
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON entry, entry_default FROM CURRENT_USER;
ALTER TABLE entry_default
    SET (autovacuum_analyze_threshold = 20000, autovacuum_analyze_scale_factor = 1);

-- The number of the month that a moment is in.
CREATE FUNCTION month_of(p_at timestamptz) RETURNS integer LANGUAGE sql STABLE
RETURN (extract(year FROM p_at AT TIME ZONE 'UTC') * 12
    + extract(month FROM p_at AT TIME ZONE 'UTC'))::integer - 1970 * 12 - 1;

-- A writer of the software before, while it is replaced, does not say the month.
ALTER TABLE entry ALTER COLUMN month SET DEFAULT month_of(now());

DO $$
DECLARE
    latest timestamptz := greatest(now(), (SELECT recorded_at FROM journal_head));
    name text := to_char(latest AT TIME ZONE 'UTC', '"entry_"YYYY_MM');
BEGIN
    EXECUTE format('ALTER TABLE entry_first RENAME TO %I', name);
    EXECUTE format(
        'ALTER TABLE entry ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%s)',
        name, month_of(latest) + 1
    );
END
$$;
ALTER TABLE entry ATTACH PARTITION entry_default DEFAULT;
