"""Contract <-> domain, for operators."""

from datetime import UTC, datetime, timedelta

from libs.refusals import Invalid
from services.execution.domain.halts import Halt, HaltEvent, Scope, ScopeKind
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.order.v1 import order_pb2 as trade_pb


def scope_from(scope: pb.HaltScope) -> Scope:
    """What a halt covers. Raises Invalid."""
    match scope.WhichOneof("scope"):
        case "firm" if scope.firm:
            found = Scope(ScopeKind.FIRM)
        case "customer_id":
            found = Scope(ScopeKind.CUSTOMER, scope.customer_id)
        case "symbol":
            found = Scope(ScopeKind.SYMBOL, scope.symbol)
        case _:
            raise Invalid(
                Reason.REASON_INVALID_REQUEST,
                "scope must be the firm, one customer or one symbol",
                field="scope",
            )
    if not found.is_valid:
        reason = {
            ScopeKind.CUSTOMER: Reason.REASON_INVALID_CUSTOMER,
            ScopeKind.SYMBOL: Reason.REASON_INVALID_SYMBOL,
        }[found.kind]
        raise Invalid(reason, f"no such {found.kind.value} can exist", field="scope")
    return found


def halt_to(halt: Halt) -> pb.TradingHalt:
    """A halt in force."""
    answer = pb.TradingHalt(reason_text=halt.reason_text, actor=halt.actor)
    match halt.scope.kind:
        case ScopeKind.FIRM:
            answer.scope.firm = True
        case ScopeKind.CUSTOMER:
            answer.scope.customer_id = halt.scope.name
        case ScopeKind.SYMBOL:
            answer.scope.symbol = halt.scope.name
    answer.halted_at.FromDatetime(halt.halted_at)
    return answer


def in_doubt_to(
    trade: trade_pb.Trade, order: gateway_pb.OrderStatus | None, now: datetime
) -> pb.InDoubtTrade:
    """A trade in doubt; `order` None: the gateway does not say."""
    age = now - trade.in_doubt_since.ToDatetime(tzinfo=UTC)
    return pb.InDoubtTrade(
        trade=trade, age_ms=max(age // timedelta(milliseconds=1), 0), order=order
    )


def halt_event_to(event: HaltEvent) -> pb.HaltEvent:
    """A halt or resume that was asked for."""
    halt = halt_to(event.terms)
    action = pb.HaltEvent.ACTION_HALT if event.is_halt else pb.HaltEvent.ACTION_RESUME
    return pb.HaltEvent(
        id=event.event_id,
        action=action,
        scope=halt.scope,
        reason_text=halt.reason_text,
        actor=halt.actor,
        took_effect=event.took_effect,
        at=halt.halted_at,
    )
