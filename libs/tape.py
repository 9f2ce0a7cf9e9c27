"""Reads a market tape, a seed and the commands after it, from CSV into the exchange's messages.

Seed columns: order_id, side (B or S), price_e4 (dollars x 10,000), qty. Command columns: those, t
(seconds after midnight, any decimals) and cmd (NEW, IOC, REDUCE, CANCEL or DELETE). Others are
ignored. Ids are letters and digits, at most 12; as a number each is itself read in base 36.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeVar

from stockbroker.exchange.v1.exchange_control_service_pb2 import (
    PlayTapeRequest,
    RestingOrder,
    TapeCommand,
)

Item = TypeVar("Item")

_ID_BASE = 36
_ID_LENGTH = 12
_E4_MICROS = 100
_KINDS = {
    "NEW": TapeCommand.KIND_NEW,
    "IOC": TapeCommand.KIND_IOC,
    "REDUCE": TapeCommand.KIND_REDUCE,
    "CANCEL": TapeCommand.KIND_DELETE,
    "DELETE": TapeCommand.KIND_DELETE,
}


def read_seed(path: Path) -> list[RestingOrder]:
    """The resting orders of a seed file. Raises ValueError naming the line at fault."""
    return list(_read(path, _order_from))


def read_commands(path: Path) -> Iterator[TapeCommand]:
    """The commands of a tape, in order. Raises ValueError naming the line at fault."""
    return _read(path, _command_from)


def requests(
    commands: Iterable[TapeCommand], *, symbol: str, speed_millis: int, size: int = 200
) -> Iterator[PlayTapeRequest]:
    """The messages of one PlayTape call, `size` commands each."""
    rest = iter(commands)
    request = PlayTapeRequest(symbol=symbol, speed_millis=speed_millis)
    while True:
        request.commands.extend(islice(rest, size))
        if not request.commands and not request.symbol:
            return
        yield request
        request = PlayTapeRequest()


def order_id_from(text: str) -> int:
    """The number of an id, for example SA5859400."""
    if not (text.isascii() and text.isalnum() and len(text) <= _ID_LENGTH):
        raise ValueError(f"{text!r} is not 1 to {_ID_LENGTH} letters and digits")
    return int(text, _ID_BASE)


def _read(path: Path, parse: Callable[[Mapping[str, str]], Item]) -> Iterator[Item]:
    with path.open(newline="") as lines:
        reader = csv.DictReader(lines)
        for row in reader:
            try:
                item = parse(row)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path.name} line {reader.line_num}: {error}") from error
            yield item


def _command_from(row: Mapping[str, str]) -> TapeCommand:
    if row["cmd"] not in _KINDS:
        raise ValueError(f"{row['cmd']!r} is no command of a tape")
    return TapeCommand(
        kind=_KINDS[row["cmd"]], order=_order_from(row), at_nanos=_nanos_from(row["t"])
    )


def _order_from(row: Mapping[str, str]) -> RestingOrder:
    if row["side"] not in ("B", "S"):
        raise ValueError(f"side {row['side']!r} is neither B nor S")
    return RestingOrder(
        order_id=order_id_from(row["order_id"]),
        is_bid=row["side"] == "B",
        quantity=int(row["qty"]),
        price_micros=int(row["price_e4"]) * _E4_MICROS,
    )


def _nanos_from(seconds: str) -> int:
    """Exact: 34200.004241176 is 34,200,004,241,176 ns."""
    whole, _, decimals = seconds.partition(".")
    return int(whole) * 10**9 + int(decimals[:9].ljust(9, "0"))
