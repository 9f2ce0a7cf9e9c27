"""Who is there to play with, and what they are given once and for all."""

import uuid
from dataclasses import dataclass

MICROS = 1_000_000
_NAMESPACE = uuid.UUID("6f0e2f5c-1b0a-5c55-9d0f-6c6f64656d6f")


@dataclass(frozen=True, slots=True)
class Gift:
    """Cash (asset USD, micros) or shares of a symbol, with an id that makes it once only."""

    customer: str
    asset: str
    amount: int

    @property
    def deposit_id(self) -> str:
        """The same at every start."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.customer}/{self.asset}"))


GIFTS = (
    Gift("alice", "USD", 1_000_000 * MICROS),
    Gift("alice", "MSFT", 1_000),
    Gift("alice", "KO", 5_000),
    Gift("bob", "USD", 250_000 * MICROS),
    Gift("bob", "AAPL", 500),
    Gift("bob", "NVDA", 2_000),
    Gift("carol", "USD", 100 * MICROS),
)
