"""Who is let in between two looks at how many trades are open."""

from collections.abc import Sequence
from datetime import UTC, datetime

from libs.batcher import Batcher
from libs.clock import SystemClock
from libs.ids import SystemIds
from libs.reasons import Reason
from libs.refusals import Refusal, Throttled
from services.order import refusals
from services.order.admitting import Admitting
from services.order.domain.backlog import Backlog
from services.order.domain.lifecycle import Event, after
from services.order.domain.placing import Placement
from services.order.domain.terms import Side, Terms
from services.order.domain.trade import Trade

CLOCK = SystemClock()
IDS = SystemIds(CLOCK)
AT = datetime(2026, 11, 20, tzinfo=UTC)


class Placer:
    """Places all but what is in MSFT, where a rate is spent."""

    async def place(self, placements: Sequence[Placement]) -> list[Trade | Refusal]:
        return [
            _trade(each)
            if each.terms.symbol == "AAPL"
            else refusals.order_rate("SYMBOL_RATE", 1, 60, wait_seconds=1)
            for each in placements
        ]


def _trade(placement: Placement) -> Trade:
    return Trade(
        trade_id=placement.trade_id,
        client_order_id=placement.client_order_id,
        customer_id=placement.customer_id,
        terms=placement.terms,
        placed_seq=1,
        created_at=AT,
        standing=after(None, Event.PLACED),
        seq=1,
        updated_at=AT,
    )


def door(most: int) -> Admitting:
    """Before the first look nothing is open."""
    return Admitting(Batcher(Placer().place), Backlog(most), CLOCK)


async def ask(admitting: Admitting, count: int, symbol: str = "AAPL") -> list[str]:
    """What became of so many, in one batch: placed, or why not."""
    placements = [
        Placement(
            trade_id=IDS.new(),
            client_order_id=IDS.new(),
            customer_id=f"c{number}",
            terms=Terms(symbol=symbol, side=Side.BUY, quantity=1),
        )
        for number in range(count)
    ]
    outcomes = await admitting.outcomes(placements)
    return [
        Reason.Name(each.reason) if isinstance(each, Throttled) else "placed" for each in outcomes
    ]


async def test_no_more_are_let_in_than_may_be_open_until_the_next_look() -> None:
    admitting = door(most=5)
    assert await ask(admitting, 3) == ["placed"] * 3
    assert await ask(admitting, 4) == ["placed"] * 2 + ["REASON_OVERLOADED"] * 2
    assert await ask(admitting, 1) == ["REASON_OVERLOADED"]


async def test_what_was_refused_takes_nobodys_place() -> None:
    admitting = door(most=5)
    assert await ask(admitting, 4, "MSFT") == ["REASON_ORDER_RATE_LIMIT"] * 4
    assert await ask(admitting, 5) == ["placed"] * 5
