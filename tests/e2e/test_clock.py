"""An operator's clock at the exchange, and what of the whole running house follows it."""

import uuid
from datetime import UTC, datetime

import pytest

from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.exchange.v1 import clock_pb2
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_control_service_pb2_grpc as control_grpc
from stockbroker.ledger.v1 import portfolio_service_pb2 as portfolio_pb
from stockbroker.order.v1 import order_pb2
from tests.reconciliation.scene import Scene
from tests.support import books
from tests.support.app import BUY, DEADLINE_SECONDS
from tests.support.house import House
from tests.support.wait import until

pytestmark = pytest.mark.xdist_group("house")

DOLLAR = 1_000_000
OPENS = datetime(2026, 12, 24, 14, 30, tzinfo=UTC)  # of a half day
CLOSES = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)
BY_CALENDAR = control.SetPhaseRequest.PHASE_BY_CALENDAR
BY_HOURS = control.SetPhaseRequest.PHASE_BY_HOURS


async def test_fills_are_dated_and_day_orders_expire_by_the_operators_clock(house: House) -> None:
    customer = f"c{uuid.uuid4().hex[:12]}"
    await house.endow(customer, cash=10_000 * DOLLAR)
    async with house.operator() as operator, house.app(customer) as app:
        exchange = control_grpc.ExchangeControlServiceStub(operator.channel)

        async def set_clock(request: clock_pb2.SetClockRequest) -> None:
            await exchange.SetClock(request, metadata=operator.metadata, timeout=DEADLINE_SECONDS)

        try:
            request = clock_pb2.SetClockRequest(rate_millis=0)
            request.at.FromDatetime(OPENS)
            await set_clock(request)
            await operator.set_phase(BY_CALENDAR)

            bought = await app.settle(await app.place(BUY, 10, "KO"))
            resting = await app.place(
                BUY, 10, "KO", order_type=terms.ORDER_TYPE_LIMIT, limit_price_micros=DOLLAR
            )

            async def is_taken() -> bool:
                return bool((await app.get(resting.trade_id)).exchange_order_id)

            await until(is_taken)
            await set_clock(clock_pb2.SetClockRequest(next_close=True))
            expired = await app.settle(resting)
            story = await app.story({bought.trade_id})
        finally:
            await operator.set_phase(BY_HOURS)
            await set_clock(clock_pb2.SetClockRequest(real=True))

        assert bought.executed_at.ToDatetime(UTC) == OPENS
        assert expired.status == order_pb2.TRADE_STATUS_EXPIRED
        entries = await app.portfolios.ListEntries(
            portfolio_pb.ListEntriesRequest(), metadata=app.metadata, timeout=DEADLINE_SECONDS
        )
        dates = {each.effective_at.ToDatetime(UTC) for each in entries.entries}
        assert OPENS in dates
        assert CLOSES not in dates, "what is held and freed is dated by the house's own time"
        assert (await app.portfolio()).positions[0].quantity == 10
    scene = Scene(house)
    await scene.compared()
    fills = [event.execution for event in story if event.HasField("execution")]
    assert not [b for fill in fills for b in await scene.breaks(fill.execution_id)]
    await scene.channel.close()
    books.check(house.database_url("ledger"))
