-- The time at the exchange: when it was clock_real_at it was clock_venue_at there, and runs at so many thousandths
-- of real time since then. Null: it is the real time.
ALTER TABLE venue
    ADD COLUMN clock_real_at timestamptz,
    ADD COLUMN clock_venue_at timestamptz,
    ADD COLUMN clock_rate_millis bigint CHECK (clock_rate_millis >= 0),
    ADD CHECK (num_nulls(clock_real_at, clock_venue_at, clock_rate_millis) IN (0, 3));

-- 4: the hours of the calendar count, though the exchange be set to keep none.
ALTER TABLE venue DROP CONSTRAINT venue_phase_check;
ALTER TABLE venue ADD CONSTRAINT venue_phase_check CHECK (phase BETWEEN 1 AND 4);
