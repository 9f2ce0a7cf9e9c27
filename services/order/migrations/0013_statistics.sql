-- ANALYZE counts what is changed, not only what is added, and a trade is changed three times. The plans of what is done for
-- a trade do not depend on statistics, so those of tables in which nothing stays may be old.
ALTER TABLE trade SET (autovacuum_analyze_scale_factor = 4);
ALTER TABLE open_trade SET (autovacuum_analyze_threshold = 1000000, autovacuum_analyze_scale_factor = 0);
ALTER TABLE customer_head SET (autovacuum_analyze_threshold = 20000, autovacuum_analyze_scale_factor = 20);
