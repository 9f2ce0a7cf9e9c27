-- Who speaks for a session. term rises with each process that takes it: every write names its term, so a
-- process that lost the session can change nothing any more.
CREATE TABLE venue_session (
    session_id    text PRIMARY KEY CHECK (length(session_id) BETWEEN 1 AND 64),
    term          bigint NOT NULL DEFAULT 0,
    venue         text NOT NULL DEFAULT '',
    -- A gateway's number of a report = the venue's number of it + report_offset.
    report_offset bigint NOT NULL DEFAULT 0,
    taken_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- How far each lane has come: next_seq is the first number not yet numbered (commands), stored, judged or
-- delivered (reports). A row per lane, so that lanes never wait for each other's commit.
CREATE TABLE progress (
    session_id text NOT NULL REFERENCES venue_session,
    lane       text NOT NULL CHECK (lane IN ('commands', 'stored', 'judged', 'delivered')),
    term       bigint NOT NULL,
    next_seq   bigint NOT NULL DEFAULT 1 CHECK (next_seq >= 1),
    PRIMARY KEY (session_id, lane)
) WITH (fillfactor = 10);

-- The highest epoch seen per partition; a lower one is refused.
CREATE TABLE partition_epoch (
    partition smallint PRIMARY KEY CHECK (partition BETWEEN 0 AND 127),
    epoch     bigint NOT NULL CHECK (epoch >= 0)
) WITH (fillfactor = 50);

-- Every order ever taken for the venue. state: 2 pending, 3 accepted, 4 done.
CREATE TABLE venue_order (
    trade_id            uuid PRIMARY KEY,
    session_id          text NOT NULL,
    command_seq         bigint NOT NULL,
    customer_id         text NOT NULL,
    partition           smallint NOT NULL CHECK (partition BETWEEN 0 AND 127),
    epoch               bigint NOT NULL,
    symbol              text NOT NULL,
    side                smallint NOT NULL CHECK (side IN (1, 2)),
    quantity            bigint NOT NULL CHECK (quantity >= 1),
    order_type          smallint NOT NULL CHECK (order_type BETWEEN 1 AND 4),
    limit_price_micros  bigint NOT NULL CHECK (limit_price_micros >= 0),
    stop_price_micros   bigint NOT NULL CHECK (stop_price_micros >= 0),
    time_in_force       smallint NOT NULL CHECK (time_in_force BETWEEN 1 AND 4),
    max_notional_micros bigint NOT NULL CHECK (max_notional_micros >= 0),
    state               smallint NOT NULL DEFAULT 2 CHECK (state IN (2, 3, 4)),
    filled_quantity     bigint NOT NULL DEFAULT 0,
    exchange_order_id   text NOT NULL DEFAULT '',
    -- The report that filled it whole.
    filled_by_seq       bigint,
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (filled_quantity BETWEEN 0 AND quantity),
    CHECK ((filled_by_seq IS NOT NULL) = (filled_quantity = quantity))
) WITH (fillfactor = 50);

-- Every command as sent, in the session's numbers. Written once.
CREATE TABLE venue_command (
    session_id text NOT NULL,
    seq        bigint NOT NULL CHECK (seq >= 1),
    trade_id   uuid NOT NULL,
    raw        bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, seq)
);

-- Orders the venue has not said a word about: a small queue, empty on an idle system.
CREATE TABLE unanswered_order (
    trade_id   uuid PRIMARY KEY,
    session_id text NOT NULL
) WITH (
    fillfactor = 60,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- Every report as heard, in the gateway's numbers. Written once, before anything is done about it.
CREATE TABLE venue_report (
    session_id   text NOT NULL,
    seq          bigint NOT NULL CHECK (seq >= 1),
    -- Null: the venue names an order whose id is not one of ours.
    trade_id     uuid,
    kind         smallint NOT NULL,
    execution_id text NOT NULL,
    raw          bytea NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, seq)
);

-- Reports that cannot be true, kept for an operator: never delivered, never dropped.
CREATE TABLE parked_report (
    session_id text NOT NULL,
    seq        bigint NOT NULL,
    breach     text NOT NULL,
    detail     text NOT NULL,
    parked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, seq),
    FOREIGN KEY (session_id, seq) REFERENCES venue_report
);

-- What the venue lists, as last heard.
CREATE TABLE instrument (
    session_id  text NOT NULL,
    symbol      text NOT NULL,
    name        text NOT NULL,
    is_tradable boolean NOT NULL,
    PRIMARY KEY (session_id, symbol)
);
