"""Mistakes to plant into the house, one at a time: a simulation that finds none is blind."""

import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest import mock

from msgspec.structs import replace

import services.exchange_gateway.venues.simulator_wire as simulator_wire
import services.execution.outcome_wire as outcome_wire
import services.execution.report_wire as report_wire
import services.ledger.domain.attempt as attempt
import services.ledger.domain.deeds as deeds
import services.ledger.domain.memory as memory
import services.order.service.execution as back_office
import services.order.service.placing as placing
from libs.partition import partition_of
from libs.refusals import Unavailable
from services.exchange_gateway.domain import Order, Side
from services.exchange_gateway.session.reporting import Reporting
from services.execution.carrying import Carrying
from services.execution.domain.booking import Sheet
from services.execution.domain.report import Ended, Report
from services.execution.domain.trade import Held, Submitted, Trade
from services.execution.neighbours import Gateway
from services.execution.reports import Books
from services.execution.sweep import Sweeper
from services.ledger.domain.attempt import Attempt, CannotDo
from services.ledger.domain.operations import PlaceHold
from services.order.claiming import Claims, claim_trades
from services.order.domain.placing import check
from services.order.domain.terms import Terms
from services.order.store.queue import Partitions
from services.order.store.requests import Requests
from stockbroker.common.v1.reason_pb2 import Reason

_DIFFERENCE = 200_000  # micros


def fresh(*_: str) -> str:
    """Another id each time."""
    return str(uuid.UUID(int=random.getrandbits(128)))


@contextmanager
def no_idempotency() -> Iterator[None]:
    """Every posting of a fill has an id of its own."""
    with mock.patch.object(deeds, "derived", fresh):
        yield


@contextmanager
def timeout_taken_for_rejection() -> Iterator[None]:
    """An order the gateway did not answer for counts as refused."""
    submit, fail = Gateway.submit, Carrying.fail

    async def once(self: Gateway, orders: Sequence[tuple[Trade, Held]]) -> list[Submitted]:
        try:
            return await submit(self, orders)
        except Unavailable as error:
            raise TimeoutError from error

    async def give_up(
        self: Carrying, customer_id: str, trade: Trade | None, error: Exception
    ) -> None:
        if isinstance(error, TimeoutError) and trade is not None:
            await self.reject(trade, Held(0, Reason.REASON_EXCHANGE_REJECTED))
        else:
            await fail(self, customer_id, trade, error)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(Gateway, "submit", once))
        stack.enter_context(mock.patch.object(Carrying, "fail", give_up))
        yield


@contextmanager
def no_sweep() -> Iterator[None]:
    """Only nudges tell of trades."""

    async def nothing(_: Sweeper) -> None:
        pass

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(Sweeper, "sweep", nothing))
        stack.enter_context(mock.patch.object(Sweeper, "reap", nothing))
        yield


@contextmanager
def acknowledged_before_stored() -> Iterator[None]:
    """The exchange is told that reports are stored before they are."""
    take_in = Reporting._take_in

    async def hasty(self: Reporting, arrived: Sequence[Any]) -> None:
        heard = [report.venue_seq + self._sequence.offset for report in arrived]
        self._floor.board.stored.raise_to(max(heard, default=0) + 1)
        await take_in(self, arrived)

    with mock.patch.object(Reporting, "_take_in", hasty):
        yield


@contextmanager
def no_fence() -> Iterator[None]:
    """A claim counts under whatever epoch it is made."""

    async def trusting(
        connection: Any, epochs: Mapping[int, int], customer_ids: Any, clock: Any, **more: Any
    ) -> Claims:
        now = await (await Partitions(connection).hold(sorted(epochs))).read()
        return await claim_trades(connection, now, customer_ids, clock, **more)

    with mock.patch.object(back_office, "claim_trades", trusting):
        yield


@contextmanager
def no_fence_of_requests() -> Iterator[None]:
    """Cancels and replaces are claimed under whatever epoch."""
    claim = Requests.claim

    async def trusting(
        self: Requests, _: Sequence[str], epochs: Mapping[int, int], *, most: int
    ) -> Any:
        cursor = await self._connection.execute("SELECT DISTINCT customer_id FROM open_request")
        waiting = [customer_id for (customer_id,) in await cursor.fetchall()]
        led = [each for each in waiting if partition_of(each) in epochs]
        return await claim(self, led, epochs, most=most)

    with mock.patch.object(Requests, "claim", trusting):
        yield


@contextmanager
def applied_before_stored() -> Iterator[None]:
    """Reports are handed on first and stored afterwards."""

    async def hasty(self: Reporting, arrived: Sequence[Any]) -> None:
        first_seq = self._sequence.next_seq
        run = self._sequence.arrange(arrived)
        if run:
            await self._judge(first_seq, run)
            await self._store(first_seq, run)
            self._floor.board.stored.raise_to(self._sequence.next_seq)

    with mock.patch.object(Reporting, "_take_in", hasty):
        yield


@contextmanager
def one_share_more() -> Iterator[None]:
    """Trades are kept with a share more than was asked for, and the whole house is of one mind."""

    def generous(*asked: Any) -> Terms:
        terms = check(*asked)
        return replace(terms, quantity=terms.quantity + 1)

    with mock.patch.object(placing, "check", generous):
        yield


@contextmanager
def sold_below_the_limit() -> Iterator[None]:
    """The exchange is told another limit than the customer's, by as much as makes a difference."""
    encode = simulator_wire.order_to

    def cheap(order: Order, seq: int) -> bytes:
        limit = order.terms.limit_price_micros
        if order.terms.side == Side.SELL and limit > _DIFFERENCE:
            terms = replace(order.terms, limit_price_micros=limit - _DIFFERENCE)
            order = replace(order, terms=terms)
        return encode(order, seq)

    with mock.patch.object(simulator_wire, "order_to", cheap):
        yield


@contextmanager
def last_micro_kept_back() -> Iterator[None]:
    """Nobody may hold the last micro, or the last share, that is theirs."""
    place = Attempt._place

    def stingy(self: Attempt, hold: PlaceHold) -> int:
        account = self._books.account(hold.account)
        if account is not None and hold.amount and hold.amount == account.available:
            raise CannotDo(Reason.REASON_INSUFFICIENT_FUNDS)
        return place(self, hold)

    with mock.patch.object(Attempt, "_place", stingy):
        yield


@contextmanager
def reason_of_the_exchange_lost() -> Iterator[None]:
    """Whatever the exchange says, it refused the order."""
    read = report_wire.report_from

    def mistaken(message: Any) -> Report:
        report = read(message)
        if not isinstance(report.news, Ended):
            return report
        return replace(report, news=replace(report.news, reason=Reason.REASON_EXCHANGE_REJECTED))

    with mock.patch.object(report_wire, "report_from", mistaken):
        yield


@contextmanager
def reason_of_the_books_mixed_up() -> Iterator[None]:
    """Who lacks cash is told of shares, and the other way round."""
    tell = outcome_wire.rejection_to
    other = {
        Reason.REASON_INSUFFICIENT_FUNDS: Reason.REASON_INSUFFICIENT_SHARES,
        Reason.REASON_INSUFFICIENT_SHARES: Reason.REASON_INSUFFICIENT_FUNDS,
    }

    def mistaken(trade: Trade, held: Held) -> Any:
        return tell(trade, replace(held, reason=other.get(Reason.ValueType(held.reason), 0)))

    with mock.patch.object(outcome_wire, "rejection_to", mistaken):
        yield


@contextmanager
def chain_goes_on_from_before() -> Iterator[None]:
    """The writer forgets the hash of what it wrote, and goes on from the one before."""
    with mock.patch.object(memory, "_chained", lambda account, _: account):
        yield


@contextmanager
def sold_shares_cost_nothing() -> Iterator[None]:
    """What is left of shares costs what all of them did."""
    with mock.patch.object(attempt, "_cost_of", return_value=0):
        yield


@contextmanager
def told_before_booked() -> Iterator[None]:
    """A trade has its fill first, and the books have it afterwards."""
    book = Books._apply_run

    async def hasty(self: Books, sheet: Sheet, run: Sequence[int]) -> None:
        told = report_wire.outcomes_to([sheet.reports[index] for index in run])
        await self._neighbours.order.apply(told)
        await book(self, sheet, run)

    with mock.patch.object(Books, "_apply_run", hasty):
        yield


# By which promises each is found. A fill under a new id is booked twice, or its hold is over and it
# never is; a refused order that works is filled without its hold, or on a trade that is over, and
# what is told of it is impossible.
MISTAKES: Mapping[Callable[[], AbstractContextManager[None]], tuple[str, ...]] = {
    no_idempotency: ("I5", "I9"),
    timeout_taken_for_rejection: ("I4", "I5", "I9", "I12"),
    no_sweep: ("I9",),
    acknowledged_before_stored: ("I8",),
    no_fence: ("I7",),
    no_fence_of_requests: ("I7",),
    applied_before_stored: ("I8",),
    one_share_more: ("I20",),
    sold_below_the_limit: ("I20",),
    last_micro_kept_back: ("I21",),
    reason_of_the_exchange_lost: ("I22",),
    reason_of_the_books_mixed_up: ("I22",),
    chain_goes_on_from_before: ("I23",),
    sold_shares_cost_nothing: ("I23",),
    told_before_booked: ("I24",),
}
