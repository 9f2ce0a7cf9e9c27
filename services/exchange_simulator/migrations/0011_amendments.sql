-- Amendments are named when they are amended in their turn.
CREATE UNIQUE INDEX report_amendment ON report (exec_id) WHERE exec_type IN (10, 11);
