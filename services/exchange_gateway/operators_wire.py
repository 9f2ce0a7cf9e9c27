"""Contract and domain of what operators do, one into the other."""

import re

from google.protobuf.timestamp_pb2 import Timestamp

from libs.refusals import Invalid
from libs.stamps import nanos_of
from services.exchange_gateway import wire
from services.exchange_gateway.domain import TRADE_ID, Kind
from services.exchange_gateway.domain.operators import Outcome
from services.exchange_gateway.session.unanswered import Heard
from services.exchange_gateway.store.comparison import KeptBreak
from services.exchange_gateway.store.operators import Recorded, Unanswered
from services.exchange_gateway.store.parked import ParkedReport
from stockbroker.common.v1 import terms_pb2
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import operators_pb2 as pb

_MOST = 1000
_USUAL = 200
_MOST_WORDS = 200
_MOST_EVIDENCE = 1000
_MAX = 2**53
_EXECUTION_ID = re.compile(r"[!-~]{1,128}")  # as the books take it
_ENDS = {
    pb.ResolveOrderRequest.Ended.KIND_REJECTED: Kind.REJECTED,
    pb.ResolveOrderRequest.Ended.KIND_CANCELED: Kind.CANCELED,
    pb.ResolveOrderRequest.Ended.KIND_EXPIRED: Kind.EXPIRED,
}


def page_from(after: int, limit: int) -> tuple[int, int]:
    """Where a page begins and how long it is at most. Raises Invalid."""
    if after < 0:
        raise invalid("after_seq", "where a page begins is not negative")
    if not 0 <= limit <= _MOST:
        raise Invalid(
            Reason.REASON_INVALID_PAGE_SIZE, f"limit is not within 0 and {_MOST}", field="limit"
        )
    return after, limit or _USUAL


def reason_text_from(text: str) -> str:
    """Why an operator does it. Raises Invalid."""
    return _words_from("reason_text", text, most=_MOST_WORDS)


def evidence_from(text: str) -> str:
    """What proves it. Raises Invalid."""
    return _words_from("evidence", text, most=_MOST_EVIDENCE)


def despite_from(text: str) -> str:
    """Why it is done although the exchange answers; may be empty. Raises Invalid."""
    return _words_from("despite_exchange", text, most=_MOST_WORDS) if text else ""


def trade_id_from(text: str) -> str:
    """A trade's id. Raises Invalid."""
    if not TRADE_ID.fullmatch(text):
        words = "a trade id is a UUID in lower case"
        raise Invalid(Reason.REASON_INVALID_ID, words, field="trade_id")
    return text


def report_seq_from(seq: int) -> int:
    """A report's number. Raises Invalid."""
    if seq < 1:
        raise invalid("report_seq", "report_seq is not at least 1")
    return seq


def outcome_from(request: pb.ResolveOrderRequest) -> Outcome:
    """What became of an order. Raises Invalid."""
    which = request.WhichOneof("outcome")
    if which == "not_known":
        return Outcome(Kind.REJECTED, is_unknown=True)
    if which == "filled":
        return _fill_from(request.filled)
    if which == "ended" and request.ended.kind in _ENDS:
        return Outcome(_ENDS[request.ended.kind])
    raise invalid("outcome", "what became of the order is not said")


def _fill_from(filled: pb.ResolveOrderRequest.Filled) -> Outcome:
    if not _EXECUTION_ID.fullmatch(filled.execution_id):
        raise invalid("execution_id", "execution_id is not 1 to 128 printable characters")
    if not 1 <= filled.quantity <= _MAX:
        words = f"quantity is not within 1 and {_MAX}"
        raise Invalid(Reason.REASON_INVALID_QUANTITY, words, field="quantity")
    if not 1 <= filled.price_micros <= _MAX:
        words = f"price_micros is not within 1 and {_MAX}"
        raise Invalid(Reason.REASON_INVALID_PRICE, words, field="price_micros")
    if not filled.HasField("executed_at") or filled.executed_at.seconds < 1:
        raise invalid("executed_at", "when the exchange executed it is not said")
    try:
        executed_at_nanos = nanos_of(filled.executed_at)
    except ValueError as error:
        raise invalid("executed_at", f"executed_at is no time: {error}") from None
    return Outcome(
        Kind.FILLED,
        execution_id=filled.execution_id,
        quantity=filled.quantity,
        price_micros=filled.price_micros,
        executed_at_nanos=executed_at_nanos,
    )


def unanswered_to(order: Unanswered, heard: Heard | None) -> pb.UnansweredOrder:
    """An order without an answer."""
    message = pb.UnansweredOrder(
        trade_id=order.trade_id,
        customer_id=order.customer_id,
        symbol=order.symbol,
        side=terms_pb2.Side.ValueType(order.side),
        quantity=order.quantity,
        command_seq=order.command_seq,
        age_seconds=order.age_seconds,
        heard=heard.words if heard else "",
    )
    message.created_at.FromDatetime(order.created_at)
    if heard is not None:
        message.asked_at.FromDatetime(heard.at)
    return message


def parked_to(parked: ParkedReport) -> pb.ParkedReport:
    """A parked report, readable."""
    said = parked.report
    message = pb.ParkedReport(
        report_seq=parked.seq,
        state=pb.ParkedReport.State.ValueType(parked.state),
        breach=parked.breach,
        detail=parked.detail,
        kind=said.kind.name,
        trade_id=said.trade_id,
        customer_id=parked.customer_id,
        symbol=said.symbol,
        side=terms_pb2.Side.ValueType(said.side if said.side in (1, 2) else 0),
        quantity=said.quantity,
        price_micros=said.price_micros,
        execution_id=said.execution_id,
        exchange_order_id=said.exchange_order_id,
        reason=wire.reason_to(said.reason),
        reason_text=said.reason_text,
        age_seconds=parked.age_seconds,
        author=parked.author,
    )
    if said.executed_at_nanos:
        message.executed_at.CopyFrom(_moment_to(said.executed_at_nanos))
    message.received_at.FromDatetime(parked.received_at)
    return message


def break_to(kept: KeptBreak) -> pb.OrderBreak:
    """A difference with the venue."""
    message = pb.OrderBreak(
        id=kept.id,
        trade_id=kept.trade_id,
        kind=kept.kind,
        detail=kept.detail,
        state=pb.OrderBreak.State.ValueType(kept.state),
        age_seconds=kept.age_seconds,
    )
    message.found_at.FromDatetime(kept.found_at)
    return message


def action_to(action: Recorded) -> pb.OperatorAction:
    """Something an operator did."""
    message = pb.OperatorAction(
        id=action.id,
        actor=action.actor,
        action=action.action,
        trade_id=action.trade_id,
        report_seq=action.report_seq,
        reason_text=action.reason_text,
        evidence=action.evidence,
        detail=action.detail,
    )
    message.done_at.FromDatetime(action.done_at)
    return message


def invalid(field: str, text: str) -> Invalid:
    """A request that breaks the contract in one field."""
    return Invalid(Reason.REASON_INVALID_REQUEST, text, field=field)


def _words_from(field: str, text: str, *, most: int) -> str:
    words = text.strip()
    if not words or len(words) > most or "\0" in words:
        raise invalid(field, f"{field} is not 1 to {most} characters")
    return words


def _moment_to(nanos: int) -> Timestamp:
    moment = Timestamp()
    moment.FromNanoseconds(nanos)
    return moment
