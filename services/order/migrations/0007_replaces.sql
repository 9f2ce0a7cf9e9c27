-- Terms as placed; null until a replace was asked for. quantity and the prices are those in force, client_order_id
-- is the one it was placed under, for ever.
ALTER TABLE trade
    ADD COLUMN placed_quantity bigint,
    ADD COLUMN placed_limit_price_micros bigint,
    ADD COLUMN placed_stop_price_micros bigint;

-- Every replace that was asked for, in the words of the customer's sequence: asked for by the event asked_seq,
-- answered by answered_seq (null: not yet), in force from replaced_seq on (null: refused, or not answered).
CREATE TABLE trade_replace (
    replace_id uuid PRIMARY KEY,
    customer_id text COLLATE "C" NOT NULL,
    trade_id uuid NOT NULL,
    client_order_id text COLLATE "C" NOT NULL,
    orig_client_order_id text COLLATE "C" NOT NULL,
    -- As asked for; 0: kept.
    asked_quantity bigint NOT NULL,
    asked_limit_price_micros bigint NOT NULL,
    asked_stop_price_micros bigint NOT NULL,
    -- What the trade had then.
    old_quantity bigint NOT NULL,
    old_limit_price_micros bigint NOT NULL,
    old_stop_price_micros bigint NOT NULL,
    old_filled_quantity bigint NOT NULL,
    -- What it comes to.
    quantity bigint NOT NULL CHECK (quantity BETWEEN 1 AND 10000000),
    limit_price_micros bigint NOT NULL,
    stop_price_micros bigint NOT NULL,
    asked_seq bigint NOT NULL,
    answered_seq bigint CHECK (answered_seq >= asked_seq),
    replaced_seq bigint CHECK (replaced_seq = answered_seq)
);
CREATE UNIQUE INDEX trade_replace_client_order ON trade_replace ((customer_id || '/' || client_order_id));
CREATE UNIQUE INDEX trade_replace_asked ON trade_replace (trade_id, asked_seq);
CREATE UNIQUE INDEX trade_replace_in_force ON trade_replace (trade_id, replaced_seq)
    WHERE replaced_seq IS NOT NULL;

-- Cancels and replaces on their way to the exchange: at most one of each of a trade.
ALTER TABLE open_cancel RENAME TO open_request;
ALTER INDEX open_cancel_waiting RENAME TO open_request_waiting;
ALTER TABLE open_request ADD COLUMN is_replace boolean NOT NULL DEFAULT false;
ALTER TABLE open_request DROP CONSTRAINT open_cancel_pkey;
ALTER TABLE open_request ADD PRIMARY KEY (customer_id, trade_id, is_replace);

-- Trades that rest at the exchange and so have left the queue, for all of a customer's to be found.
CREATE TABLE resting_trade (
    customer_id text COLLATE "C" NOT NULL,
    trade_id uuid NOT NULL,
    PRIMARY KEY (customer_id, trade_id)
);
INSERT INTO resting_trade (customer_id, trade_id)
SELECT customer_id, trade_id FROM trade AS t
WHERE status NOT IN (4, 7, 8, 9)
    AND NOT EXISTS (
        SELECT FROM open_trade AS o
        WHERE o.customer_id = t.customer_id AND o.placed_seq = t.placed_seq
    );
