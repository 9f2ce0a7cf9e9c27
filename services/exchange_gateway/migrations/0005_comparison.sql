-- Orders the venue has taken and not ended: a small table, for most orders end in the breath they are taken.
CREATE TABLE working_order (
    trade_id   uuid PRIMARY KEY,
    session_id text NOT NULL
) WITH (fillfactor = 60);
INSERT INTO working_order (trade_id, session_id)
SELECT trade_id, session_id FROM venue_order WHERE state = 3;

-- What the venue and these books say differently of an order, and nothing explains. 1 open, 2 cleared (a later
-- comparison did not find it any more), 3 dismissed by an operator. Only the first is an alarm.
CREATE TABLE order_break (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id text NOT NULL,
    -- In the venue's words: it may be none of ours.
    trade_id   text NOT NULL,
    kind       text NOT NULL,
    detail     text NOT NULL,
    state      smallint NOT NULL DEFAULT 1 CHECK (state IN (1, 2, 3)),
    found_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX order_break_open ON order_break (session_id, trade_id, kind) WHERE state = 1;
CREATE INDEX order_break_by_trade ON order_break (trade_id);
