"""A trade whose turn has come: as the order service tells it, and what is asked for it."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from services.execution.domain.trade import (
    Held,
    OrderState,
    OrderType,
    Setback,
    Side,
    Trade,
    Turn,
    hold_for,
    max_notional_micros,
)
from stockbroker.common.v1 import terms_pb2 as terms_pb
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb
from stockbroker.order.v1 import order_pb2 as trade_pb

# An enum of Python is looked up here for less than it takes to call it.
SIDES: dict[int, Side] = {side.value: side for side in Side}
_ORDER_TYPES: dict[int, OrderType] = {each.value: each for each in OrderType}
_ORDER_STATES: dict[int, OrderState] = {
    gateway_pb.ORDER_STATE_UNKNOWN: OrderState.UNKNOWN,
    gateway_pb.ORDER_STATE_PENDING: OrderState.UNANSWERED,
    gateway_pb.ORDER_STATE_ACCEPTED: OrderState.ACCEPTED,
    gateway_pb.ORDER_STATE_DONE: OrderState.DONE,
}
_DAY = 86_400


def name_of(reason: int) -> str:
    """A reason in words, also one this version does not know."""
    known = Reason.ValueType(reason)
    return Reason.Name(known) if reason in Reason.values() else f"reason {reason}"


def trade_from(claimed: order_pb.ClaimedTrade) -> Trade:
    """A trade taken up."""
    return trade_of(claimed, attempts=claimed.attempts)


def cancel_from(claimed: order_pb.ClaimedCancel) -> Trade:
    """A trade to be canceled."""
    cancel_id = str(claimed.asked_at.ToNanoseconds())
    return replace(trade_of(claimed, attempts=1), cancel_id=cancel_id)


def parked_from(parked: order_pb.ParkedTrade) -> Trade:
    """A parked trade."""
    return trade_of(parked, attempts=1)


def trade_of(
    claimed: order_pb.ClaimedTrade
    | order_pb.ClaimedCancel
    | order_pb.ClaimedReplace
    | order_pb.ParkedTrade,
    *,
    attempts: int,
) -> Trade:
    """The trade of what was taken up."""
    trade = claimed.trade
    return Trade(
        trade_id=trade.trade_id,
        customer_id=trade.customer_id,
        partition=claimed.partition,
        epoch=claimed.epoch,
        attempts=attempts,
        is_to_be_canceled=trade.status == trade_pb.TRADE_STATUS_PENDING_CANCEL,
        is_at_exchange=bool(trade.exchange_order_id or trade.filled_quantity),
        symbol=trade.symbol,
        side=SIDES[trade.side],
        quantity=trade.quantity,
        order_type=_ORDER_TYPES[trade.order_type],
        limit_price_micros=trade.limit_price_micros,
        stop_price_micros=trade.stop_price_micros,
        time_in_force=trade.time_in_force,
        placed_on=trade.created_at.seconds // _DAY,
    )


def claims_to(epochs: Mapping[int, int], turns: Iterable[Turn]) -> order_pb.ClaimTradesRequest:
    """Customers to take trades up for, by partition; those of other partitions are left out."""
    request = order_pb.ClaimTradesRequest()
    claims = {}
    for partition, epoch in epochs.items():
        grant = order_pb.PartitionGrant(partition=partition, epoch=epoch)
        claims[partition] = request.claims.add(grant=grant)
    for turn in turns:
        claim = claims.get(turn.partition)
        if claim is not None:
            ids = claim.halted_customer_ids if turn.is_halted else claim.customer_ids
            ids.append(turn.customer_id)
    return request


def holds_to(trades: Iterable[Trade]) -> ledger_pb.PlaceHoldsRequest:
    """What to set aside."""
    request = ledger_pb.PlaceHoldsRequest(is_brief=True)
    add = request.holds.add
    for trade in trades:
        asset, amount = hold_for(trade)
        add(hold_id=trade.trade_id, customer_id=trade.customer_id, asset=asset, amount=amount)
    return request


def orders_to(orders: Iterable[tuple[Trade, Held]]) -> gateway_pb.SubmitOrdersRequest:
    """Orders for the exchange; each is made in its place, a copy would cost as much."""
    request = gateway_pb.SubmitOrdersRequest(is_brief=True)
    add = request.orders.add
    for trade, held in orders:
        add(
            trade_id=trade.trade_id,
            customer_id=trade.customer_id,
            partition=trade.partition,
            epoch=trade.epoch,
            symbol=trade.symbol,
            side=terms_pb.Side.ValueType(trade.side),
            quantity=trade.quantity,
            order_type=terms_pb.OrderType.ValueType(trade.order_type),
            limit_price_micros=trade.limit_price_micros,
            stop_price_micros=trade.stop_price_micros,
            time_in_force=terms_pb.TimeInForce.ValueType(trade.time_in_force),
            max_notional_micros=max_notional_micros(trade, held),
            placed_on=trade.placed_on,
        )
    return request


def cancel_to(trade: Trade) -> gateway_pb.Cancel:
    """A cancel for the exchange."""
    return gateway_pb.Cancel(
        trade_id=trade.trade_id,
        customer_id=trade.customer_id,
        partition=trade.partition,
        epoch=trade.epoch,
        symbol=trade.symbol,
        side=terms_pb.Side.ValueType(trade.side),
        quantity=trade.quantity,
    )


def order_state_of(order: gateway_pb.OrderStatus) -> OrderState:
    """Where an order stands."""
    return _ORDER_STATES.get(order.state, OrderState.UNANSWERED)


def faults_to(setbacks: Iterable[Setback], *, park_after: int) -> order_pb.RecordFaultsRequest:
    """Attempts that failed."""
    request = order_pb.RecordFaultsRequest(park_after=park_after)
    for setback in setbacks:
        fault = request.faults.add(
            customer_id=setback.customer_id,
            trade_id=setback.trade_id,
            fault_text=setback.fault_text,
            attempt=setback.attempt,
        )
        fault.grant.partition = setback.partition
        fault.grant.epoch = setback.epoch
    return request
