"""Contract <-> domain."""

from collections.abc import Iterable, Mapping, Sequence

from libs.stamps import set_nanos
from services.execution.amend_wire import amended_from, amendment_to
from services.execution.domain.booking import APPLIED, Booking
from services.execution.domain.replacing import saved_by
from services.execution.domain.report import (
    Accepted,
    Amended,
    CancelRejected,
    Ended,
    EndKind,
    Fill,
    News,
    Replaced,
    ReplaceRejected,
    Report,
)
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
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb
from stockbroker.order.v1 import order_pb2 as trade_pb

_NANOS = 1_000_000_000
# An enum of Python is looked up here for less than it takes to call it.
_SIDES: dict[int, Side] = {side.value: side for side in Side}
_ORDER_TYPES: dict[int, OrderType] = {each.value: each for each in OrderType}
_END_KINDS: dict[int, EndKind] = {kind.value: kind for kind in EndKind}
_ORDER_STATES: dict[int, OrderState] = {
    gateway_pb.ORDER_STATE_UNKNOWN: OrderState.UNKNOWN,
    gateway_pb.ORDER_STATE_PENDING: OrderState.UNANSWERED,
    gateway_pb.ORDER_STATE_ACCEPTED: OrderState.ACCEPTED,
    gateway_pb.ORDER_STATE_DONE: OrderState.DONE,
}
_HOUSE_WORDS = {
    Reason.REASON_INSUFFICIENT_FUNDS: "the available cash does not cover the trade",
    Reason.REASON_INSUFFICIENT_SHARES: "there are not that many available shares",
    Reason.REASON_ACCOUNT_NOT_OPEN: "an account of the trade is frozen or closed",
}


def name_of(reason: int) -> str:
    """A reason in words, also one this version does not know."""
    known = Reason.ValueType(reason)
    return Reason.Name(known) if reason in Reason.values() else f"reason {reason}"


def trade_from(claimed: order_pb.ClaimedTrade) -> Trade:
    """A trade taken up."""
    return trade_of(claimed, attempts=claimed.attempts)


def cancel_from(claimed: order_pb.ClaimedCancel) -> Trade:
    """A trade to be canceled."""
    return trade_of(claimed, attempts=1)


def trade_of(
    claimed: order_pb.ClaimedTrade | order_pb.ClaimedCancel | order_pb.ClaimedReplace,
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
        side=_SIDES[trade.side],
        quantity=trade.quantity,
        order_type=_ORDER_TYPES[trade.order_type],
        limit_price_micros=trade.limit_price_micros,
        stop_price_micros=trade.stop_price_micros,
        time_in_force=trade.time_in_force,
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


def rejection_to(trade: Trade, held: Held) -> order_pb.Outcome:
    """The house refuses the trade."""
    outcome = order_pb.Outcome(trade_id=trade.trade_id)
    reason = Reason.ValueType(held.reason)
    outcome.rejected.reason = reason
    outcome.rejected.reason_text = _HOUSE_WORDS.get(reason, "the house's books do not allow it")
    outcome.rejected.cause = "house"
    return outcome


def end_by_operator_to(trade_id: str) -> order_pb.Outcome:
    """An operator ends a trade that was never sent."""
    outcome = order_pb.Outcome(trade_id=trade_id)
    outcome.rejected.reason = Reason.REASON_CANCELED_BY_OPERATOR
    outcome.rejected.reason_text = "the house could not execute it and ended it"
    outcome.rejected.cause = "operator"
    return outcome


def acceptance_to(order: gateway_pb.OrderStatus) -> order_pb.Outcome:
    """The exchange has the order."""
    outcome = order_pb.Outcome(trade_id=order.trade_id)
    outcome.accepted.exchange_order_id = order.exchange_order_id
    return outcome


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
        )
        fault.grant.partition = setback.partition
        fault.grant.epoch = setback.epoch
    return request


def cancellation_to(trade: Trade) -> order_pb.Outcome:
    """The trade has ended before it was sent; who asked for that the order service knows."""
    outcome = order_pb.Outcome(trade_id=trade.trade_id)
    outcome.canceled.reason = Reason.REASON_CANCELED_BY_CUSTOMER
    return outcome


def doubt_to(trade_id: str, reason_text: str) -> order_pb.Outcome:
    """The order was sent and nobody says what became of it."""
    outcome = order_pb.Outcome(trade_id=trade_id)
    outcome.in_doubt.reason_text = reason_text
    return outcome


def report_from(report: pb.Report) -> Report:
    """What the exchange said."""
    news: News | None = None
    match report.WhichOneof("report"):
        case "accepted":
            news = Accepted(report.accepted.exchange_order_id)
        case "filled":
            filled = report.filled
            executed_at = filled.executed_at
            news = Fill(
                filled.execution_id,
                filled.quantity,
                filled.price_micros,
                executed_at.seconds * _NANOS + executed_at.nanos,
                filled.is_last,
                filled.limit_price_micros,
            )
        case "ended" if report.ended.kind in _END_KINDS:
            ended = report.ended
            news = Ended(_END_KINDS[ended.kind], ended.reason, ended.reason_text)
        case "cancel_rejected":
            news = CancelRejected(report.cancel_rejected.reason)
        case "replaced":
            done = report.replaced
            news = Replaced(done.replace_id, done.quantity, done.filled_quantity)
        case "busted" | "corrected":
            news = amended_from(report)
        case "replace_rejected":
            refused = report.replace_rejected
            news = ReplaceRejected(refused.replace_id, refused.reason)
    return Report(
        report.report_seq,
        report.trade_id,
        report.customer_id,
        _SIDES.get(report.side),
        report.symbol,
        report.venue,
        news,
    )


def applied_to(
    request: pb.ApplyReportsRequest, bookings: Sequence[Booking]
) -> pb.ApplyReportsResponse:
    """What was done with reports."""
    if request.is_brief and all(booking is APPLIED for booking in bookings):
        return pb.ApplyReportsResponse(all_applied=True)
    response = pb.ApplyReportsResponse()
    for report, booking in zip(request.reports, bookings, strict=True):
        response.results.add(
            report_seq=report.report_seq,
            code=pb.ReportResult.Code.ValueType(booking.code),
            detail=booking.detail,
        )
    return response


def postings_to(fills: Iterable[tuple[Report, Fill]]) -> ledger_pb.PostExecutionsRequest:
    """Fills for the ledger."""
    request = ledger_pb.PostExecutionsRequest(is_brief=True)
    add = request.executions.add
    for report, fill in fills:
        assert report.side is not None
        posting = add(
            execution_id=fill.execution_id,
            venue=report.venue,
            trade_id=report.trade_id,
            customer_id=report.customer_id,
            side=terms_pb.Side.ValueType(report.side),
            symbol=report.symbol,
            quantity=fill.quantity,
            price_micros=fill.price_micros,
            releases_rest=fill.is_last,
        )
        set_nanos(posting.executed_at, fill.executed_at_nanos)
        if fill.limit_price_micros:
            posting.released_micros = saved_by(
                side=report.side,
                limit_price_micros=fill.limit_price_micros,
                price_micros=fill.price_micros,
                quantity=fill.quantity,
            )
    return request


def outcomes_to(reports: Iterable[Report]) -> order_pb.ApplyOutcomesRequest:
    """What the exchange said, for the order service."""
    request = order_pb.ApplyOutcomesRequest()
    add = request.outcomes.add
    for report in reports:
        outcome, news = add(trade_id=report.trade_id), report.news
        if isinstance(news, Accepted):
            outcome.accepted.exchange_order_id = news.exchange_order_id
        elif isinstance(news, Fill):
            _fill(outcome.execution, report, news)
        elif isinstance(news, Amended):
            outcome.amended.CopyFrom(amendment_to(report, news))
        else:
            _tell(outcome, news)
    return request


def _tell(outcome: order_pb.Outcome, news: News | None) -> None:
    match news:
        case CancelRejected(reason):
            outcome.cancel_rejected.reason = Reason.ValueType(reason)
        case Replaced(replace_id):
            outcome.replaced.replace_id = replace_id
        case ReplaceRejected(replace_id, reason):
            outcome.replace_rejected.replace_id = replace_id
            outcome.replace_rejected.reason = Reason.ValueType(reason)
            outcome.replace_rejected.cause = "exchange"
        case Ended(EndKind.REJECTED, reason, reason_text):
            outcome.rejected.reason = Reason.ValueType(reason)
            outcome.rejected.reason_text = reason_text
            outcome.rejected.cause = "exchange"
        case Ended(kind, reason, reason_text):
            outcome.canceled.reason = Reason.ValueType(reason)
            outcome.canceled.reason_text = reason_text
            outcome.canceled.expired = kind is EndKind.EXPIRED


def _fill(execution: trade_pb.Execution, report: Report, fill: Fill) -> None:
    execution.execution_id = fill.execution_id
    execution.trade_id = report.trade_id
    execution.quantity = fill.quantity
    execution.price_micros = fill.price_micros
    execution.venue = report.venue
    set_nanos(execution.executed_at, fill.executed_at_nanos)
