"""PostgreSQL as this house uses it: lanes for the hot path, a pool for reads, plain migrations."""

from libs.postgres.lane import Lane
from libs.postgres.migrate import migrate
from libs.postgres.pool import Pool

__all__ = ["Lane", "Pool", "migrate"]
