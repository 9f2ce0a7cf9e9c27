"""Trades' work on the order service's database, once: every statement that changes or reads."""

import itertools
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import psycopg
from msgspec.structs import replace

from libs.clock import SystemClock
from libs.ids import SystemIds
from libs.partition import partition_of
from services.order.applying import apply_outcomes
from services.order.canceling import cancel_trades
from services.order.claiming import claim_trades
from services.order.domain.asking import Filters
from services.order.domain.canceling import Cancellation
from services.order.domain.controls.setting import Book, Control, Setting
from services.order.domain.controls.setting import Terms as ControlTerms
from services.order.domain.event import Execution
from services.order.domain.journal import Told
from services.order.domain.news import Accepted, Executed, Replaced
from services.order.domain.placing import Placement
from services.order.domain.replacing import Replacement
from services.order.domain.terms import OrderType, Revision, Side, Terms
from services.order.domain.trade import Trade, TradeStatus
from services.order.guard import Guard
from services.order.placing import place_trades
from services.order.replacing import replace_trades
from services.order.store.archived import Extents
from services.order.store.executions import Executions, Place
from services.order.store.lists import Lists
from services.order.store.queue import Partitions, Queue
from services.order.store.requests import Requests
from services.order.store.resting import Resting
from services.order.store.trades import Trades

CLOCK = SystemClock()
IDS = SystemIds(CLOCK)
AT = datetime(2026, 11, 20, tzinfo=UTC)
HOT = "hot"
_quantities = itertools.count(1)
BATCH = [HOT, *(f"c{number}" for number in range(29))]
Work = Callable[[psycopg.AsyncConnection], Awaitable[None]]


def a_placement(customer_id: str) -> Placement:
    """Another trade of the customer."""
    return Placement(
        trade_id=IDS.new(),
        client_order_id=IDS.new(),
        customer_id=customer_id,
        terms=Terms(symbol="AAPL", side=Side.BUY, quantity=100),
    )


def a_limit(customer_id: str, quantity: int) -> Placement:
    """One that may wait on the book."""
    terms = Terms(
        symbol="AAPL",
        side=Side.BUY,
        quantity=quantity,
        order_type=OrderType.LIMIT,
        limit_price_micros=1_000_000,
    )
    return replace(a_placement(customer_id), terms=terms)


def _set(version: int, control: Control, seconds: int) -> Setting:
    terms = ControlTerms(control=control, seconds=seconds)
    return Setting(
        version=version,
        terms=terms,
        effective_at=AT,
        actor="operator",
        reason_text="a test",
        recorded_at=AT,
    )


GUARDED = Book([_set(1, Control.DUPLICATE_ORDER, 3600), _set(2, Control.SELF_TRADE, 0)])


async def trade_once(connection: psycopg.AsyncConnection) -> None:
    """A batch from placement to its last fill; every statement that changes trades."""
    placements = [a_placement(customer_id) for customer_id in BATCH]
    await place_trades(connection, placements, Guard(CLOCK, book=Book()))
    quantity = next(_quantities)
    for _ in range(2):  # new ones, then the same once more
        limits = [a_limit(customer_id, quantity) for customer_id in BATCH]
        await place_trades(connection, limits, Guard(CLOCK, book=GUARDED))
    partitions = sorted({partition_of(customer_id) for customer_id in BATCH})
    epochs = await Partitions(connection).lead(partitions, "w", at=AT)
    claims = await claim_trades(connection, epochs, BATCH, CLOCK)
    assert len(claims.trades) == len(BATCH)
    asked = [Cancellation(trade.trade_id) for _, trade in claims.trades]
    await cancel_trades(connection, asked, CLOCK)
    claims = await claim_trades(connection, epochs, BATCH, CLOCK)
    assert len(claims.cancels) == len(BATCH)
    told = [each for _, trade in claims.trades for each in _filled(trade)]
    for _ in range(2):
        await apply_outcomes(connection, told, CLOCK)
    await replace_once(connection, epochs)


async def replace_once(connection: psycopg.AsyncConnection, epochs: Mapping[int, int]) -> None:
    """The limits come to the exchange, have other terms there, and fill."""
    claims = await claim_trades(connection, epochs, BATCH, CLOCK)
    limits = [trade for _, trade in claims.trades if trade.terms.may_rest]
    asked = [
        Replacement(
            replace_id=IDS.new(),
            trade_id=trade.trade_id,
            client_order_id=IDS.new(),
            customer_id=trade.customer_id,
            asked=Revision(trade.terms.quantity + 1, 0, 0),
        )
        for trade in limits
    ]
    for _ in range(2):
        await replace_trades(connection, asked, Guard(CLOCK, book=Book()))
    accepted = [Told(trade.trade_id, Accepted("X-1")) for trade in limits]
    await apply_outcomes(connection, accepted, CLOCK)
    claims = await claim_trades(connection, epochs, BATCH, CLOCK)
    assert len(claims.replaces) == len(limits)
    replaced = [Told(each.trade_id, Replaced(each.replace_id)) for each in asked]
    await apply_outcomes(connection, replaced, CLOCK)
    now = await Trades(connection).by_ids([trade.trade_id for trade in limits])
    told = [each for trade in now.values() for each in _filled(trade)]
    await apply_outcomes(connection, told, CLOCK)


def _filled(trade: Trade) -> list[Told]:
    fill = Execution(
        execution_id=f"e-{trade.trade_id}",
        trade_id=trade.trade_id,
        quantity=trade.terms.quantity,
        price_micros=1,
        venue="XSIM",
        executed_at=AT,
    )
    return [Told(trade.trade_id, Accepted("X-1")), Told(trade.trade_id, Executed(fill))]


async def read_once(connection: psycopg.AsyncConnection) -> None:
    """Every statement that only reads."""
    found = await Lists(connection).page(HOT, Filters(), before_seq=2**63 - 1, limit=10)
    await Lists(connection).page(
        "c1", Filters((TradeStatus.FILLED,), "AAPL"), before_seq=2**63 - 1, limit=10
    )
    await Lists(connection).events_after([(customer_id, 1) for customer_id in BATCH], limit=10)
    await Extents(connection).archived_through(BATCH)
    found += await Lists(connection).page("c1", Filters(), before_seq=2**63 - 1, limit=10)
    for trade in found:
        await Lists(connection).story(trade.trade_id)
    await Resting(connection).open_trades("c1", "AAPL")
    await Trades(connection).by_ids([trade.trade_id for trade in found])
    await Trades(connection).by_client_order_ids([(HOT, trade.client_order_id) for trade in found])
    now = datetime.now(UTC)
    await Queue(connection).waiting(range(128), placed_before=now, now=now, limit=10)
    await Requests(connection).waiting(range(128), asked_before=now, now=now, limit=10)
    await Executions(connection).after(Place(0, "", ""), limit=10)
