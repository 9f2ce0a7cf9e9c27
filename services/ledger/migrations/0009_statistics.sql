-- ANALYZE counts what is changed, not only what is added: an account is changed with each entry, a hold until it is spent.
ALTER TABLE account SET (autovacuum_analyze_scale_factor = 20);
ALTER TABLE hold SET (autovacuum_analyze_scale_factor = 3);
