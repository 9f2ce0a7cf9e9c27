"""What was owned at any time: as the ledger knew it then, and as it was in the world."""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from stockbroker.ledger.v1 import portfolio_service_pb2 as portfolio_pb
from stockbroker.ledger.v1 import posting_pb2
from tests.ledger.desk import USD, Desk, a_fill, a_hold, new_id
from tests.ledger.test_access import refusal
from tests.ledger.test_transfers import a_leg, a_transfer
from tests.support.keys import bearer

DAY = timedelta(days=1)


def at(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


class Traveller:
    """Asks for alice's books at other times."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._alice = bearer(desk.keys.customer("alice"))
        self._operator = bearer(desk.keys.operator())

    async def recorded(self) -> list[datetime]:
        """When each transfer was recorded."""
        rows = await self._desk.rows(
            "SELECT recorded_at FROM transfer t"
            " JOIN batch b ON t.seq BETWEEN b.first_seq AND b.last_seq ORDER BY t.seq"
        )
        return [row[0] for row in rows]

    async def cash(self, **times: datetime) -> tuple[int, int, int]:
        """Total, held and version."""
        request = posting_pb2.GetBalanceRequest(
            account="customer/alice", asset="USD", **stamped(times)
        )
        balance = (await self._desk.ledger.GetBalance(request, metadata=self._operator)).balance
        portfolio = await self.portfolio(**times)
        assert portfolio.cash.total_micros == balance.posted
        assert portfolio.cash.held_micros == balance.held
        return balance.posted, balance.held, balance.version

    async def portfolio(self, **times: datetime) -> portfolio_pb.GetPortfolioResponse:
        request = portfolio_pb.GetPortfolioRequest(**stamped(times))
        return await self._desk.portfolio.GetPortfolio(request, metadata=self._alice)

    async def entries(
        self, size: int = 0, token: str = "", **times: datetime
    ) -> portfolio_pb.ListEntriesResponse:
        request = portfolio_pb.ListEntriesRequest(
            page_size=size, page_token=token, **stamped(times)
        )
        return await self._desk.portfolio.ListEntries(request, metadata=self._alice)


def stamped(times: dict[str, datetime]) -> dict[str, Any]:
    return {name: at(time) for name, time in times.items()}


async def test_the_books_are_told_as_they_were_known_at_any_time(desk: Desk) -> None:
    """Every version of the account, at the moment it was recorded and a microsecond before."""
    await desk.deposit(100 * USD)
    trade = new_id()
    await desk.hold(a_hold(trade=trade, amount=60 * USD))
    await desk.post(a_fill(trade, quantity=2, price=10 * USD))
    await desk.post(a_fill(trade, quantity=1, price=10 * USD, last=True))
    await desk.deposit(5 * USD)
    traveller = Traveller(desk)
    expected = [
        (0, 0, 0),
        (100, 0, 1),
        (100, 60, 2),
        (80, 40, 3),
        (70, 0, 4),
        (75, 0, 5),
    ]
    times = await traveller.recorded()
    for time, before, after in zip(times, expected[:-1], expected[1:], strict=True):
        for known_at, (posted, held, version) in (
            (time - timedelta(microseconds=1), before),
            (time, after),
        ):
            figures = (posted * USD, held * USD, version)
            assert await traveller.cash(known_at=known_at) == figures
            assert await traveller.cash(as_of=known_at) == figures  # all was effective at once
    portfolio = await traveller.portfolio(known_at=times[2])
    assert [(p.symbol, p.quantity, p.cost_micros) for p in portfolio.positions] == [
        ("AAPL", 2, 20 * USD)
    ]
    assert (await traveller.portfolio(known_at=times[0])).positions == []
    assert await traveller.cash(known_at=times[0] - DAY) == (0, 0, 0)
    assert await traveller.cash(known_at=times[-1] + 400 * DAY) == (75 * USD, 0, 5)


async def test_what_is_recorded_late_counts_from_when_it_was_effective(desk: Desk) -> None:
    now = datetime.now(UTC)
    for amount, age in ((100, 0), (7, 10), (-30, 5)):
        source, target = ("house/fees", "customer/alice")[:: 1 if amount > 0 else -1]
        transfer = a_transfer(a_leg(source, target, abs(amount)))
        if age:
            transfer.effective_at.FromDatetime(now - age * DAY)
        await desk.transfer(transfer)
    traveller = Traveller(desk)
    times = await traveller.recorded()

    async def cash(**times: datetime) -> int:
        request = posting_pb2.GetBalanceRequest(
            account="customer/alice", asset="USD", **stamped(times)
        )
        answer = await desk.ledger.GetBalance(request, metadata=bearer(desk.keys.operator()))
        return answer.balance.posted

    assert await cash(as_of=now - 11 * DAY) == 0
    assert await cash(as_of=now - 10 * DAY) == 7
    assert await cash(as_of=now - 4 * DAY) == -23  # in the world's order it was below zero
    assert await cash(as_of=now + DAY) == 77
    assert await cash() == 77
    # As it was then, and as was known then.
    assert await cash(as_of=now - 4 * DAY, known_at=times[0]) == 0
    assert await cash(as_of=now - 4 * DAY, known_at=times[1]) == 7
    assert await cash(as_of=now + DAY, known_at=times[1]) == 107


async def test_a_figure_of_then_that_64_bits_do_not_hold_is_refused(desk: Desk) -> None:
    """What came twice was there in between only once, but that was effective later."""
    now = datetime.now(UTC)
    most = 2**63 - 1
    for source, target, age in (
        ("house/fees", "customer/alice", 2),
        ("customer/alice", "house/fees", 0),
        ("house/fees", "customer/alice", 1),
    ):
        transfer = a_transfer(a_leg(source, target, most))
        transfer.effective_at.FromDatetime(now - age * DAY)
        assert [each.reason for each in await desk.transfer(transfer)] == [0]
    traveller = Traveller(desk)
    assert await traveller.cash(as_of=now - 2 * DAY) == (most, 0, 1)
    assert (await refusal(traveller.cash(as_of=now - DAY)))[1] == "BALANCE_OVERFLOW"
    assert (await refusal(traveller.portfolio(as_of=now - DAY)))[1] == "BALANCE_OVERFLOW"
    assert await traveller.cash(as_of=now + DAY) == (most, 0, 3)


async def test_shares_and_their_cost_count_from_when_they_were_effective(desk: Desk) -> None:
    now = datetime.now(UTC)
    await desk.deposit(100 * USD)
    trade = new_id()
    await desk.hold(a_hold(trade=trade, amount=60 * USD))
    fill = a_fill(trade, quantity=2, price=10 * USD, last=True)
    fill.executed_at.FromDatetime(now - DAY)
    await desk.post(fill)
    traveller = Traveller(desk)
    portfolio = await traveller.portfolio(as_of=now - DAY)
    assert [(p.symbol, p.quantity, p.cost_micros) for p in portfolio.positions] == [
        ("AAPL", 2, 20 * USD)
    ]
    assert portfolio.cash.total_micros == -20 * USD  # the deposit was not yet
    assert (await traveller.portfolio(as_of=now - 2 * DAY)).positions == []


async def test_entries_are_listed_as_of_any_time_page_by_page(desk: Desk) -> None:
    now = datetime.now(UTC)
    for number in range(6):
        transfer = a_transfer(a_leg("house/fees", "customer/alice", number + 1))
        transfer.effective_at.FromDatetime(now - number * DAY)
        await desk.transfer(transfer)
    traveller = Traveller(desk)
    times = await traveller.recorded()
    old = now - 3 * DAY
    everything = await traveller.entries(as_of=old)
    assert [entry.amount for entry in everything.entries] == [6, 5, 4]
    assert [entry.effective_at for entry in everything.entries] == [
        at(now - age * DAY) for age in (5, 4, 3)
    ]
    page = await traveller.entries(2, as_of=old)
    assert [entry.amount for entry in page.entries] == [6, 5]
    rest = await traveller.entries(2, page.next_page_token, as_of=old)
    assert ([entry.amount for entry in rest.entries], rest.next_page_token) == ([4], "")
    known = await traveller.entries(known_at=times[1])
    assert [entry.amount for entry in known.entries] == [2, 1]
    both = await traveller.entries(as_of=old, known_at=times[3])
    assert [entry.amount for entry in both.entries] == [4]
    # A page goes on only where it began.
    assert (await refusal(traveller.entries(2, page.next_page_token)))[1] == "INVALID_PAGE_TOKEN"


async def test_a_time_that_is_none_is_refused(desk: Desk) -> None:
    request = posting_pb2.GetBalanceRequest(account="a", asset="USD")
    request.as_of.seconds = 10**15
    call = desk.ledger.GetBalance(request, metadata=bearer(desk.keys.operator()))
    assert (await refusal(call))[1] == "INVALID_REQUEST"
