-- What operators have set for trades before they are let through. Append-only: the history is the settings.
CREATE TABLE control_setting (
    version bigint PRIMARY KEY CHECK (version >= 1), -- 1, 2, 3, ... without gap
    control smallint NOT NULL CHECK (control >= 1),
    customer_id text COLLATE "C" NOT NULL, -- empty: everybody's trades
    symbol text COLLATE "C" NOT NULL, -- empty: in everything
    action smallint NOT NULL CHECK (action BETWEEN 1 AND 3),
    limit_amount bigint NOT NULL CHECK (limit_amount >= 0),
    seconds integer NOT NULL CHECK (seconds >= 0),
    passes_without_price boolean NOT NULL,
    effective_at timestamptz NOT NULL,
    actor text NOT NULL CHECK (actor <> ''),
    reason_text text NOT NULL CHECK (reason_text <> ''),
    recorded_at timestamptz NOT NULL
);

CREATE TRIGGER control_setting_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON control_setting
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What a trade was let through or rejected by: the version of the settings, what failed, what was known.
-- Null when nothing had ever been set. The rest is the trade's own terms, and the settings of that version.
ALTER TABLE trade ADD COLUMN decision bytea;

-- The latest order of each kind that went through under a guard against duplicates. `likeness` is a hash of
-- its terms; the trade itself says whether they are the same.
CREATE TABLE recent_order (
    customer_id text COLLATE "C" NOT NULL,
    likeness bigint NOT NULL,
    trade_id uuid NOT NULL,
    PRIMARY KEY (customer_id, likeness)
) WITH (fillfactor = 70);

-- Open LIMIT orders that may wait on the book: what a customer's own order could trade against.
CREATE TABLE open_limit_order (
    customer_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    trade_id uuid NOT NULL,
    PRIMARY KEY (customer_id, symbol, trade_id)
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);
INSERT INTO open_limit_order (customer_id, symbol, trade_id)
SELECT customer_id, symbol, trade_id FROM trade
WHERE order_type = 2 AND time_in_force IN (1, 2) AND status NOT IN (4, 7, 8, 9);
