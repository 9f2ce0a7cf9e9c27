"""What becomes of a customer's stops: the same whoever waits for their price, exchange or house.

The book of a scene offers 100 at $20 and bids for 100 at $18.
"""

from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from tests.e2e.changing import Replaces
from tests.e2e.test_resting import CASH, CENT, FILLED, GTC, SHARES, STOP
from tests.support.app import BUY, SELL
from tests.support.wait import until

DOLLARS = CASH // CENT


async def calm(scene: Replaces) -> None:
    """The last price is $18.90, whatever it was."""
    await scene.others(is_bid=True, cents=1890, quantity=1)
    await scene.others(is_bid=False, cents=1890, quantity=1)


async def waits_to_sell(scene: Replaces, quantity: int) -> str:
    """A stop to sell that many once a trade is at $18.50 or below."""
    return await scene.place(
        SELL, quantity, order_type=STOP, stop_price_micros=1850 * CENT, time_in_force=GTC
    )


async def sells_once_its_price_trades(scene: Replaces, *, by_house: bool) -> None:
    """It waits for a trade, whatever is bid, with its shares held."""
    await calm(scene)
    trade_id = await waits_to_sell(scene, 30)
    assert (await scene.app.get(trade_id)).held_by_house is by_house
    await scene.others(is_bid=True, cents=1950, quantity=5)
    assert await scene.status(trade_id) == order_pb2.TRADE_STATUS_IN_PROGRESS
    position = (await scene.app.portfolio()).positions[0]
    assert (position.quantity, position.held_quantity) == (SHARES, 30)

    await scene.others(is_bid=False, cents=1800, quantity=10)  # trades at 19.50 and at 18.00

    trade = await scene.end(trade_id)
    assert (trade.status, trade.filled_quantity) == (FILLED, 30)
    assert trade.filled_notional_micros == 30 * 1800 * CENT
    assert not trade.held_by_house


async def is_replaced_and_holds_what_it_may_cost(scene: Replaces) -> None:
    """Up and down, not without the funds; and what it may cost then is enough."""
    await calm(scene)
    trade_id = await scene.place(
        BUY, 10, order_type=STOP, stop_price_micros=1900 * CENT, time_in_force=GTC
    )
    assert await scene.cash() == (DOLLARS, 20_900)
    for asked, held in (
        ({"quantity": 20}, 41_800),
        ({"stop_price_micros": 1950 * CENT}, 42_900),
        ({"quantity": 12, "stop_price_micros": 1900 * CENT}, 25_080),
        ({"quantity": 15}, 31_350),
    ):
        event = await scene.replace(trade_id, **asked)
        assert event.kind == Kind.TRADE_EVENT_KIND_REPLACED
        assert await scene.cash() == (DOLLARS, held)
    event = await scene.replace(trade_id, quantity=1_000_000)
    assert event.refusal == Reason.REASON_INSUFFICIENT_FUNDS
    assert await scene.cash() == (DOLLARS, 31_350)

    await scene.others(is_bid=False, cents=1900, quantity=1)
    await scene.others(is_bid=True, cents=1900, quantity=1)

    trade = await scene.end(trade_id)
    assert (trade.status, trade.filled_quantity) == (FILLED, 15)
    spent = trade.filled_notional_micros // CENT
    assert 20_900 < spent == 15 * 2000, "more than it was first allowed"

    async def is_free() -> bool:
        return await scene.cash() == (DOLLARS - spent, 0)

    await until(is_free)
