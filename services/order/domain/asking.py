"""The rules of asking: what names a trade, a page, and the filters of a list."""

import re
from collections.abc import Iterable

import msgspec

from libs.money import format_dollars
from services.order import refusals
from services.order.domain.placing import (
    MAX_PRICE_MICROS,
    MAX_QUANTITY,
    check_client_order_id,
    check_symbol,
)
from services.order.domain.terms import Revision
from services.order.domain.trade import TradeStatus

_DEFAULT_PAGE_SIZE = 50
_MAX_PAGE_SIZE = 1000
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Filters(msgspec.Struct, frozen=True):
    """Which trades to list; empty: all. Statuses in order, each once."""

    statuses: tuple[TradeStatus, ...] = ()
    symbol: str = ""

    @property
    def label(self) -> str:
        """The same text for the same filters only."""
        return f"{','.join(str(int(status)) for status in self.statuses)}/{self.symbol}"


def is_trade_id(text: str) -> bool:
    """Whether `text` is a UUID as the house writes them: lower case, with hyphens."""
    return _UUID.fullmatch(text) is not None


def check_trade_id(text: str) -> None:
    """Raise Invalid unless it is a trade id by its form."""
    if not is_trade_id(text):
        raise refusals.invalid_trade_id()


def check_page_size(size: int) -> int:
    """The size meant: 0 is 50. Raises Invalid."""
    if not 0 <= size <= _MAX_PAGE_SIZE:
        raise refusals.invalid_page_size()
    return size or _DEFAULT_PAGE_SIZE


def check_filters(statuses: Iterable[int], symbol: str) -> Filters:
    """The filters meant. Raises Invalid."""
    known = {int(status): status for status in TradeStatus}
    wanted = set(statuses)
    if not wanted <= known.keys():
        raise refusals.invalid_request("statuses", "must be statuses a trade can have")
    if symbol:
        check_symbol(symbol)
    return Filters(tuple(known[number] for number in sorted(wanted)), symbol)


def check_revision(client_order_id: str, asked: Revision) -> None:
    """Raise Invalid unless these could be new terms of some trade."""
    if client_order_id:
        check_client_order_id(client_order_id)
    if asked.quantity and not 1 <= asked.quantity <= MAX_QUANTITY:
        raise refusals.invalid_quantity()
    for field in ("limit_price_micros", "stop_price_micros"):
        if not 0 <= getattr(asked, field) <= MAX_PRICE_MICROS:
            dearest = format_dollars(MAX_PRICE_MICROS)
            raise refusals.invalid_price(field, f"must be $0.00 to {dearest}")
