-- A fill may be corrected time and again, and busted then. Those recorded before are the first of their fills.
ALTER TABLE execution_amendment ADD COLUMN number integer NOT NULL DEFAULT 1 CHECK (number >= 1);
ALTER TABLE execution_amendment DROP CONSTRAINT execution_amendment_pkey;
ALTER TABLE execution_amendment ADD PRIMARY KEY (venue, execution_id, number);
CREATE UNIQUE INDEX execution_amendment_once ON execution_amendment (venue, execution_id, amendment_id);

-- Which event of the customer's sequence tells of it; 0: recorded before, so the only one of its fill until then.
ALTER TABLE execution_amendment ADD COLUMN event_seq bigint NOT NULL DEFAULT 0;

-- What came before, and what the fill was by that; no id and no shares: it was as it was told first.
ALTER TABLE execution_amendment ADD COLUMN previous_id text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution_amendment ADD COLUMN old_quantity bigint CHECK (old_quantity >= 1);
ALTER TABLE execution_amendment ADD COLUMN old_price_micros bigint CHECK (old_price_micros >= 1);
