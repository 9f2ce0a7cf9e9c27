-- Executions that the venue busted or corrected, each once: by which report, and as they were told first.
CREATE TABLE amended_execution (
    trade_id     uuid NOT NULL,
    execution_id text NOT NULL,
    session_id   text NOT NULL,
    seq          bigint NOT NULL,
    quantity     bigint NOT NULL CHECK (quantity >= 1),
    price_micros bigint NOT NULL CHECK (price_micros >= 1),
    PRIMARY KEY (trade_id, execution_id),
    FOREIGN KEY (session_id, seq) REFERENCES venue_report
);
CREATE UNIQUE INDEX amended_execution_by_report ON amended_execution (session_id, seq);

-- How many of the shares filled at the venue were taken back again; less than 0: a correction gave more.
ALTER TABLE venue_order ADD COLUMN taken_back bigint NOT NULL DEFAULT 0;
ALTER TABLE venue_order ADD CHECK (filled_quantity - taken_back BETWEEN 0 AND quantity);

CREATE INDEX operator_action_by_report ON operator_action (report_seq) WHERE report_seq IS NOT NULL;
