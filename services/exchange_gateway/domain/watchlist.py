"""The stops that wait, by symbol: which of them trades at some prices meet."""

from collections.abc import Iterable, Sequence

from services.exchange_gateway.domain.held import Span, Waiting, is_met
from services.exchange_gateway.domain.orders import Side


class Watchlist:
    """Looks at a symbol's stops only when the nearest of them is met.

    >>> watchlist = Watchlist([Waiting("a", "T", Side.BUY, 20), Waiting("b", "T", Side.SELL, 17)])
    >>> watchlist.met("T", Span(18, 19)), watchlist.met("T", Span(17, 20))
    ([], ['a', 'b'])
    """

    def __init__(self, waiting: Iterable[Waiting] = ()) -> None:
        self._symbols: dict[str, dict[str, Waiting]] = {}
        self._where: dict[str, str] = {}
        self._nearest: dict[str, list[Waiting]] = {}
        for one in waiting:
            self.put(one)

    def __len__(self) -> int:
        return len(self._where)

    @property
    def symbols(self) -> Sequence[str]:
        """Those that something waits in."""
        return list(self._symbols)

    def put(self, waiting: Waiting) -> None:
        """This waits, like this."""
        self.drop(waiting.trade_id)
        self._symbols.setdefault(waiting.symbol, {})[waiting.trade_id] = waiting
        self._where[waiting.trade_id] = waiting.symbol
        self._nearest.pop(waiting.symbol, None)

    def drop(self, trade_id: str) -> None:
        """This waits no more."""
        symbol = self._where.pop(trade_id, None)
        if symbol is None:
            return
        self._nearest.pop(symbol, None)
        del self._symbols[symbol][trade_id]
        if not self._symbols[symbol]:
            del self._symbols[symbol]

    def met(self, symbol: str, span: Span) -> list[str]:
        """Those that trades at these prices trigger."""
        waiting = self._symbols.get(symbol)
        if waiting is None or not any(_is_met(one, span) for one in self._nearest_of(symbol)):
            return []
        return [trade_id for trade_id, one in waiting.items() if _is_met(one, span)]

    def _nearest_of(self, symbol: str) -> Sequence[Waiting]:
        """The stop to buy that is lowest, and the one to sell that is highest."""
        nearest = self._nearest.get(symbol)
        if nearest is None:
            waiting = self._symbols[symbol].values()
            buys = [one for one in waiting if one.side == Side.BUY]
            sells = [one for one in waiting if one.side == Side.SELL]
            nearest = self._nearest[symbol] = [
                *sorted(buys, key=_price)[:1],
                *sorted(sells, key=_price)[-1:],
            ]
        return nearest


def _is_met(waiting: Waiting, span: Span) -> bool:
    return is_met(waiting.side, waiting.stop_price_micros, span)


def _price(waiting: Waiting) -> int:
    return waiting.stop_price_micros
