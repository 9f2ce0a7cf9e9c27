-- ANALYZE counts what is changed, not only what is added: an order is changed once or twice. The plans of what is done for a
-- trade do not depend on statistics, so those of a table in which nothing stays may be old.
ALTER TABLE venue_order SET (autovacuum_analyze_scale_factor = 3);
ALTER TABLE unanswered_order SET (autovacuum_analyze_threshold = 1000000, autovacuum_analyze_scale_factor = 0);
