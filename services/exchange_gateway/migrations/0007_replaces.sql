-- A replace of the order was sent: its terms may be others than those it was submitted with. is_cut: it was
-- replaced down to what was filled already, which ends it.
ALTER TABLE venue_order ADD COLUMN is_replaced boolean NOT NULL DEFAULT false;
ALTER TABLE venue_order ADD COLUMN is_cut boolean NOT NULL DEFAULT false;
-- The command asks for this replace, not for an order.
ALTER TABLE venue_command ADD COLUMN replace_id uuid;

-- Every replace ever taken. command_seq: the number it was sent under last; 0: it came too late and was never
-- sent. A price of 0 is kept.
CREATE TABLE venue_replace (
    replace_id             uuid PRIMARY KEY,
    session_id             text NOT NULL,
    trade_id               uuid NOT NULL,
    command_seq            bigint NOT NULL CHECK (command_seq >= 0),
    quantity               bigint NOT NULL CHECK (quantity >= 1),
    limit_price_micros     bigint NOT NULL CHECK (limit_price_micros >= 0),
    stop_price_micros      bigint NOT NULL CHECK (stop_price_micros >= 0),
    -- The report that answers it, whether it was done, and how the order stood before.
    answered_by_seq        bigint,
    is_done                boolean NOT NULL DEFAULT false,
    filled_quantity        bigint NOT NULL DEFAULT 0,
    old_limit_price_micros bigint NOT NULL DEFAULT 0,
    -- Reports from this number on were judged by the terms after it.
    since_seq              bigint NOT NULL DEFAULT 0,
    created_at             timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 80);
CREATE INDEX venue_replace_by_trade ON venue_replace (trade_id);
CREATE INDEX venue_replace_answer ON venue_replace (answered_by_seq) WHERE answered_by_seq IS NOT NULL;
CREATE INDEX venue_replace_open ON venue_replace (session_id) WHERE answered_by_seq IS NULL AND command_seq > 0;
