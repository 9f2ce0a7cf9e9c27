-- The exchange's own memory: its members' sessions, orders and reports. The books of other participants are
-- not kept; they are made again from the seed at every start.

-- One row: how often the exchange was started. Part of every id it gives, and the fence that keeps an older
-- process from writing once a newer one runs.
CREATE TABLE venue (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    epoch bigint NOT NULL CHECK (epoch >= 0)
);
INSERT INTO venue (epoch) VALUES (0);

CREATE TABLE session (
    session_id text PRIMARY KEY CHECK (length(session_id) BETWEEN 1 AND 64),
    next_command_seq bigint NOT NULL DEFAULT 1,
    next_report_seq bigint NOT NULL DEFAULT 1,
    -- The last report the member has stored.
    acknowledged_seq bigint NOT NULL DEFAULT 0,
    CHECK (next_command_seq >= 1),
    CHECK (acknowledged_seq >= 0 AND acknowledged_seq < next_report_seq)
) WITH (fillfactor = 50);

-- Orders of members as sent, refused ones too: a known id is never executed again. Enum values are those of
-- the contract.
CREATE TABLE member_order (
    client_order_id text PRIMARY KEY CHECK (length(client_order_id) BETWEEN 1 AND 64),
    session_id text NOT NULL,
    exchange_order_id text NOT NULL,
    symbol text NOT NULL,
    side int NOT NULL,
    quantity bigint NOT NULL,
    order_type int NOT NULL,
    limit_price_micros bigint NOT NULL,
    stop_price_micros bigint NOT NULL,
    time_in_force int NOT NULL,
    max_notional_micros bigint NOT NULL,
    received_at timestamptz NOT NULL
);

-- Every report; a TRADE is an execution. `body` is the ExecutionReport as sent, so that it is the same byte for
-- byte whenever it is sent again; what is read by people and by queries stands beside it.
CREATE TABLE report (
    session_id text NOT NULL REFERENCES session,
    report_seq bigint NOT NULL CHECK (report_seq >= 1),
    client_order_id text NOT NULL REFERENCES member_order,
    exec_id text NOT NULL UNIQUE,
    exec_type smallint NOT NULL,
    last_quantity bigint NOT NULL,
    last_price_micros bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (session_id, report_seq),
    CHECK (exec_type <> 2 OR (last_quantity > 0 AND last_price_micros > 0))
);
CREATE INDEX report_by_order ON report (client_order_id, session_id, report_seq);

-- Symbols an operator has halted.
CREATE TABLE halt (
    symbol text PRIMARY KEY
);
