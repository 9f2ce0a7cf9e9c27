-- Members' orders that rest on a book or wait for a price, as they stand: what the books are made of again
-- after a restart. An order that ends leaves this table, so that it never grows with history.
CREATE TABLE working_order (
    client_order_id text PRIMARY KEY REFERENCES member_order,
    -- Who came first trades first: at its price, or when a stop price is met. An order that loses its place
    -- gets a new one.
    place bigint NOT NULL CHECK (place >= 1),
    -- Shares in all, filled ones included.
    quantity bigint NOT NULL,
    filled bigint NOT NULL CHECK (filled >= 0),
    limit_price_micros bigint NOT NULL CHECK (limit_price_micros >= 0),
    stop_price_micros bigint NOT NULL CHECK (stop_price_micros >= 0),
    is_waiting boolean NOT NULL,
    CHECK (filled < quantity),
    CHECK (is_waiting OR limit_price_micros > 0),
    CHECK (NOT is_waiting OR stop_price_micros > 0)
) WITH (fillfactor = 50);

-- Shares in all when the order ended, where a replace had changed them: `quantity` is what was sent first.
ALTER TABLE member_order ADD COLUMN replaced_quantity bigint;

-- A command about an order that is not known is answered too.
ALTER TABLE report DROP CONSTRAINT report_client_order_id_fkey;

-- Who says whether the exchange is open: 1 its hours, 2 an operator has opened it, 3 an operator has closed it.
ALTER TABLE venue ADD COLUMN phase smallint NOT NULL DEFAULT 1 CHECK (phase BETWEEN 1 AND 3);

-- The close of the last day whose DAY orders have expired.
ALTER TABLE venue ADD COLUMN day_ended_at timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00';
