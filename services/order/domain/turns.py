"""Whose turn it is: the oldest open trade of each customer, and who has taken it up."""

from datetime import datetime

import msgspec

from services.order.domain.trade import TradeStatus
from services.order.domain.verdicts import Code, Verdict


class Claimed(msgspec.Struct, frozen=True):
    """A trade taken up: under which epoch, and how often so far, this time included.

    For a cancel or a replace it is not counted how often.
    """

    trade_id: str
    partition: int
    epoch: int
    attempts: int


class Requested(msgspec.Struct, frozen=True):
    """A cancel or a replace of a trade taken up."""

    is_replace: bool
    asked_at: datetime
    claimed: Claimed


class Waiting(msgspec.Struct, frozen=True):
    """A customer's oldest open trade; `claimed_epoch` 0: not taken up yet."""

    customer_id: str
    partition: int
    trade_id: str
    claimed_epoch: int


class Applied(msgspec.Struct, frozen=True):
    """What was done about one outcome.

    `status`: where the trade stood after it, None for an unknown trade. `waiting`: the customer's
    next trade, if its turn has come and nobody has taken it up. `lets_replace`: a replace of the
    trade may go to the exchange now.
    """

    verdict: Verdict
    status: TradeStatus | None
    customer_id: str
    waiting: Waiting | None
    lets_replace: bool = False

    @property
    def is_news(self) -> bool:
        """Whether the customer may have events that were not told yet.

        What is repeated may have been recorded by one who was cut off before telling of it.
        """
        return self.verdict.code is not Code.IMPOSSIBLE
