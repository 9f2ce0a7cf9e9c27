"""An operator halts a symbol at the exchange and resumes it, on the whole running house."""

import asyncio
import uuid

import pytest
from typer.testing import CliRunner

from services.cli.main import app as stockbroker
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_pb2
from tests.support.app import BUY
from tests.support.house import House

pytestmark = pytest.mark.xdist_group("house")

SYMBOL, CASH = "PEP", 100_000_000_000


async def command(house: House, *arguments: str) -> str:
    """What `stockbroker` says, which must succeed."""
    # In this process: starting one anew would take longer than all it does.
    result = await asyncio.to_thread(
        CliRunner().invoke, stockbroker, arguments, env=house.environment()
    )
    assert result.exit_code == 0, result.output
    return result.stdout


async def test_a_halted_symbol_refuses_trades_until_it_is_resumed(house: House) -> None:
    customer = f"h{uuid.uuid4().hex[:12]}"
    await house.endow(customer, cash=CASH)
    async with house.app(customer) as app:
        try:
            assert "is halted" in await command(house, "exchange", "halt", SYMBOL)
            assert "halted" in await command(house, "market", "quotes", SYMBOL)
            assert f"HALTED there: {SYMBOL}\n" in await command(house, "status")
            refused = await app.settle(await app.place(BUY, 1, SYMBOL))
            elsewhere = await app.settle(await app.place(BUY, 1, "KO"))
        finally:
            resumed = await command(house, "exchange", "resume", SYMBOL)
        assert resumed == f"{SYMBOL} is not halted at the exchange\n"
        filled = await app.settle(await app.place(BUY, 1, SYMBOL))

    assert refused.status == order_pb2.TRADE_STATUS_REJECTED
    assert refused.reason == Reason.REASON_SYMBOL_HALTED
    assert elsewhere.status == filled.status == order_pb2.TRADE_STATUS_FILLED
