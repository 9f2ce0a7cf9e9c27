-- Events are kept in months, so that old ones can leave the database. An event lies in the month its trade was placed
-- in, which is the first part of the trade's id (UUIDv7): the events of a trade lie together. The table there is becomes
-- the partition of this month and all before; not a row is copied, but each is looked at once. No key spans the
-- partitions: seqs are given under the lock of the customer's head, and each partition holds its own to it.
DO $$
DECLARE
    latest timestamptz := (
        SELECT to_timestamp(('x' || left(replace(trade_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
        FROM trade ORDER BY trade_id DESC LIMIT 1
    );
    -- A clock may have run ahead.
    this_month timestamp := date_trunc('month', greatest(now(), latest) AT TIME ZONE 'UTC');
    next_month bigint := extract(epoch FROM this_month + interval '1 month') * 1000;
    partition text := 'trade_event_' || to_char(this_month, 'YYYY_MM');
BEGIN
    EXECUTE format('ALTER TABLE trade_event RENAME TO %I', partition);
    EXECUTE format('ALTER INDEX trade_event_pkey RENAME TO %I', partition || '_pkey');
    EXECUTE format(
        'CREATE TABLE trade_event (LIKE %I INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE (trade_id)', partition
    );
    -- What fits nowhere else; each new month is made like it.
    EXECUTE format('CREATE TABLE trade_event_default (LIKE %I INCLUDING ALL)', partition);
    EXECUTE format(
        'ALTER TABLE trade_event ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
        partition,
        rpad(lpad(to_hex(next_month), 12, '0'), 32, '0')::uuid
    );
END $$;
ALTER TABLE trade_event_default
    SET (autovacuum_analyze_threshold = 20000, autovacuum_analyze_scale_factor = 1);
ALTER TABLE trade_event ATTACH PARTITION trade_event_default DEFAULT;

-- Of customers with archived events the latest of those: from the next one on every event is here.
CREATE TABLE archived_history (
    customer_id text COLLATE "C" PRIMARY KEY,
    through_seq bigint NOT NULL CHECK (through_seq >= 1)
);
