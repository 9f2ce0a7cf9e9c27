"""Questions to the reconciliation database. The caller owns the transaction."""

# Settings of the connection that writes: no plan may depend on how full the tables are.
PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "jit": "off",
    "timezone": "UTC",
}
