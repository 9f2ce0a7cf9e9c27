"""PostgreSQL as this house uses it: lanes for the hot path, a pool for reads, plain migrations."""

from libs.postgres.flights import Rows, Statements
from libs.postgres.lane import FlightLane, Lane
from libs.postgres.migrate import migrate
from libs.postgres.pool import Pool

__all__ = ["FlightLane", "Lane", "Pool", "Rows", "Statements", "migrate"]
