-- Everything of a customer changes while the customer's row in customer_head is locked, and rows are
-- locked in the order of customer_id: so a customer's events are committed in the order of their
-- seq, and no two transactions wait for each other in a circle. This lock takes the place of
-- foreign keys on the path of every trade: rows that belong together are written in one transaction.
--
-- Ids of customers, clients and the venue compare byte by byte (COLLATE "C"), as Python sorts them.

CREATE TABLE customer_head (
    customer_id text COLLATE "C" PRIMARY KEY,
    head_seq bigint NOT NULL CHECK (head_seq >= 0) -- of the latest event; 0 before the first
) WITH (fillfactor = 50);

CREATE TABLE trade (
    trade_id uuid PRIMARY KEY,
    customer_id text COLLATE "C" NOT NULL,
    client_order_id text COLLATE "C" NOT NULL,
    placed_seq bigint NOT NULL, -- of the PLACED event: the order in which trades were placed
    created_at timestamptz NOT NULL,
    -- Terms.
    symbol text NOT NULL,
    side smallint NOT NULL CHECK (side IN (1, 2)),
    quantity bigint NOT NULL CHECK (quantity BETWEEN 1 AND 10000000),
    order_type smallint NOT NULL,
    limit_price_micros bigint NOT NULL,
    stop_price_micros bigint NOT NULL,
    time_in_force smallint NOT NULL,
    -- Where it stands. In no index, so that a change touches the table alone.
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 9),
    reason smallint NOT NULL,
    reason_text text NOT NULL,
    in_doubt boolean NOT NULL,
    filled_quantity bigint NOT NULL,
    filled_notional_micros bigint NOT NULL CHECK (filled_notional_micros >= 0),
    exchange_order_id text NOT NULL,
    executed_at timestamptz,
    updated_at timestamptz NOT NULL,
    seq bigint NOT NULL,
    CHECK (filled_quantity BETWEEN 0 AND quantity),
    CHECK ((status = 4) = (filled_quantity = quantity)),
    CHECK (seq >= placed_seq)
) WITH (fillfactor = 50);

-- For each question there is one index that can answer it, so that no plan can choose the wrong one.
-- A client_order_id is used once, for ever. One expression, because an index that also began with
-- customer_id would do as well, as long as the tables are empty; no customer_id holds a slash.
CREATE UNIQUE INDEX trade_client_order ON trade ((customer_id || '/' || client_order_id));
-- A customer's trades, newest first.
CREATE UNIQUE INDEX trade_by_age ON trade (customer_id, placed_seq);

-- One row per event, never changed. Holds what an event may change; the terms are the trade's.
CREATE TABLE trade_event (
    customer_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    previous_seq bigint NOT NULL, -- of the same trade's event before; 0 for the first
    trade_id uuid NOT NULL,
    kind smallint NOT NULL CHECK (kind >= 1),
    cause text NOT NULL CHECK (cause IN ('customer', 'house', 'exchange', 'operator')),
    occurred_at timestamptz NOT NULL,
    status smallint NOT NULL,
    reason smallint NOT NULL,
    reason_text text NOT NULL,
    in_doubt boolean NOT NULL,
    filled_quantity bigint NOT NULL,
    filled_notional_micros bigint NOT NULL,
    exchange_order_id text NOT NULL,
    executed_at timestamptz,
    venue text COLLATE "C", -- with execution_id: the fill this event tells of
    execution_id text COLLATE "C",
    PRIMARY KEY (customer_id, seq),
    CHECK (previous_seq BETWEEN 0 AND seq - 1),
    CHECK ((kind = 4) = (execution_id IS NOT NULL))
);

-- A fill counts once, for ever.
CREATE TABLE execution (
    venue text COLLATE "C" NOT NULL,
    execution_id text COLLATE "C" NOT NULL,
    trade_id uuid NOT NULL,
    quantity bigint NOT NULL CHECK (quantity >= 1),
    price_micros bigint NOT NULL CHECK (price_micros >= 1),
    executed_at timestamptz NOT NULL,
    PRIMARY KEY (venue, execution_id)
);

-- The queue: trades that are not over, each customer's oldest first. A row goes when its trade ends.
CREATE TABLE open_trade (
    customer_id text COLLATE "C" NOT NULL,
    placed_seq bigint NOT NULL,
    trade_id uuid NOT NULL,
    partition smallint NOT NULL CHECK (partition BETWEEN 0 AND 127),
    placed_at timestamptz NOT NULL,
    is_head boolean NOT NULL, -- the customer's oldest
    claimed_epoch bigint NOT NULL DEFAULT 0, -- 0: not taken up yet
    attempts integer NOT NULL DEFAULT 0,
    PRIMARY KEY (customer_id, placed_seq)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- What the sweep reads. Heads alone, so that one customer's long queue costs the sweep nothing.
CREATE INDEX open_trade_waiting ON open_trade (partition, placed_at) WHERE is_head;

-- Who may take trades up. The epoch grows with each leader; a claim under an older one is refused.
CREATE TABLE execution_partition (
    partition smallint PRIMARY KEY CHECK (partition BETWEEN 0 AND 127),
    epoch bigint NOT NULL DEFAULT 0,
    worker text NOT NULL DEFAULT '',
    led_at timestamptz
) WITH (fillfactor = 10);
INSERT INTO execution_partition (partition) SELECT generate_series(0, 127);
