"""Which customers are being worked for, and which wait for the exchange.

A customer is worked for by one flight at a time. A nudge that comes meanwhile marks the customer
dirty, and the flight looks once more before it ends: nothing that came after a claim is missed.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from services.execution.domain.brought import Brought

_MAX_WAIT_SECONDS = 60.0


@dataclass(slots=True)
class Flight:
    """Work for one customer. `acks`: nudges to acknowledge after the next claim."""

    acks: list[str] = field(default_factory=list)
    is_dirty: bool = False
    is_swept: bool = False


@dataclass(slots=True)
class Resting:
    """A trade that is out of the worker's hands: at the exchange, or held back by a halt.

    `since` and `ask_at` are monotonic seconds; one that may be at the exchange is asked after at
    `ask_at`.
    """

    trade_id: str
    epoch: int
    symbol: str
    since: float
    ask_at: float
    is_halted: bool = False
    may_be_sent: bool = True


@dataclass(frozen=True, slots=True)
class Pause:
    """A trade that failed is left alone until `until`; `trade_id` empty: whatever is the oldest."""

    trade_id: str
    until: float


class Attention:
    """The worker's memory of customers. Losing it costs work done twice, never a trade."""

    def __init__(self, *, ask_after_seconds: float) -> None:
        self._ask_after_seconds = ask_after_seconds
        self._flights: dict[str, Flight] = {}
        self._resting: dict[str, Resting] = {}
        self._pauses: dict[str, Pause] = {}
        self.cancels = Brought(again_after_seconds=ask_after_seconds)
        self.replaces = Brought(again_after_seconds=ask_after_seconds)

    @property
    def in_flight(self) -> int:
        """Customers worked for now."""
        return len(self._flights)

    @property
    def resting(self) -> int:
        """Customers whose trade is at the exchange or held back."""
        return len(self._resting)

    def begin(self, customer_id: str, *, ack: str = "", is_swept: bool = False) -> bool:
        """True if work for the customer must start; otherwise the flight under way is marked."""
        flight = self._flights.get(customer_id)
        is_new = flight is None
        if flight is None:
            flight = self._flights[customer_id] = Flight(is_swept=is_swept)
        else:
            flight.is_dirty = True
        if ack:
            flight.acks.append(ack)
        return is_new

    def is_in_flight(self, customer_id: str) -> bool:
        """Whether the customer is worked for now."""
        return customer_id in self._flights

    def look(self, customer_id: str) -> tuple[list[str], bool]:
        """A claim begins: what came until now is answered by it.

        Gives the nudges to acknowledge after it, and whether the sweep found the customer.
        """
        flight = self._flights[customer_id]
        acks, is_swept = flight.acks, flight.is_swept
        flight.acks, flight.is_dirty, flight.is_swept = [], False, False
        return acks, is_swept

    def is_wanted_again(self, customer_id: str) -> bool:
        """Whether something came since the flight's last look."""
        return self._flights[customer_id].is_dirty

    def end(self, customer_id: str) -> None:
        """End the flight whatever came; the sweep comes back to the customer."""
        del self._flights[customer_id]

    def rest(self, customer_id: str, resting: Resting) -> None:
        """The customer's trade is out of the worker's hands."""
        resting.ask_at = resting.since + self._ask_after_seconds
        self._resting[customer_id] = resting

    def resting_of(self, customer_id: str) -> Resting | None:
        """The trade that is out of the worker's hands, if there is one."""
        return self._resting.get(customer_id)

    def forget(self, customer_id: str) -> None:
        """The customer's trade has moved on."""
        self._resting.pop(customer_id, None)

    def customers_of(self, trade_ids: Collection[str]) -> list[str]:
        """Customers whose trade that is out of the worker's hands is one of these."""
        return [
            customer_id
            for customer_id, resting in self._resting.items()
            if resting.trade_id in trade_ids
        ]

    def pause(self, customer_id: str, trade_id: str, until: float) -> None:
        """Leave the customer's trade alone until then."""
        self._pauses[customer_id] = Pause(trade_id, until)

    def is_paused(self, customer_id: str, now: float, *, trade_id: str = "") -> bool:
        """Whether the customer is left alone; not for `trade_id`, if another one had failed."""
        pause = self._pauses.get(customer_id)
        if pause is None:
            return False
        is_other = bool(trade_id and pause.trade_id and trade_id != pause.trade_id)
        if is_other or pause.until <= now:
            del self._pauses[customer_id]
            return False
        return True

    def due(self, customer_ids: Iterable[str], now: float, *, most: int) -> list[str]:
        """Of these, the customers whose trade has been at the exchange for long, at most `most`.

        Each is given again after twice the time, at most a minute; who was left out is due still.
        """
        found: list[str] = []
        for customer_id in customer_ids:
            if len(found) == most:
                break
            resting = self._resting.get(customer_id)
            if resting is not None and resting.may_be_sent and resting.ask_at <= now:
                wait = min(max(now - resting.since, self._ask_after_seconds), _MAX_WAIT_SECONDS)
                resting.ask_at = now + wait
                found.append(customer_id)
        return found

    def forget_settled(self, open_trades: Iterable[tuple[str, str]], before: float) -> None:
        """Forget what rests since before `before` and is no open (customer, trade) pair.

        And pauses that were over by then, of customers without an open trade.
        """
        still_open = set(open_trades)
        self._resting = {
            customer_id: resting
            for customer_id, resting in self._resting.items()
            if resting.since >= before or (customer_id, resting.trade_id) in still_open
        }
        customers = {customer_id for customer_id, _ in still_open}
        self._pauses = {
            customer_id: pause
            for customer_id, pause in self._pauses.items()
            if pause.until >= before or customer_id in customers
        }
