"""What the customers' door works with."""

from dataclasses import dataclass

from libs.batcher import Batcher
from libs.clock import Clock
from libs.ids import Ids
from services.order.admitting import Admitting
from services.order.database import Database
from services.order.domain.canceling import Cancellation
from services.order.domain.replacing import Replacement
from services.order.domain.trade import Trade
from services.order.feed import Feed
from services.order.guard import Guard
from services.order.instruments import Instruments
from services.order.neighbours import Neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the service works with."""

    placer: Admitting
    canceler: Batcher[Cancellation, Trade]
    replacer: Batcher[Replacement, Trade]
    feed: Feed
    instruments: Instruments
    database: Database
    ids: Ids
    clock: Clock
    guard: Guard
    neighbours: Neighbours
