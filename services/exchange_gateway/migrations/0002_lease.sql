-- When the holder of the session last said that it is there, by this database's clock. Whoever finds it
-- silent for a while raises the term and is the holder.
ALTER TABLE venue_session ADD COLUMN seen_at timestamptz NOT NULL DEFAULT '-infinity';
