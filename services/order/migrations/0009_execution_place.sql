-- Fills are told in the order of transactions. Those of one transaction are few and are sorted when they are told:
-- an index that also held their ids took ten times the room, and the time to fill it.
DROP INDEX execution_place;
CREATE INDEX execution_place ON execution (transaction_id);
