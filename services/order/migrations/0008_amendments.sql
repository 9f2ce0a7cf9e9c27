-- Fills that the exchange took back or corrected, each once. The fill itself stays on record as it was told.
CREATE TABLE execution_amendment (
    venue text COLLATE "C" NOT NULL,
    execution_id text COLLATE "C" NOT NULL,
    amendment_id text COLLATE "C" NOT NULL,
    trade_id uuid NOT NULL,
    quantity bigint NOT NULL CHECK (quantity >= 0), -- 0: the fill never was
    price_micros bigint NOT NULL CHECK (price_micros >= 0),
    amended_at timestamptz NOT NULL,
    reason_text text NOT NULL,
    PRIMARY KEY (venue, execution_id)
);

-- Shares that were filled and then taken back: used up at the exchange, and not filled any more.
ALTER TABLE trade ADD COLUMN taken_back bigint NOT NULL DEFAULT 0;
ALTER TABLE trade DROP CONSTRAINT trade_check1;
ALTER TABLE trade ADD CHECK ((status = 4) = (filled_quantity + taken_back = quantity));

ALTER TABLE trade_event DROP CONSTRAINT trade_event_check1;
ALTER TABLE trade_event ADD CHECK ((kind IN (4, 15, 16)) = (execution_id IS NOT NULL));
