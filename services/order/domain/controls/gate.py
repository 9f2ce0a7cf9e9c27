"""The gate that a batch of placements goes through, one after the other."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from libs.refusals import Throttled
from services.order import refusals
from services.order.domain.controls.decision import Decision, decide
from services.order.domain.controls.facts import UNKNOWN, Case, Facts
from services.order.domain.controls.rates import Rates, Spent
from services.order.domain.controls.setting import Action, Book, Control, Setting
from services.order.domain.terms import OrderType, Side, Terms, TimeInForce
from services.order.domain.trade import Trade

LET_THROUGH = Decision(0, ())  # nothing was ever set
_RATES = (Control.CUSTOMER_RATE, Control.SYMBOL_RATE)
_LASTING = frozenset({TimeInForce.DAY, TimeInForce.GTC})
_OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
Likeness = tuple[str, str, Side, int, int, int]


class Recent(msgspec.Struct, frozen=True):
    """An order let through lately."""

    trade_id: str
    placed_at: datetime


class Resting(msgspec.Struct, frozen=True):
    """A customer's own order with a limit, open."""

    trade_id: str
    side: Side
    limit_price_micros: int


class Market(msgspec.Struct, frozen=True):
    """The last prices as they were heard, all together, that long ago; empty: never heard."""

    last_prices: Mapping[str, int] = {}
    age_ms: int = 0


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate knows of the customers at hand, beside the settings.

    `recents`: by likeness. `resting`: by customer and symbol. Both grow with what is let through.
    """

    recents: dict[Likeness, Recent] = msgspec.field(default_factory=dict)
    resting: dict[tuple[str, str], list[Resting]] = msgspec.field(default_factory=dict)


def likeness(customer_id: str, terms: Terms) -> Likeness:
    """What makes two orders of a customer the same in the eyes of the duplicate guard."""
    return (
        customer_id,
        terms.symbol,
        terms.side,
        terms.quantity,
        terms.limit_price_micros,
        terms.stop_price_micros,
    )


def may_be_crossed(terms: Terms) -> bool:
    """Whether it may wait on the book at a limit."""
    return terms.order_type is OrderType.LIMIT and terms.time_in_force in _LASTING


class Gate:
    """Lets trades through or not, at one time, and remembers what it let through."""

    def __init__(
        self, book: Book, market: Market, rates: Rates, *, at: datetime, nanos: int
    ) -> None:
        """`nanos`: the monotonic time, for the rates.

        `known`: what it knows of customers' other orders. `guarded`: what it let through under the
        guard against duplicates.
        """
        self.book = book
        self._market = market
        self._rates = rates
        self.at = at
        self._nanos = nanos
        self.known = Known()
        self.guarded: list[Trade] = []
        self._in_force: dict[tuple[str, str], Mapping[Control, Setting]] = {}
        self._spent: list[tuple[Setting, str]] = []

    def setting(self, control: Control, customer_id: str, terms: Terms) -> Setting | None:
        """The limit in force for such a trade, if there is one."""
        found = self._settings(customer_id, terms.symbol).get(control)
        return found if found is not None and found.terms.action is Action.SET else None

    def _settings(self, customer_id: str, symbol: str) -> Mapping[Control, Setting]:
        """Looked up once for a customer in a symbol."""
        key = customer_id, symbol
        found = self._in_force.get(key)
        if found is None:
            found = self._in_force[key] = self.book.in_force(customer_id, symbol, self.at)
        return found

    def judge(self, customer_id: str, terms: Terms) -> Decision:
        """The decision about a trade that is placed; its tokens are spent. Raises Throttled."""
        if not self.book.version:
            return LET_THROUGH
        wanted = self._rates_of(customer_id, terms)
        try:
            left = self._rates.take(wanted, self._nanos)
        except Spent as spent:
            raise _too_many(spent) from None
        self._spent += wanted
        return self._decide(customer_id, terms, wanted, left)

    def take_back(self) -> None:
        """What was let through did not come to be: its tokens are there again."""
        for setting, name in self._spent:
            self._rates.give_back(setting, name)
        self._spent = []

    def preview(self, customer_id: str, terms: Terms) -> Decision:
        """The decision if it were placed now; nothing is spent."""
        wanted = self._rates_of(customer_id, terms)
        left = [self._rates.left(setting, name, self._nanos) for setting, name in wanted]
        return self._decide(customer_id, terms, wanted, left)

    def note(self, trade: Trade) -> None:
        """This trade was let through."""
        if not self.book.version:
            return  # where nothing was ever set, nobody asks
        customer_id, terms = trade.customer_id, trade.terms
        if self.setting(Control.DUPLICATE_ORDER, customer_id, terms) is not None:
            self.guarded.append(trade)
        self.known.recents[likeness(customer_id, terms)] = Recent(trade.trade_id, self.at)
        if may_be_crossed(terms):
            resting = Resting(trade.trade_id, terms.side, terms.limit_price_micros)
            self.known.resting.setdefault((customer_id, terms.symbol), []).append(resting)

    def revise(self, trade: Trade) -> None:
        """This trade has other terms now, or may have them at any moment."""
        if not (self.book.version and may_be_crossed(trade.terms)):
            return
        key, wanted = (trade.customer_id, trade.terms.symbol), trade.standing.replace
        limits = {trade.terms.limit_price_micros}
        if wanted is not None:
            limits.add(wanted.new.limit_price_micros)
        others = [
            each for each in self.known.resting.get(key, ()) if each.trade_id != trade.trade_id
        ]
        at = [Resting(trade.trade_id, trade.terms.side, limit) for limit in sorted(limits)]
        self.known.resting[key] = others + at

    def _rates_of(self, customer_id: str, terms: Terms) -> list[tuple[Setting, str]]:
        names = (customer_id, terms.symbol)
        found = (self.setting(control, customer_id, terms) for control in _RATES)
        return [(each, name) for each, name in zip(found, names, strict=True) if each is not None]

    def _decide(
        self, customer_id: str, terms: Terms, wanted: list[tuple[Setting, str]], left: list[int]
    ) -> Decision:
        by_control = {
            setting.terms.control: tokens for (setting, _), tokens in zip(wanted, left, strict=True)
        }
        facts = Facts(
            last_price_micros=self._market.last_prices.get(terms.symbol, 0),
            price_age_ms=self._market.age_ms,
            duplicate_of=self._duplicate_of(customer_id, terms),
            crosses=self._crosses(customer_id, terms),
            customer_rate_left=by_control.get(Control.CUSTOMER_RATE, UNKNOWN),
            symbol_rate_left=by_control.get(Control.SYMBOL_RATE, UNKNOWN),
        )
        settings = self._settings(customer_id, terms.symbol)
        return decide(Case(terms, self.book.version, settings, facts))

    def _duplicate_of(self, customer_id: str, terms: Terms) -> str:
        setting = self.setting(Control.DUPLICATE_ORDER, customer_id, terms)
        recent = self.known.recents.get(likeness(customer_id, terms))
        if setting is None or recent is None:
            return ""
        is_recent = self.at - recent.placed_at < timedelta(seconds=setting.terms.seconds)
        return recent.trade_id if is_recent else ""

    def _crosses(self, customer_id: str, terms: Terms) -> str:
        """The customer's own order that it could trade against; a market price crosses any."""
        if self.setting(Control.SELF_TRADE, customer_id, terms) is None:
            return ""
        for each in self.known.resting.get((customer_id, terms.symbol), ()):
            if each.side is _OTHER[terms.side] and _meets(terms, each.limit_price_micros):
                return each.trade_id
        return ""


def _too_many(spent: Spent) -> Throttled:
    terms = spent.setting.terms
    return refusals.order_rate(
        terms.control.name, terms.limit, terms.seconds, wait_seconds=spent.wait_nanos / 1e9
    )


def _meets(terms: Terms, price_micros: int) -> bool:
    limit = terms.limit_price_micros
    if not limit:
        return True
    return limit >= price_micros if terms.side is Side.BUY else limit <= price_micros
