-- Only fills are looked up by their execution, and an order's reports by the order alone.
ALTER TABLE report DROP CONSTRAINT report_exec_id_key;
CREATE UNIQUE INDEX report_fill ON report (exec_id) WHERE exec_type = 2;
DROP INDEX report_by_order;
CREATE INDEX report_by_order ON report (client_order_id);
