"""What is told of a trade: values, no rules."""

import msgspec

from services.order.domain.event import Amendment, Cause, Execution


class Accepted(msgspec.Struct, frozen=True):
    """The exchange took the order."""

    exchange_order_id: str


class Executed(msgspec.Struct, frozen=True):
    """A fill."""

    execution: Execution


class Rejected(msgspec.Struct, frozen=True):
    """The house or the exchange refused it."""

    reason: int
    reason_text: str
    cause: Cause


class Canceled(msgspec.Struct, frozen=True):
    """The rest will not be filled; `expired`: because its time ran out. `cause`: by whom."""

    reason: int
    reason_text: str
    expired: bool
    cause: Cause = Cause.EXCHANGE


class InDoubt(msgspec.Struct, frozen=True):
    """The order was sent and no answer came."""

    reason_text: str


class CancelRejected(msgspec.Struct, frozen=True):
    """The exchange does not cancel it; `reason`: why."""

    reason: int


class Replaced(msgspec.Struct, frozen=True):
    """The exchange gave it other terms."""

    replace_id: str


class ReplaceRejected(msgspec.Struct, frozen=True):
    """The house or the exchange gives it no other terms; `reason`: why."""

    replace_id: str
    reason: int
    cause: Cause


class Amended(msgspec.Struct, frozen=True):
    """A fill never was, or was another; `was`: as it is on record, once it was looked up."""

    amendment: Amendment
    was: Execution | None = None


Outcome = (
    Accepted
    | Executed
    | Rejected
    | Canceled
    | CancelRejected
    | Replaced
    | ReplaceRejected
    | InDoubt
    | Amended
)
