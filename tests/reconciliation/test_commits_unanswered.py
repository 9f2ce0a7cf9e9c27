"""A commit whose answer is lost is no secret: what it opened and closed is told all the same."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.reconciliation.books import Books
from services.reconciliation.domain.sighting import Source
from tests.ledger.wire_cutter import WireCutter
from tests.reconciliation.scripted import Desk, MakeDesk


@pytest.fixture
async def cutter(postgres_url: str) -> AsyncIterator[WireCutter]:
    async with WireCutter(postgres_url) as cutter:
        yield cutter


@pytest.fixture
async def cut_desk(cutter: WireCutter, make_desk: MakeDesk) -> AsyncIterator[Desk]:
    """One that has run for longer than the grace, by a way to its database that can be cut."""
    desk = Desk(cutter.url)
    desk.everywhere("e-0")
    await desk.rounds_for(8)
    yield desk
    await desk.close()


@pytest.fixture
def cut_at(cutter: WireCutter, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Loses the answer to the first commit of the next such transaction."""

    def cut_at(name: str) -> None:
        whole = getattr(Books, name)

        async def cut(*asked: Any, **named: Any) -> Any:
            monkeypatch.setattr(Books, name, whole)
            cutter.cut_after_commit()
            return await whole(*asked, **named)

        monkeypatch.setattr(Books, name, cut)

    return cut_at


def told_open() -> float | None:
    """What an alarm may go by."""
    labels = {"break_class": "MISSING_AT_LEDGER"}
    return REGISTRY.get_sample_value("reconciliation_breaks_open", labels)


async def test_breaks_opened_and_closed_by_commits_without_an_answer_are_told(
    cut_desk: Desk, cutter: WireCutter, cut_at: Callable[[str], None]
) -> None:
    desk = cut_desk
    for source in (Source.VENUE, Source.GATEWAY, Source.ORDER):
        desk.sources[source].add("e-1")
    await desk.rounds_for(5)
    assert await desk.open_classes() == []
    for open_now, event, transaction in (
        (1, "break_opened", "open_due"),
        (0, "break_closed", "take"),
    ):
        with capture_logs() as log:
            cut_at(transaction)
            await desk.rounds_for(3)
        assert len(await desk.breaks()) == open_now
        assert [line["event"] for line in log].count(event) == 1
        assert told_open() == open_now
        desk.sources[Source.LEDGER].add("e-1")
    assert cutter.cuts == 2
