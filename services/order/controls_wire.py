"""Controls, as the contract speaks of them."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from libs.stamps import set_moment
from services.order import refusals
from services.order.domain.controls.changing import Change
from services.order.domain.controls.checks import Check
from services.order.domain.controls.decision import Decision
from services.order.domain.controls.setting import Action, Control, Scope, Setting, Terms
from services.order.domain.previewing import Preview
from services.order.domain.trade import Trade, average_price_micros
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import control_pb2, order_service_pb2
from stockbroker.order.v1 import order_control_service_pb2 as pb


def change_from(request: pb.SetControlRequest, *, actor: str, at: datetime) -> Change:
    """A setting that is asked for. Raises Invalid."""
    return Change(
        terms=Terms(
            control=control_from(request.control),
            scope=Scope(request.scope.customer_id, request.scope.symbol),
            action=_action_from(request.action),
            limit=request.limit,
            seconds=request.seconds,
            passes_without_price=request.passes_without_price,
        ),
        effective_at=_time(request.effective_at) if request.HasField("effective_at") else at,
        actor=actor,
        reason_text=request.reason_text,
        recorded_at=at,
    )


def control_from(number: int) -> Control:
    """Raises Invalid."""
    try:
        return Control(number)
    except ValueError:
        raise refusals.invalid_request("control", "must be one of the controls") from None


def _action_from(number: int) -> Action:
    try:
        return Action(number or Action.SET)
    except ValueError:
        raise refusals.invalid_request("action", "must be SET, EXEMPT or WITHDRAW") from None


def _time(stamp: Timestamp) -> datetime:
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise refusals.invalid_request("effective_at", "must be a time") from None


def setting_to(setting: Setting) -> control_pb2.ControlSetting:
    """One entry of the history."""
    terms = setting.terms
    message = control_pb2.ControlSetting(
        version=setting.version,
        control=control_pb2.Control.ValueType(terms.control),
        scope=control_pb2.ControlScope(
            customer_id=terms.scope.customer_id, symbol=terms.scope.symbol
        ),
        action=control_pb2.ControlAction.ValueType(terms.action),
        limit=terms.limit,
        seconds=terms.seconds,
        passes_without_price=terms.passes_without_price,
        actor=setting.actor,
        reason_text=setting.reason_text,
    )
    set_moment(message.effective_at, setting.effective_at)
    set_moment(message.recorded_at, setting.recorded_at)
    return message


def check_to(check: Check) -> control_pb2.ControlCheck:
    """What one control said."""
    facts = check.facts
    message = control_pb2.ControlCheck(
        control=control_pb2.Control.ValueType(check.control),
        outcome=control_pb2.ControlOutcome.ValueType(check.outcome),
        reason=Reason.ValueType(check.reason),
        reason_text=check.text,
        observed=check.observed,
        setting=setting_to(check.setting) if check.setting else None,
        last_price_micros=facts.last_price_micros,
        other_trade_id=facts.duplicate_of or facts.crosses,
    )
    if facts.last_price_micros:
        message.last_price_age.FromMilliseconds(facts.price_age_ms)
    return message


def explained_to(trade: Trade, decision: Decision) -> order_service_pb2.ExplainTradeResponse:
    """The decision about a trade."""
    message = order_service_pb2.ExplainTradeResponse(
        trade_id=trade.trade_id,
        is_accepted=decision.failed is None,
        settings_version=decision.version,
        checks=map(check_to, decision.checks),
        held_by_house=trade.is_held_by_house,
    )
    set_moment(message.decided_at, trade.created_at)
    return message


def preview_to(preview: Preview) -> order_service_pb2.PreviewTradeResponse:
    """What would become of a trade."""
    message = order_service_pb2.PreviewTradeResponse(
        would_be_accepted=not preview.reason,
        reason=Reason.ValueType(preview.reason),
        reason_text=preview.text,
        checks=map(check_to, preview.decision.checks),
        settings_version=preview.decision.version,
        hold=order_service_pb2.PreviewTradeResponse.Hold(
            asset=preview.hold.asset,
            amount=preview.hold.amount,
            available=preview.funds.available,
        ),
    )
    if preview.estimate is not None:
        quantity, notional = preview.estimate.quantity, preview.estimate.notional_micros
        message.estimate.quantity = quantity
        message.estimate.notional_micros = notional
        message.estimate.average_price_micros = average_price_micros(quantity, notional)
    return message
