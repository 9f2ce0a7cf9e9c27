"""The services execution calls: order, ledger and the exchange gateway."""

from dataclasses import dataclass

from services.execution.neighbours.calling import Insistence, Neighbour, NeighbourFault
from services.execution.neighbours.gateway import Gateway
from services.execution.neighbours.ledger import Ledger
from services.execution.neighbours.order import Claimed, Order, Recorded

__all__ = [
    "Claimed",
    "Gateway",
    "Insistence",
    "Ledger",
    "Neighbour",
    "NeighbourFault",
    "Neighbours",
    "Order",
    "Recorded",
]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """All three."""

    order: Order
    ledger: Ledger
    gateway: Gateway

    async def close(self) -> None:
        """End the calls in progress."""
        for neighbour in (self.order, self.ledger, self.gateway):
            await neighbour.close()
