-- An order that was canceled before it was ever sent: it has ended here, and a submit of it is never sent.
ALTER TABLE venue_order ADD COLUMN is_withdrawn boolean NOT NULL DEFAULT false;
ALTER TABLE venue_order ADD CHECK (NOT is_withdrawn OR state = 4);
-- A command to cancel the order, not to take it.
ALTER TABLE venue_command ADD COLUMN is_cancel boolean NOT NULL DEFAULT false;
