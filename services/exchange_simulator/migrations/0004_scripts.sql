-- Scripts of orders that an operator has set, in JSON; null: those the exchange comes with.
ALTER TABLE venue ADD COLUMN scripts text;

-- What is still to come of an order that goes by script, in JSON; such an order is on no book.
ALTER TABLE working_order ADD COLUMN plan text;
ALTER TABLE working_order DROP CONSTRAINT working_order_check1;
ALTER TABLE working_order ADD CHECK (is_waiting OR limit_price_micros > 0 OR plan IS NOT NULL);
