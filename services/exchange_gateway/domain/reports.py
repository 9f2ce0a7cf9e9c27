"""Reports: what a venue says of orders, and what comes of it."""

from collections.abc import Sequence
from enum import IntEnum, StrEnum

import msgspec

from services.exchange_gateway.domain.orders import Reason, State
from services.exchange_gateway.domain.replaces import Revision


class Kind(IntEnum):
    """What a venue said of an order. UNREADABLE: something this house does not understand."""

    UNREADABLE = 0
    ACCEPTED = 1
    FILLED = 2
    REJECTED = 3
    CANCELED = 4
    EXPIRED = 5
    CANCEL_REJECTED = 6
    REPLACED = 7
    REPLACE_REJECTED = 8
    BUSTED = 9
    CORRECTED = 10


REPLACE_ANSWERS = frozenset((Kind.REPLACED, Kind.REPLACE_REJECTED))
AMENDMENTS = frozenset((Kind.BUSTED, Kind.CORRECTED))
_SAY_NOTHING_OF_STATE = {Kind.CANCEL_REJECTED, Kind.REPLACE_REJECTED, *AMENDMENTS}


class Breach(StrEnum):
    """Why a report cannot be true."""

    UNREADABLE = "UNREADABLE"
    UNKNOWN_TRADE = "UNKNOWN_TRADE"
    WRONG_SYMBOL = "WRONG_SYMBOL"
    WRONG_SIDE = "WRONG_SIDE"
    NOT_A_FILL = "NOT_A_FILL"
    OVER_FILL = "OVER_FILL"
    EXECUTION_REPEATED = "EXECUTION_REPEATED"
    ENDED_WHEN_FILLED = "ENDED_WHEN_FILLED"
    REPLACE_NOT_ASKED = "REPLACE_NOT_ASKED"
    REPLACE_ANSWERED_TWICE = "REPLACE_ANSWERED_TWICE"
    REPLACED_DIFFERENTLY = "REPLACED_DIFFERENTLY"
    REPLACED_WHEN_ENDED = "REPLACED_WHEN_ENDED"
    UNKNOWN_EXECUTION = "UNKNOWN_EXECUTION"
    AMENDED_TWICE = "AMENDED_TWICE"
    AMENDED_WHEN_BUSTED = "AMENDED_WHEN_BUSTED"
    AMENDED_DIFFERENTLY = "AMENDED_DIFFERENTLY"
    REFUSED_BY_EXECUTION = "REFUSED_BY_EXECUTION"


class Report(msgspec.Struct, frozen=True, gc=False):
    """A venue's word on an order. `venue_seq` is the venue's number of it, `raw` its very bytes.

    Quantities are whole shares, prices micros per share, times nanoseconds since 1970 UTC.
    `command_seq` is the number of the command that it answers, 0: none. `revision`: the terms of an
    order that was replaced. `amends`: the id of the execution that is busted or corrected,
    or of the correction of it that is in its turn.
    """

    venue_seq: int
    trade_id: str
    kind: Kind
    symbol: str
    side: int
    exchange_order_id: str
    execution_id: str
    quantity: int
    price_micros: int
    leaves_quantity: int
    executed_at_nanos: int
    reason: Reason | None
    reason_text: str
    raw: bytes
    command_seq: int = 0
    revision: Revision | None = None
    amends: str = ""


class Fill(msgspec.Struct, frozen=True, gc=False):
    """An execution as it was told, or what an amendment of it said that it is.

    `amended_by_seq`: what busted or corrected that; None: nothing. `first_id`: the execution's own
    id where this is an amendment of it, else empty.
    """

    quantity: int
    price_micros: int
    amended_by_seq: int | None = None
    first_id: str = ""
    is_busted: bool = False


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How an order stands after the reports so far.

    `filled_by_seq` is the gateway's number of the report that filled it whole; None until then.
    `is_cut`: that was a replace, down to what was filled before. `filled_quantity` is what was
    filled at the venue, and `taken_back` how much of it busts and corrections took away again.
    `was_held`: it is a stop that the house accepted, held, and sent when it was triggered.
    """

    trade_id: str
    customer_id: str
    symbol: str
    side: int
    quantity: int
    state: State
    filled_quantity: int
    exchange_order_id: str
    filled_by_seq: int | None
    limit_price_micros: int = 0
    stop_price_micros: int = 0
    is_cut: bool = False
    taken_back: int = 0
    was_held: bool = False

    @property
    def revision(self) -> Revision:
        """Its terms as they are now."""
        return Revision(self.quantity, self.limit_price_micros, self.stop_price_micros)


class Parked(msgspec.Struct, frozen=True, gc=False):
    """A report that is kept for an operator."""

    seq: int
    breach: str
    detail: str


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A report as execution gets it. `is_held`: it only holds its place and is not delivered.

    `limit_price_micros`: the order's limit when the venue said it. Of the answer to a replace,
    `replace_id` says which, and `filled_quantity` how many shares were filled before it. `amended`:
    the fill that is busted or corrected, as it was. `retries`: how often an operator had it judged.
    """

    seq: int
    report: Report
    customer_id: str = ""
    is_last: bool = False
    is_held: bool = False
    limit_price_micros: int = 0
    replace_id: str = ""
    filled_quantity: int = 0
    amended: Fill | None = None
    retries: int = 0


def as_accepted_before(report: Report) -> Report:
    """What a venue's word means for a stop that the house accepted before it sent it.

    What was accepted cannot be rejected any more: it is canceled, for the same reason.
    """
    if report.kind != Kind.REJECTED:
        return report
    return msgspec.structs.replace(report, kind=Kind.CANCELED)


class Amended(msgspec.Struct, frozen=True, gc=False):
    """An execution of an order, or an amendment of one, that report `seq` amends, as it was."""

    trade_id: str
    execution_id: str
    seq: int
    fill: Fill


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A replace that report `seq` answers, and how the order stood before."""

    replace_id: str
    seq: int
    is_done: bool
    filled_quantity: int
    old_limit_price_micros: int


class Judgement(msgspec.Struct, frozen=True):
    """What a run of reports comes to; `deliveries` has an entry for each of them.

    `standings` are those of the orders that changed, `answered` the replaces that were answered,
    `amended` the executions that were busted or corrected.
    """

    standings: Sequence[Standing]
    parked: Sequence[Parked]
    deliveries: Sequence[Delivery]
    answered: Sequence[Answered]
    amended: Sequence[Amended]


class Impossible(Exception):
    """A report cannot be true."""

    def __init__(self, breach: Breach, detail: str) -> None:
        super().__init__(detail)
        self.breach = breach
        self.detail = detail


def told_by(reports: Sequence[Report]) -> State:
    """Where an order stands by the venue's own reports of it, oldest first; PENDING: none yet."""
    reports = [report for report in reports if report.kind not in _SAY_NOTHING_OF_STATE]
    if not reports:
        return State.PENDING
    last = reports[-1]
    is_over = last.kind in (Kind.REJECTED, Kind.CANCELED, Kind.EXPIRED)
    is_whole = last.kind == Kind.FILLED and last.leaves_quantity == 0
    return State.DONE if is_over or is_whole else State.ACCEPTED
