"""What every service shares: small, stable, without business rules."""
