-- Orders that have not ended. Nothing of a member's rests on a book yet: these are the ones that were never
-- answered, by an operator's script.
ALTER TABLE member_order ADD COLUMN is_open boolean NOT NULL DEFAULT false;
CREATE INDEX member_order_open ON member_order (session_id, client_order_id) WHERE is_open;
