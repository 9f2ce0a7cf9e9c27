"""What the operator says of fills, from the contract."""

from libs.refusals import Invalid, NotFound
from services.exchange_simulator.amending import Amendment
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_control_service_pb2 as pb

_MOST_WORDS = 200


def bust_from(request: pb.BustExecutionRequest) -> Amendment:
    """It never was. Raises Invalid."""
    return Amendment(
        _exec_id(request.exec_id), is_bust=True, reason_text=_words(request.reason_text)
    )


def correction_from(request: pb.CorrectExecutionRequest) -> Amendment:
    """It was another. Raises Invalid."""
    return Amendment(
        _exec_id(request.exec_id),
        is_bust=False,
        reason_text=_words(request.reason_text),
        quantity=request.quantity,
        price_micros=request.price_micros,
    )


def _exec_id(text: str) -> str:
    """One that a fill may have. Raises NotFound."""
    if not text.isprintable():
        raise NotFound(Reason.REASON_EXECUTION_NOT_FOUND, "no fill has that id")
    return text


def _words(text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= _MOST_WORDS or not text.isprintable():
        words = f"reason_text is not 1 to {_MOST_WORDS} printable characters"
        raise Invalid(Reason.REASON_INVALID_REQUEST, words, field="reason_text")
    return text
