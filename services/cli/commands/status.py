"""`status`: what runs, and how it stands."""

import socket
from typing import TYPE_CHECKING, Any

import typer

from services.cli.failures import ExitCode, Failure
from services.cli.house_file import read_house
from services.cli.options import AsJson
from services.cli.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from services.cli.neighbours import Door

_SECONDS = 2.0
_ASKED = ("session", "worker", "market")


def status(as_json: AsJson = False) -> None:
    """How the house stands.

    Health of every service and part, the session with the exchange, the workers, the market.

    Ends with 0 when all is well and with 4 when something does not answer.
    """
    from libs.probe import probe
    from services.cli.screen import show_json

    house = read_house(settings())
    found: dict[str, Any] = {
        "services": [
            {
                "name": name,
                "address": address,
                "health": probe(address, timeout_seconds=_SECONDS) or "SERVING",
            }
            for name, address in house.services.items()
        ],
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
    from stockbroker.exchange.v1 import exchange_service_pb2 as exchange
    from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub
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
            market = ExchangeServiceStub(channel).GetMarketStatus
            return {
                "session": _ask(door, session, gateway.GetSessionRequest()),
                "worker": _ask(door, worker, execution.GetStatusRequest()),
                "market": _ask(door, market, exchange.GetMarketStatusRequest()),
            }
    except Failure as failure:
        return {what: {"failure": failure.text} for what in _ASKED}


def _ask(door: "Door", method: "Callable[..., Message]", request: "Message") -> dict[str, Any]:
    from services.cli.screen import fields_of

    try:
        return fields_of(door.call(method, request, seconds=_SECONDS, tries=1))  # type: ignore[arg-type]
    except Failure as failure:
        return {"failure": failure.text}


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
    for what in _ASKED:
        say(f"\n{what}")
        for name, value in found[what].items():
            shown = _ranges(value) if isinstance(value, list) else str(value)
            say(f"  {name:<20} {shown}")


def _ranges(numbers: list[int]) -> str:
    """Ascending numbers, for example 0-63 66."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return " ".join(f"{a}-{b}" if a != b else str(a) for a, b in ranges) or "none"
