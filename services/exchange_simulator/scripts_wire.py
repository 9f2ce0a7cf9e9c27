"""Contract <-> scripts."""

from collections.abc import Iterable, Sequence

from services.exchange_simulator.domain import RejectReason
from services.exchange_simulator.scripts import MOST_SCRIPTS, Outcome, Script, flaw_of_script
from services.exchange_simulator.wire import invalid
from stockbroker.exchange.v1 import exchange_pb2
from stockbroker.exchange.v1 import scripts_pb2 as pb


def scripts_from(request: pb.SetScriptsRequest) -> list[Script] | None:
    """The table that is wanted; None: the one the exchange comes with. Raises Invalid."""
    if request.is_default:
        if request.scripts:
            raise invalid("is_default", "is_default comes without scripts")
        return None
    if len(request.scripts) > MOST_SCRIPTS:
        raise invalid("scripts", f"there are more than {MOST_SCRIPTS} scripts")
    return [_script_from(message) for message in request.scripts]


def scripts_to(scripts: Sequence[Script]) -> Iterable[pb.OrderScript]:
    """A table as it is told."""
    for script in scripts:
        yield pb.OrderScript(
            symbol=script.symbol,
            quantity=script.quantity,
            outcome=pb.OrderScript.Outcome.ValueType(script.outcome),
            parts=script.parts,
            reject_reason=exchange_pb2.RejectReason.ValueType(script.reject_reason),
            reason_text=script.reason_text,
            delay_ms=script.delay_ms,
            step_ms=script.step_ms,
        )


def _script_from(message: pb.OrderScript) -> Script:
    try:
        script = Script(
            message.symbol,
            message.quantity,
            Outcome(message.outcome),
            message.parts,
            RejectReason(message.reject_reason),
            message.reason_text,
            message.delay_ms,
            message.step_ms,
        )
    except ValueError as error:
        raise invalid("scripts", str(error)) from None
    flaw = flaw_of_script(script)
    if flaw is not None:
        raise invalid(*flaw)
    return script
