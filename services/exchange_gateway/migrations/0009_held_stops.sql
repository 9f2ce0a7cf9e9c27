-- 0: sent as it came. 1: a stop that the house holds, or held to its end. 2: it was triggered and sent; its
-- stop price is 0 from then on.
ALTER TABLE venue_order ADD COLUMN held smallint NOT NULL DEFAULT 0 CHECK (held IN (0, 1, 2));

-- Every stop that the house ever held. state: 1 new (neither accepted nor refused), 2 waits, 3 triggered, 4 over
-- without being sent.
CREATE TABLE held_stop (
    trade_id             uuid PRIMARY KEY REFERENCES venue_order,
    session_id           text NOT NULL,
    state                smallint NOT NULL DEFAULT 1 CHECK (state IN (1, 2, 3, 4)),
    -- What the customer asked for and what has no answer yet.
    is_canceled          boolean NOT NULL DEFAULT false,
    is_replaced          boolean NOT NULL DEFAULT false,
    stop_price_micros    bigint NOT NULL CHECK (stop_price_micros > 0),
    -- The last day that had ended at the venue when it was accepted: a DAY order ends with the next.
    day_mark             timestamptz,
    trigger_price_micros bigint NOT NULL DEFAULT 0 CHECK (trigger_price_micros >= 0),
    triggered_at         timestamptz,
    CHECK ((state = 3) = (triggered_at IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX held_stop_open ON held_stop (session_id) WHERE state IN (1, 2);
