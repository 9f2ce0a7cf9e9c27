"""`status`: what runs, and how it stands."""

import socket
from typing import TYPE_CHECKING, Any

import typer

from services.cli.failures import ExitCode, Failure
from services.cli.house_file import House, read_house
from services.cli.options import AsJson
from services.cli.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from services.cli.neighbours import Door

_SECONDS = 2.0
_COUNTED = 100  # trades at most: more are not asked for
# Names by which the operators' door knows them, where it is the only way in.
_BEHIND_THE_DOOR = {
    "exchange_simulator": "exchange",
    "ledger": "ledger",
    "order": "order",
    "exchange_gateway": "gateway",
    "execution": "execution",
    "reconciliation": "reconciliation",
}
_ASKED = ("session", "worker", "market")
# What an operator must do something about: words, and the command that shows it.
_WAITING = {
    "broken_invariants": ("rules of the books broken", "invariants"),
    "halts": ("halts in force", "halts"),
    "parked_trades": ("trades parked", "parked list"),
    "trades_in_doubt": ("trades in doubt", "in-doubt"),
    "parked_reports": ("reports parked", "reports parked"),
    "order_breaks": ("orders the exchange and the books tell differently", "orders breaks"),
    "execution_breaks": ("executions the records tell differently", "breaks"),
}


def status(as_json: AsJson = False) -> None:
    """How the house stands.

    Health of every service and part, the session with the exchange, a worker, the market, and what
    waits for an operator.

    Ends with 0 when all answer, whatever waits, and with 4 when something does not.
    """
    from services.cli.screen import show_json

    house = _house()
    found: dict[str, Any] = {
        "services": _ask_health(house),
        "parts": [
            {"name": name, "address": address, "is_reachable": _is_reachable(address)}
            for name, address in house.parts.items()
        ],
        **_ask_operators(),
    }
    if as_json:
        show_json(found)
    else:
        _show(found)
    if not _is_well(found):
        raise typer.Exit(ExitCode.UNREACHABLE)


def _house() -> House:
    """Of the data folder, unless the settings name a door: then what is behind that, and no more.

    Raises Failure.
    """
    chosen = settings()
    if not chosen.operators_address:
        return read_house(chosen)
    public, operators = chosen.public_address, chosen.operators_address
    return House(public=public, operators=operators, signing_key_file="")


def _ask_health(house: House) -> list[dict[str, str]]:
    """Each service's own word, heard through the operators' door where it is not told where it is.

    That is so of containers, where nobody reaches them from outside.
    """
    from libs.probe import probe

    door = house.operators
    ways: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
        name: (address, ())
        for name, address in {**house.services, **house.orders, **house.workers}.items()
    } or {name: (door, (("x-service", upstream),)) for name, upstream in _BEHIND_THE_DOOR.items()}
    return [
        {
            "name": name,
            "address": address,
            "health": probe(address, timeout_seconds=_SECONDS, metadata=metadata) or "SERVING",
        }
        for name, (address, metadata) in ways.items()
    ]


def _is_reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS).close()
    except OSError:
        return False
    return True


def _ask_operators() -> dict[str, Any]:
    """The session, the workers and the market as their services tell them, or what hindered."""
    from services.cli.neighbours import operators_door
    from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway
    from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
        ExchangeGatewayServiceStub,
    )
    from stockbroker.execution.v1 import execution_service_pb2 as execution
    from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub

    try:
        with operators_door(settings()) as door:
            channel = door.channel
            session = ExchangeGatewayServiceStub(channel).GetSession
            worker = ExecutionServiceStub(channel).GetStatus
            told = {
                "session": _ask(door, session, gateway.GetSessionRequest()),
                "worker": _ask(door, worker, execution.GetStatusRequest()),
                "market": _ask_exchange(door),
            }
            return told | {"needs_operator": _count_waiting(door, told["session"])}
    except Failure as failure:
        nothing_told = {what: {"failure": _why(failure)} for what in _ASKED}
        return nothing_told | {"needs_operator": dict.fromkeys(_WAITING)}


def _ask_exchange(door: "Door") -> dict[str, Any]:
    """The hours, and which symbols are halted."""
    from stockbroker.exchange.v1 import exchange_service_pb2 as exchange
    from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    stub = ExchangeServiceStub(door.channel)
    hours = _ask(door, stub.GetMarketStatus, exchange.GetMarketStatusRequest())
    told = _ask(door, stub.ListInstruments, exchange.ListInstrumentsRequest())
    if "failure" in told:
        return told
    halted = [one["symbol"] for one in told["instruments"] if one["is_halted"]]
    return hours | {"halted_symbols": halted}


def _count_waiting(door: "Door", session: dict[str, Any]) -> dict[str, int | None]:
    """How much waits for an operator, by what it is; None where nobody can tell."""
    from stockbroker.execution.v1 import execution_service_pb2 as execution
    from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
    from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as reconciliation
    from stockbroker.reconciliation.v1.reconciliation_service_pb2_grpc import (
        ReconciliationServiceStub,
    )

    of_trades = ExecutionServiceStub(door.channel)
    of_fills = ReconciliationServiceStub(door.channel).GetReconciliation
    halts = _ask(door, of_trades.ListHalts, execution.ListHaltsRequest())
    first = {"page_size": _COUNTED}
    parked = _ask(door, of_trades.ListParkedTrades, execution.ListParkedTradesRequest(**first))
    doubts = _ask(door, of_trades.ListInDoubt, execution.ListInDoubtRequest(**first))
    breaks = _ask(door, of_fills, reconciliation.GetReconciliationRequest())
    return {
        "broken_invariants": _count_broken(door),
        "halts": _length(halts, "halts"),
        "parked_trades": _length(parked, "trades"),
        "trades_in_doubt": _length(doubts, "trades"),
        "parked_reports": _number(session, "parked_reports"),
        "order_breaks": _number(session, "order_breaks"),
        "execution_breaks": None
        if "failure" in breaks
        else sum(int(each["count"]) for each in breaks["open_breaks"]),
    }


def _count_broken(door: "Door") -> int | None:
    """By a look at the books of now."""
    from stockbroker.ledger.v1 import invariant_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    request, method = pb.GetInvariantsRequest(), LedgerServiceStub(door.channel).GetInvariants
    try:
        look = next(door.stream(method, request, seconds=_SECONDS), None)
    except Failure:
        return None
    return None if look is None else sum(not each.holds for each in look.invariants)


def _length(told: dict[str, Any], field: str) -> int | None:
    return None if "failure" in told else len(told[field])


def _number(told: dict[str, Any], field: str) -> int | None:
    return None if "failure" in told else int(told[field])


def _ask(door: "Door", method: "Callable[..., Message]", request: "Message") -> dict[str, Any]:
    from services.cli.screen import fields_of

    try:
        return fields_of(door.call(method, request, seconds=_SECONDS, tries=1))  # type: ignore[arg-type]
    except Failure as failure:
        return {"failure": _why(failure)}


def _why(failure: Failure) -> str:
    """What hindered, without the advice to ask for what is asked for here."""
    return failure.text.removesuffix("`stockbroker status` shows what runs").rstrip("; ,")


def _is_well(found: dict[str, Any]) -> bool:
    return (
        all(one["health"] == "SERVING" for one in found["services"])
        and all(one["is_reachable"] for one in found["parts"])
        and found["session"].get("is_connected", False)
        and not any("failure" in found[what] for what in _ASKED)
    )


def _show(found: dict[str, Any]) -> None:
    from services.cli.screen import say, table

    rows = [(one["name"], one["address"], one["health"]) for one in found["services"]]
    for one in found["parts"]:
        health = "answers" if one["is_reachable"] else "does not answer"
        rows.append((one["name"], one["address"], health))
    table(("what", "address", "health"), rows, nothing="nothing runs")
    say("")
    failures = {found[what].get("failure") for what in _ASKED}
    if len(failures) == 1 and None not in failures:
        say(f"{failures.pop()}; what waits for an operator is not known")
        return
    for what, words_of in (("session", _session), ("worker", _worker), ("market", _market)):
        told = found[what]
        lines = [told["failure"]] if "failure" in told else words_of(told)
        for number, line in enumerate(lines):
            say(f"{'' if number else what:<8} {line}")
    _show_waiting(found["needs_operator"])


def _session(told: dict[str, Any]) -> list[str]:
    if told["is_connected"]:
        lines = [
            f"with the exchange, as {told['session_id']}, since {_time(told.get('changed_at'))}"
        ]
    else:
        lines = [f"NOT connected to the exchange, since {_time(told.get('changed_at'))}"]
    if told["trouble"]:
        lines.append(
            f"TROUBLE: {told['trouble']}; by the exchange the next command is"
            f" {told['exchange_next_command_seq']}, its next report"
            f" {told['exchange_next_report_seq']}: see `stockbroker orders reset-session --help`"
        )
    counts = (
        ("pending_orders", "orders without an answer"),
        ("unapplied_reports", "reports not applied"),
        ("waiting_reports", "of them to be tried again"),
        ("held_stops", "stops held"),
    )
    lines.append(", ".join(f"{told[field]} {words}" for field, words in counts))
    return lines


def _worker(told: dict[str, Any]) -> list[str]:
    lines = [
        f"{told['worker']}, up since {_time(told.get('started_at'))},"
        f" leads partitions {_ranges(told['leads'])}",
        f"{told['in_flight']} trades in hand, {told['claimed']} taken up,"
        f" {told['reports_applied']} reports booked",
    ]
    if not told["is_broker_connected"]:
        lines.append("WITHOUT the message broker: trades are found by looking, four times a second")
    return lines


def _market(told: dict[str, Any]) -> list[str]:
    how = "open" if told["is_open"] else "CLOSED"
    if told["is_open"] and told["is_always_open"]:
        how = "always open"
    elif told["is_open"] and "closes_at" in told:
        how = f"open until {_time(told['closes_at'])}"
    elif "opens_at" in told:
        how = f"CLOSED, opens {_time(told['opens_at'])}"
    lines = [f"{how}; at the exchange it is {_time(told.get('now'))}"]
    if told["halted_symbols"]:
        lines.append(f"HALTED there: {' '.join(told['halted_symbols'])}")
    return lines


def _time(told: str | None) -> str:
    """A time of the contracts' JSON, to the second."""
    return f"{told[:19].replace('T', ' ')} UTC" if told else "an unknown time"


def _show_waiting(counts: dict[str, int | None]) -> None:
    from services.cli.screen import say

    waiting = {what: count for what, count in counts.items() if count != 0}
    say("an operator is needed for" if waiting else "no operator is needed")
    for what, count in waiting.items():
        words, command = _WAITING[what]
        say(f"  {words}: {_how_many(what, count)}, see `stockbroker {command}`")


def _how_many(what: str, count: int | None) -> str:
    if count is None:
        return "not known"
    return f"{count} or more" if "trades" in what and count == _COUNTED else str(count)


def _ranges(numbers: list[int]) -> str:
    """Ascending numbers, for example 0-63 66."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return " ".join(f"{a}-{b}" if a != b else str(a) for a, b in ranges) or "none"
