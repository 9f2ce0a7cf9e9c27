-- Months whose entries were written to a file and taken out, or are about to be. What is left of
-- them is the last entry of each account. Never changed.
CREATE TABLE archived_month (
    month smallint PRIMARY KEY, -- since January 1970
    last_transfer_seq bigint NOT NULL CHECK (last_transfer_seq >= 0), -- up to it entries are archived
    recorded_until timestamptz NOT NULL, -- when the last of its batches was recorded
    effective_until timestamptz NOT NULL, -- the latest that anything up to it was effective
    archived_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER archived_month_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON archived_month
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON archived_month FROM CURRENT_USER;

-- The last transfer whose entries are archived; 0: none is.
CREATE FUNCTION archived_seq() RETURNS bigint LANGUAGE sql STABLE
RETURN coalesce((
    SELECT last_transfer_seq FROM archived_month ORDER BY month DESC LIMIT 1
), 0);

-- The latest version of an account among its entries of transfers up to p_seq; 0 if there is none.
-- Versions have no gap and rise with seq, so halving finds it: 20 looks in a million entries. One
-- that is not there is archived, and came before all that are. Of a p_seq below archived_seq() the
-- answer means nothing.
CREATE OR REPLACE FUNCTION version_at(p_account_id integer, p_version bigint, p_seq bigint)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := 0;
    high bigint := p_version; -- a version that exists
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF coalesce((
            SELECT transfer_seq FROM entry
            WHERE entry_key(account_id, version) = entry_key(p_account_id, middle)
        ), 0) <= p_seq
        THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;
