"""What was looked at before a trade was let through."""

from services.order import controls_wire, refusals
from services.order.domain.asking import check_trade_id
from services.order.domain.controls.decision import explanation
from services.order.guard import Guard
from services.order.service.seeing import may_see
from services.order.store.own_orders import OwnOrders
from services.order.store.trades import Trades
