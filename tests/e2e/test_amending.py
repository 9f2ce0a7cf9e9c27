"""Fills that the exchange takes back or corrects, on the whole running house, with exact books."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import ExchangeControlServiceStub
from stockbroker.exchange_gateway.v1 import operators_pb2 as ops
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as reconciliation
from stockbroker.reconciliation.v1.reconciliation_service_pb2_grpc import ReconciliationServiceStub
from tests.e2e.test_resting import CENT, SHARES, SYMBOL, Scene
from tests.e2e.test_resting import a_scene as a_resting_scene
from tests.support.app import BUY, SELL
from tests.support.house import House
from tests.support.operator import Operator
from tests.support.wait import until

pytestmark = pytest.mark.xdist_group("house")

CASH = 1_000_000
BUSTED = Kind.TRADE_EVENT_KIND_EXECUTION_BUSTED
CORRECTED = Kind.TRADE_EVENT_KIND_EXECUTION_CORRECTED


class Amends:
    """A customer who trades, and the exchange's operator who takes fills back."""

    def __init__(self, scene: Scene, operator: Operator) -> None:
        self.scene = scene
        self._who = {"metadata": operator.metadata, "timeout": 30}
        self._exchange: Any = ExchangeControlServiceStub(operator.channel)
        self._gateway: Any = ExchangeGatewayServiceStub(operator.channel)
        self._reconciliation: Any = ReconciliationServiceStub(operator.channel)

    async def fill(self, side: Any, quantity: int) -> order_pb2.TradeEvent:
        """The one fill of a trade at the market: bought at $20, or sold at $18."""
        trade = await self.scene.app.place(side, quantity, SYMBOL)
        story = await self.scene.app.story({trade.trade_id})
        mine = (event for event in story if event.trade.trade_id == trade.trade_id)
        [fill] = [event for event in mine if event.HasField("execution")]
        return fill

    async def bust(self, fill: order_pb2.TradeEvent, named: str = "") -> None:
        """It never was; `named`: by its latest correction."""
        request = control.BustExecutionRequest(
            exec_id=named or fill.execution.execution_id, reason_text="a clear error"
        )
        await self._exchange.BustExecution(request, **self._who)

    async def correct(
        self, fill: order_pb2.TradeEvent, quantity: int, cents: int, *, named: str = ""
    ) -> str:
        """It was another; the exchange's id of that."""
        request = control.CorrectExecutionRequest(
            exec_id=named or fill.execution.execution_id,
            quantity=quantity,
            price_micros=cents * CENT,
            reason_text="a typo",
        )
        response = await self._exchange.CorrectExecution(request, **self._who)
        return str(response.report.exec_id)

    async def told(
        self, fill: order_pb2.TradeEvent, kind: Any, *, called: str = ""
    ) -> order_pb2.TradeEvent:
        """The event of the fill's trade that says so; `called`: by that amendment."""
        async for event in self.scene.app.events(fill.seq):
            is_meant = not called or event.amendment.amendment_id == called
            if is_meant and event.trade.trade_id == fill.trade.trade_id and event.kind == kind:
                return event
        raise AssertionError("the stream ended")

    async def stands(self, fill: order_pb2.TradeEvent) -> tuple[str, int, int]:
        """Status, shares and cents of its trade."""
        trade = await self.scene.app.get(fill.trade.trade_id)
        status = order_pb2.TradeStatus.Name(trade.status).removeprefix("TRADE_STATUS_")
        return status, trade.filled_quantity, trade.filled_notional_micros // CENT

    async def owns(self) -> tuple[int, int]:
        """Cents and shares, none of them held."""
        portfolio = await self.scene.app.portfolio()
        assert portfolio.cash.held_micros == 0
        shares = sum(each.quantity for each in portfolio.positions if each.symbol == SYMBOL)
        return portfolio.cash.total_micros // CENT, shares

    async def parked(self, fill: order_pb2.TradeEvent) -> list[ops.ParkedReport]:
        """Reports of its trade that are an operator's to settle."""
        found = await self._gateway.ListParkedReports(ops.ListParkedReportsRequest(), **self._who)
        return [each for each in found.reports if each.trade_id == fill.trade.trade_id]

    async def retry(self, report: ops.ParkedReport) -> None:
        """Have it judged again."""
        request = ops.RetryParkedReportRequest(report_seq=report.report_seq, reason_text="mended")
        await self._gateway.RetryParkedReport(request, **self._who)

    async def agree(self) -> None:
        """Wait until reconciliation has looked at all of it and has nothing to complain of."""
        for _ in range(2):
            before = await self._looked()

            async def has_looked_anew(since: Any = before.last_round_at) -> bool:
                return bool((await self._looked()).last_round_at != since)

            await until(has_looked_anew)

        async def is_content() -> bool:
            found = await self._looked()
            return not found.pending and not any(each.count for each in found.open_breaks)

        await until(is_content)

    async def _looked(self) -> reconciliation.GetReconciliationResponse:
        request = reconciliation.GetReconciliationRequest()
        found: reconciliation.GetReconciliationResponse = (
            await self._reconciliation.GetReconciliation(request, **self._who)
        )
        return found


@asynccontextmanager
async def a_scene(house: House) -> AsyncIterator[Amends]:
    async with a_resting_scene(house) as scene, house.operator() as operator:
        amends = Amends(scene, operator)
        yield amends
        await amends.agree()


async def test_a_busted_fill_gives_money_and_shares_back_to_the_cent(house: House) -> None:
    async with a_scene(house) as amends:
        bought, sold = await amends.fill(BUY, 10), await amends.fill(SELL, 4)
        assert await amends.owns() == (CASH - 10 * 2000 + 4 * 1800, SHARES + 6)

        await amends.bust(bought)
        event = await amends.told(bought, BUSTED)
        await amends.bust(sold)
        await amends.told(sold, BUSTED)

        assert event.amendment.execution_id == bought.execution.execution_id
        assert event.amendment.reason_text == "a clear error"
        assert await amends.stands(bought) == ("FILLED", 0, 0)
        assert await amends.owns() == (CASH, SHARES)
        await amends.fill(BUY, 1)


async def test_a_corrected_fill_costs_what_it_is_now(house: House) -> None:
    async with a_scene(house) as amends:
        fill = await amends.fill(BUY, 10)

        await amends.correct(fill, 7, 1999)
        event = await amends.told(fill, CORRECTED)

        assert (event.amendment.old_quantity, event.amendment.quantity) == (10, 7)
        assert await amends.stands(fill) == ("FILLED", 7, 7 * 1999)
        assert await amends.owns() == (CASH - 7 * 1999, SHARES + 7)


async def test_a_correction_is_corrected_and_busted_to_the_cent_with_all_books_alike(
    house: House,
) -> None:
    async with a_scene(house) as amends:
        fill = await amends.fill(BUY, 10)

        first = await amends.correct(fill, 7, 1999)
        second = await amends.correct(fill, 9, 1998, named=first)
        third = await amends.correct(fill, 8, 2001, named=second)
        told = [await amends.told(fill, CORRECTED, called=id_) for id_ in (first, second, third)]

        assert [each.amendment.old_quantity for each in told] == [10, 7, 9]
        assert [each.amendment.execution_id for each in told] == [fill.execution.execution_id] * 3
        assert await amends.stands(fill) == ("FILLED", 8, 8 * 2001)
        assert await amends.owns() == (CASH - 8 * 2001, SHARES + 8)
        await amends.agree()

        await amends.bust(fill, named=third)
        event = await amends.told(fill, BUSTED)
        assert (event.amendment.old_quantity, event.amendment.previous_amendment_id) == (8, third)
        assert await amends.stands(fill) == ("FILLED", 0, 0)
        assert await amends.owns() == (CASH, SHARES)


async def test_a_bust_of_what_was_sold_on_waits_for_an_operator_and_is_not_dropped(
    house: House,
) -> None:
    async with a_scene(house) as amends:
        await amends.scene.others(is_bid=True, cents=1800, quantity=100)
        bought = await amends.fill(BUY, 10)
        await amends.fill(SELL, SHARES)
        sold = await amends.fill(SELL, 10)
        before = await amends.owns()

        await amends.bust(bought)
        await until(lambda: _is_parked(amends, bought))

        [report] = await amends.parked(bought)
        assert "INSUFFICIENT_SHARES" in report.detail
        assert await amends.owns() == before
        assert await amends.stands(bought) == ("FILLED", 10, 10 * 2000)

        await amends.bust(sold)
        await amends.told(sold, BUSTED)
        await amends.retry(report)
        await amends.told(bought, BUSTED)
        assert await amends.owns() == (CASH + SHARES * 1800, 0)
        assert await amends.parked(bought) == []


async def _is_parked(amends: Amends, fill: order_pb2.TradeEvent) -> bool:
    return bool(await amends.parked(fill))
