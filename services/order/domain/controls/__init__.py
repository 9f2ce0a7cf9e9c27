"""Pre-trade controls: what operators set, and the rules by which a trade is let through or not."""
