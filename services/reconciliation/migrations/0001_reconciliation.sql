-- What each source says of each execution, how far it is read, and where the sources differ.
-- Ids compare byte by byte (COLLATE "C"), as the sources and Python sort them.

-- source: 1 venue, 2 gateway, 3 order, 4 ledger.
-- How far a source is read. All before the place `read` is known here; the re-reading stands at `reread`.
CREATE TABLE reading (
    source smallint PRIMARY KEY CHECK (source BETWEEN 1 AND 4),
    read_position bigint NOT NULL DEFAULT 0,
    read_venue text COLLATE "C" NOT NULL DEFAULT '',
    read_execution_id text COLLATE "C" NOT NULL DEFAULT '',
    reread_position bigint NOT NULL DEFAULT 0,
    reread_venue text COLLATE "C" NOT NULL DEFAULT '',
    reread_execution_id text COLLATE "C" NOT NULL DEFAULT ''
) WITH (fillfactor = 20);
INSERT INTO reading (source) SELECT generate_series(1, 4);

-- What a source says: a row for each time it has the execution, so that one that is there twice shows, and
-- the ledger's corrections stand beside its bookings (one row per customer and symbol they touch: part).
-- shares and cash_micros: what the customer got; a BUY has positive shares and negative cash.
CREATE TABLE sighting (
    source smallint NOT NULL,
    position bigint NOT NULL,
    part smallint NOT NULL,
    trade_date date NOT NULL,
    shares bigint NOT NULL,
    cash_micros bigint NOT NULL,
    is_fill boolean NOT NULL,
    venue text COLLATE "C" NOT NULL,
    execution_id text COLLATE "C" NOT NULL,
    trade_id text COLLATE "C" NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    PRIMARY KEY (venue, execution_id, source, position, part)
);
-- A source in its own order: what a page of the re-reading is held against.
CREATE INDEX sighting_place ON sighting (source, position, venue, execution_id);
-- Days come nearly in order.
CREATE INDEX sighting_day ON sighting USING brin (trade_date)
    WITH (pages_per_range = 32, autosummarize = on);

-- Executions that differ and are not old enough to be breaks: empty on an idle system.
CREATE TABLE suspect (
    venue text COLLATE "C" NOT NULL,
    execution_id text COLLATE "C" NOT NULL,
    noticed_at timestamptz NOT NULL,
    PRIMARY KEY (venue, execution_id)
) WITH (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX suspect_by_age ON suspect (noticed_at);

-- class and ending: the numbers of BreakClass and BreakEnd. Rows are never removed.
CREATE TABLE break (
    break_id uuid PRIMARY KEY,
    venue text COLLATE "C" NOT NULL,
    execution_id text COLLATE "C" NOT NULL,
    class smallint NOT NULL CHECK (class BETWEEN 1 AND 9),
    trade_id text NOT NULL,
    trade_date date NOT NULL,
    told jsonb NOT NULL,
    noticed_at timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    closed_at timestamptz,
    ending smallint NOT NULL DEFAULT 0 CHECK (ending BETWEEN 0 AND 2),
    CHECK ((closed_at IS NULL) = (ending = 0))
);
CREATE UNIQUE INDEX break_open ON break (venue, execution_id, class) WHERE closed_at IS NULL;
CREATE INDEX break_by_day ON break (trade_date);

-- An operator's words. Never changed.
CREATE TABLE explanation (
    break_id uuid NOT NULL REFERENCES break,
    operator text NOT NULL,
    reason_text text NOT NULL,
    explained_at timestamptz NOT NULL,
    PRIMARY KEY (break_id, operator, reason_text)
);

-- Sealed days. Never changed. `report` is what the seal is over, byte by byte.
CREATE TABLE day (
    trade_date date PRIMARY KEY,
    report text NOT NULL,
    seal bytea NOT NULL CHECK (octet_length(seal) = 32),
    previous_seal bytea NOT NULL UNIQUE CHECK (octet_length(previous_seal) = 32)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what is on record in % is never changed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER day_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON day
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER explanation_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON explanation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON day, explanation FROM CURRENT_USER;
REVOKE DELETE, TRUNCATE ON break FROM CURRENT_USER;

-- The key page tokens are sealed with: one for all processes and every restart.
CREATE TABLE page_token_key (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);
INSERT INTO page_token_key (key)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
