"""What is asked of a house before its figures are told."""

from collections.abc import AsyncGenerator, AsyncIterator
from io import StringIO
from unittest.mock import AsyncMock, Mock

import pytest
from rich.console import Console
from rich.progress import Progress

from bench import main, proving
from bench.judging import NotTrue
from bench.report import Row
from bench.scale import Scale
from stockbroker.ledger.v1.invariant_pb2 import GetInvariantsResponse, Invariant

_SCALE = Scale(seconds=1, rounds=1, accounts=1)


async def _look(**holds: bool) -> AsyncIterator[GetInvariantsResponse]:
    yield GetInvariantsResponse(
        invariants=[Invariant(id=name, holds=does) for name, does in holds.items()]
    )


async def _suite(scale: Scale, progress: Progress) -> AsyncGenerator[list[Row], None]:
    yield [Row(name="trades", value=9_999, unit="1/s")]


async def test_books_that_keep_every_rule_are_sound_and_others_are_named() -> None:
    await proving.rules_hold(_look(I1=True, I2=True))
    with pytest.raises(NotTrue, match="the ledger broke I2"):
        await proving.rules_hold(_look(I1=True, I2=False, I3=False), but=frozenset({"I3"}))


async def test_an_execution_that_differs_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "_COMPARE_SECONDS", 0)
    monkeypatch.setattr(proving, "ask", AsyncMock(side_effect=[(7,), (7, 1)]))
    with pytest.raises(NotTrue, match=r"of 7 executions are compared, and differ: \(7, 1\)"):
        await proving.all_compared(Mock())


async def test_no_figure_of_a_house_is_told_before_it_is_proven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown, kept = StringIO(), Mock(return_value="a file")
    monkeypatch.setattr(main, "keep", kept)
    monkeypatch.setattr(main, "prove", AsyncMock(side_effect=[NotTrue("I2"), None]))
    console = Console(file=shown, width=100)
    with pytest.raises(NotTrue):
        await main._told("trades", _suite, _SCALE, console, house=Mock())
    assert "9,999" not in shown.getvalue()
    kept.assert_not_called()
    await main._told("trades", _suite, _SCALE, console, house=Mock())
    assert "9,999" in shown.getvalue()
    kept.assert_called_once()
