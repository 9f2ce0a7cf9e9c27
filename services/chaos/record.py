"""Everything customers asked for and were told, as it comes in. Times are seconds of one clock."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.clock import Clock
from services.chaos.domain.checks import check_customer
from services.chaos.domain.history import SILENT, Ack, Event, Order, ReplaceAck
from services.chaos.domain.recovery import Timing
from services.chaos.domain.verdict import Claim, Violation

_LOOK_SECONDS = 0.1
_TOLD = {
    "REPLACED": "replaced",
    "REPLACE_REJECTED": "replaces rejected",
    "STOP PLACED": "stops placed",
    "STOP EXECUTED": "filled",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How trading stands now; ages in seconds, of the oldest.

    `open`: on its way; what rests at the exchange is counted beside it. `told`: events of replaces
    and stops.
    """

    placed: int
    decided: int
    filled: int
    open: int
    oldest_open: float
    in_doubt: int
    oldest_in_doubt: float
    resting: int
    told: Mapping[str, int]


class Record:
    """Kept in memory; one per drill."""

    def __init__(self, clock: Clock, customers: Sequence[str], patient: Sequence[str]) -> None:
        """`patient`: customers whose trades take their time, and hold up theirs alone."""
        self.customers = customers
        self.patient = patient
        self._clock = clock
        self.acks: dict[str, list[Ack]] = defaultdict(list)
        self.events: dict[str, list[Event]] = defaultdict(list)
        self.orders: dict[tuple[str, str], Order] = {}  # by customer and id
        self.replaces: list[ReplaceAck] = []
        self.prices: dict[str, int] = {}  # by symbol, of the last fill told
        self.resting: dict[str, Event] = {}  # as told last, by trade
        self.refusals: list[Violation] = []
        self.amended: set[str] = set()  # ids of what was told to be taken back
        self.outages: dict[str, int] = defaultdict(int)
        self._asked_at: dict[tuple[str, str], float] = {}
        self._timings: list[Timing] = []
        self._acked: set[str] = set()
        self._open: dict[str, float] = {}
        self._in_doubt: dict[str, float] = {}
        self._over: set[str] = set()
        self._slow: dict[str, str] = {}  # symbols of the patient customers' trades
        self._told: Counter[str] = Counter()
        self._changed: dict[str, None] = {}
        self._found: dict[str, list[Violation]] = {}

    def asked(self, customer: str, order: Order) -> None:
        """A customer begins to ask for an order."""
        key = customer, order.client_order_id
        self.orders.setdefault(key, order)
        self._asked_at.setdefault(key, self._clock.monotonic())

    def answered(self, customer: str, client_order_id: str, trade_id: str) -> None:
        """The order is recorded as this trade."""
        self.acks[customer].append(Ack(customer, client_order_id, trade_id))
        self._acked.add(trade_id)
        self._changed[customer] = None
        if trade_id not in self._over and trade_id not in self.resting:
            self._open.setdefault(trade_id, self._clock.monotonic())

    def replaced(self, ack: ReplaceAck) -> None:
        """A customer was answered that other terms are asked for."""
        self.replaces.append(ack)

    def refused(self, customer: str, client_order_id: str, words: str) -> None:
        """The house refused what it must take."""
        found = f"order {client_order_id} of {customer} was refused: {words}"
        self.refusals.append(Violation(Claim.LOST, client_order_id, found))

    def unanswered(self, words: str) -> None:
        """A call ended without an answer; counted by its code."""
        self.outages[words.partition(":")[0]] += 1

    def told(self, customer: str, event: Event) -> None:
        """A customer was told an event."""
        now = self._clock.monotonic()
        self.events[customer].append(event)
        self._changed[customer] = None
        if event.amendment is not None:
            self.amended.add(event.amendment.amendment_id)
        if event.in_doubt:
            self._in_doubt.setdefault(event.trade_id, now)
        else:
            self._in_doubt.pop(event.trade_id, None)
        if customer in self.patient:
            self._slow[event.trade_id] = event.symbol
        if event.fill is not None:
            self.prices[event.symbol] = event.fill.price_micros
        self._told.update([event.kind, *([f"STOP {event.kind}"] if event.is_stop else [])])
        if event.trade_id not in self._over:
            self._move(customer, event, now)

    def _move(self, customer: str, event: Event, now: float) -> None:
        """The trade is over, rests, or is on its way. Who rests fills in its own time."""
        self.resting.pop(event.trade_id, None)
        if not event.is_terminal and not event.rests:
            self._open.setdefault(event.trade_id, now)
            return
        self._open.pop(event.trade_id, None)
        if event.rests:
            self.resting[event.trade_id] = event
            return
        self._over.add(event.trade_id)
        asked_at = self._asked_at.get((customer, event.client_order_id))
        is_prompt = not event.may_rest and event.trade_id not in self._slow
        if event.status == "FILLED" and asked_at is not None and is_prompt:
            self._timings.append(Timing(customer, asked_at, now))

    def is_open(self, trade_id: str) -> bool:
        """Whether the trade is not over, as far as was told."""
        return bool(trade_id) and trade_id not in self._over

    async def until_settled(self, trade_id: str) -> None:
        """Wait while it is on its way, or something asked for it has no answer."""
        while trade_id in self._open:
            await self._clock.sleep(_LOOK_SECONDS)

    @property
    def timings(self) -> Sequence[Timing]:
        """The trades that filled, in the order told."""
        return self._timings

    def is_behind(self, moment: float) -> bool:
        """Whether a trade from before `moment` is still open that does not take its time."""
        return any(
            since < moment and trade_id not in self._slow for trade_id, since in self._open.items()
        )

    def silent(self, *, seconds: float) -> list[str]:
        """Trades that the exchange never answers, in doubt for so long."""
        before = self._clock.monotonic() - seconds
        return [
            trade_id
            for trade_id, since in self._in_doubt.items()
            if since <= before and self._slow.get(trade_id) == SILENT
        ]

    def standing(self) -> Standing:
        """How trading stands now."""
        now = self._clock.monotonic()
        return Standing(
            placed=len(self._acked),
            decided=len(self._acked & self._over),
            filled=len(self._timings),
            open=len(self._open),
            oldest_open=max((now - since for since in self._open.values()), default=0.0),
            in_doubt=len(self._in_doubt),
            oldest_in_doubt=max((now - since for since in self._in_doubt.values()), default=0.0),
            resting=len(self.resting),
            told={words: self._told[kind] for kind, words in _TOLD.items()},
        )

    def look(self, *, most: int) -> list[Violation]:
        """What is broken as far as is known, after a new look at `most` customers with news.

        An answer may come before its event: what only looks lost is not told here.
        """
        for customer in list(self._changed)[:most]:
            del self._changed[customer]
            found = check_customer(customer, self.acks[customer], self.events[customer])
            self._found[customer] = [one for one in found if one.claim is not Claim.LOST]
        return [*self.refusals, *(one for found in self._found.values() for one in found)]
