-- Executions that every source tells once and all alike: one row in place of four sightings. What differs, what
-- not all of them have, and what was corrected stays in `sighting`; an execution is in one of the two.
CREATE TABLE agreed_execution (
    venue_position bigint NOT NULL,
    gateway_position bigint NOT NULL,
    order_position bigint NOT NULL,
    ledger_position bigint NOT NULL,
    shares bigint NOT NULL,
    cash_micros bigint NOT NULL,
    trade_date date NOT NULL,
    venue text COLLATE "C" NOT NULL,
    execution_id text COLLATE "C" NOT NULL,
    trade_id text COLLATE "C" NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    PRIMARY KEY (venue, execution_id)
);
-- Each source in its own order: what a page of the re-reading is held against.
CREATE INDEX agreed_at_venue ON agreed_execution (venue_position);
CREATE INDEX agreed_at_gateway ON agreed_execution (gateway_position);
CREATE INDEX agreed_at_order ON agreed_execution (order_position);
CREATE INDEX agreed_at_ledger ON agreed_execution (ledger_position);
CREATE INDEX agreed_day ON agreed_execution USING brin (trade_date)
    WITH (pages_per_range = 32, autosummarize = on);

-- Without the execution in it: it could not serve to look one up, and no plan that was made while the table was
-- empty can take it for that.
DROP INDEX sighting_place;
CREATE INDEX sighting_place ON sighting (source, position);
