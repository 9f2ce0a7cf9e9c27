"""What the execution service's door works with."""

from dataclasses import dataclass

from libs.batcher import Batcher
from libs.clock import Clock
from services.order.announcer import Announcer
from services.order.database import Database
from services.order.domain.journal import Told
from services.order.domain.turns import Applied


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOffice:
    """What the service works with."""

    applier: Batcher[Told, Applied]
    database: Database
    announcer: Announcer
    clock: Clock
