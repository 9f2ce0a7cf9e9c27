"""PlaceTrade, over a real channel, on a real database."""

from stockbroker.common.v1.terms_pb2 import OrderType, Side, TimeInForce
from stockbroker.order.v1.order_pb2 import TradeStatus
from tests.order.client import Order


async def test_a_trade_is_recorded_as_placed(order: Order) -> None:
    trade = await order.place("alice", client_order_id="mine-1")

    assert trade.status == TradeStatus.TRADE_STATUS_PLACED
    assert (trade.customer_id, trade.client_order_id) == ("alice", "mine-1")
    assert (trade.symbol, trade.side, trade.quantity) == ("AAPL", Side.SIDE_BUY, 100)
    assert trade.order_type == OrderType.ORDER_TYPE_MARKET
    assert trade.time_in_force == TimeInForce.TIME_IN_FORCE_DAY
    assert trade.seq == 1
    assert await order.get("alice", trade.trade_id) == trade
