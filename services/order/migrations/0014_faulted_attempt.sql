-- The last attempt whose fault was counted: told again it is not counted again.
ALTER TABLE open_trade ADD COLUMN faulted_attempt integer NOT NULL DEFAULT 0;
