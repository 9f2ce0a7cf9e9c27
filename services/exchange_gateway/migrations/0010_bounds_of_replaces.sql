-- What the order may cost in all from then on; 0: as before.
ALTER TABLE venue_replace ADD COLUMN max_notional_micros bigint NOT NULL DEFAULT 0 CHECK (max_notional_micros >= 0);
