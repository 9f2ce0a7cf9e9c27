-- Of what the ledger has archived it tells that it is booked, and not what it moved: the figures, the symbol and the
-- customer of such a row say nothing.
ALTER TABLE sighting ADD COLUMN is_archived boolean NOT NULL DEFAULT false;
