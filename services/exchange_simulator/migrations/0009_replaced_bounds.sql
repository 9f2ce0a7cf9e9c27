-- The most an order may cost in all, where a replace had changed it; null: as it was sent first.
ALTER TABLE working_order ADD COLUMN max_notional_micros bigint CHECK (max_notional_micros >= 0);
