-- No plan on the way of a trade depends on statistics, and those of reads need to know no more than
-- what sort of values there are. So tables that only grow are sampled again when they have doubled,
-- not at each tenth: while they are small that took a sixth of what trades cost PostgreSQL.
ALTER TABLE account SET (autovacuum_analyze_threshold = 20000, autovacuum_analyze_scale_factor = 1);
ALTER TABLE transfer SET (autovacuum_analyze_threshold = 20000, autovacuum_analyze_scale_factor = 1);
ALTER TABLE entry SET (autovacuum_analyze_threshold = 20000, autovacuum_analyze_scale_factor = 1);
ALTER TABLE hold SET (autovacuum_analyze_threshold = 20000, autovacuum_analyze_scale_factor = 1);
