-- Cancels on their way to the exchange: at most one of a trade, and a row only while it is PENDING_CANCEL.
CREATE TABLE open_cancel (
    customer_id text COLLATE "C" NOT NULL,
    trade_id uuid NOT NULL,
    partition smallint NOT NULL CHECK (partition BETWEEN 0 AND 127),
    asked_at timestamptz NOT NULL,
    claimed_epoch bigint NOT NULL DEFAULT 0, -- 0: not taken up yet
    PRIMARY KEY (customer_id, trade_id)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX open_cancel_waiting ON open_cancel (partition, asked_at);

-- Why a cancel was refused; a reason's number, 0 for every other event.
ALTER TABLE trade_event ADD COLUMN refusal smallint NOT NULL DEFAULT 0;
