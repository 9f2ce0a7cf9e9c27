"""Questions to the order database. The caller owns the transaction.

What changes trades is set-based, and its statements join on the whole key and name the keys again
with `= ANY`, or look each key up LATERAL with LIMIT 1; and for each question one index alone can
answer it. So the plans are the same on an empty table and on one of any size.
"""

# Settings of the connections that change trades: no plan may depend on how full the tables are.
PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_nestloop": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "timezone": "UTC",
}

# Settings of the connections that only read.
READING_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "jit": "off",
    "timezone": "UTC",
}
