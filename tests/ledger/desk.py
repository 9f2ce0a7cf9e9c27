"""Calls to a ledger in the words of a trade, and looks into its tables."""

import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import grpc
import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.clock import SystemClock
from libs.ids import SystemIds
from stockbroker.common.v1.terms_pb2 import SIDE_BUY, SIDE_SELL
from stockbroker.ledger.v1 import journal_pb2, posting_pb2
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from stockbroker.ledger.v1 import portfolio_service_pb2 as portfolio_pb
from stockbroker.ledger.v1.correction_pb2 import (
    CORRECTION_KIND_BUST,
    CORRECTION_KIND_CORRECT,
    ExecutionCorrection,
)
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from stockbroker.ledger.v1.portfolio_service_pb2_grpc import PortfolioServiceStub
from tests.support.keys import Keys, bearer
from tests.support.wait import until

USD = 1_000_000
BUY, SELL = SIDE_BUY, SIDE_SELL
_ids = SystemIds(SystemClock())
_executions = itertools.count(1)


def new_id() -> str:
    return _ids.new()


def a_fill(
    trade_id: str,
    *,
    customer: str = "alice",
    side: Any = BUY,
    symbol: str = "AAPL",
    quantity: int = 10,
    price: int = 100 * USD,
    execution: str = "",
    last: bool = False,
    saved: int = 0,
) -> pb.ExecutionPosting:
    return pb.ExecutionPosting(
        execution_id=execution or f"E{next(_executions)}",
        venue="XSIM",
        trade_id=trade_id,
        customer_id=customer,
        side=side,
        symbol=symbol,
        quantity=quantity,
        price_micros=price,
        releases_rest=last,
        released_micros=saved,
    )


def a_hold(
    *, customer: str = "alice", asset: str = "USD", amount: int = 0, trade: str = ""
) -> pb.Hold:
    return pb.Hold(hold_id=trade or new_id(), customer_id=customer, asset=asset, amount=amount)


def an_adjustment(hold_id: str, amount: int) -> pb.HoldAdjustment:
    return pb.HoldAdjustment(adjustment_id=new_id(), hold_id=hold_id, amount=amount)


def a_bust(
    execution: str, *, called: str = "", after: str = "", retries: int = 0
) -> ExecutionCorrection:
    return ExecutionCorrection(
        retries=retries,
        previous_correction_id=after,
        correction_id=called or f"B{next(_executions)}",
        execution_id=execution,
        venue="XSIM",
        kind=CORRECTION_KIND_BUST,
    )


def a_correction(
    execution: str, *, quantity: int, price: int, called: str = "", after: str = ""
) -> ExecutionCorrection:
    return ExecutionCorrection(
        previous_correction_id=after,
        correction_id=called or f"C{next(_executions)}",
        execution_id=execution,
        venue="XSIM",
        kind=CORRECTION_KIND_CORRECT,
        quantity=quantity,
        price_micros=price,
    )


class Desk:
    """Speaks as the execution service, as an operator, or as a customer."""

    def __init__(self, address: str, database_url: str, keys: Keys, *, waits_for: str = "") -> None:
        self._waits_for = waits_for
        self.address = address
        self.database_url = database_url
        self.keys = keys
        self._execution = bearer(keys.service("execution"))
        self._operator = bearer(keys.operator())

    async def __aenter__(self) -> "Desk":
        self.channel = grpc.aio.insecure_channel(self.address)
        self.ledger = LedgerServiceStub(self.channel)
        self.portfolio = PortfolioServiceStub(self.channel)
        await until(lambda: self.is_ready(self._waits_for))
        return self

    async def is_ready(self, service: str = "") -> bool:
        """Whether the ledger says that it serves."""
        health: Any = health_pb2_grpc.HealthStub(self.channel)  # its types name no methods
        asked = health_pb2.HealthCheckRequest(service=service)
        answer = await health.Check(asked, wait_for_ready=True)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def __aexit__(self, *error: object) -> None:
        await self.channel.close()

    async def hold(self, *holds: pb.Hold, is_brief: bool = False) -> Sequence[pb.ItemResult]:
        request = pb.PlaceHoldsRequest(holds=holds, is_brief=is_brief)
        return (await self.ledger.PlaceHolds(request, metadata=self._execution)).results

    async def adjust(self, *adjustments: pb.HoldAdjustment) -> Sequence[pb.ItemResult]:
        request = pb.AdjustHoldsRequest(adjustments=adjustments)
        return (await self.ledger.AdjustHolds(request, metadata=self._execution)).results

    async def release(self, *trades: str) -> Sequence[pb.ItemResult]:
        request = pb.ReleaseHoldsRequest(releases=[pb.Release(hold_id=t) for t in trades])
        return (await self.ledger.ReleaseHolds(request, metadata=self._execution)).results

    async def post(
        self, *fills: pb.ExecutionPosting, is_brief: bool = False
    ) -> Sequence[pb.ItemResult]:
        request = pb.PostExecutionsRequest(executions=fills, is_brief=is_brief)
        return (await self.ledger.PostExecutions(request, metadata=self._execution)).results

    async def correct(self, *corrections: ExecutionCorrection) -> Sequence[pb.ItemResult]:
        request = pb.CorrectExecutionsRequest(corrections=corrections)
        return (await self.ledger.CorrectExecutions(request, metadata=self._execution)).results

    async def deposit(
        self, amount: int, *, customer: str = "alice", deposit: str = "", reference: str = "gift"
    ) -> pb.Balance:
        request = pb.DepositRequest(
            deposit_id=deposit or new_id(),
            customer_id=customer,
            amount_micros=amount,
            reference=reference,
        )
        return (await self.ledger.Deposit(request, metadata=self._operator)).balance

    async def deposit_shares(
        self,
        quantity: int,
        *,
        customer: str = "alice",
        symbol: str = "AAPL",
        cost: int = 0,
        deposit: str = "",
    ) -> pb.Balance:
        request = pb.DepositSharesRequest(
            deposit_id=deposit or new_id(),
            customer_id=customer,
            symbol=symbol,
            quantity=quantity,
            cost_micros=cost,
            reference="transfer in",
        )
        return (await self.ledger.DepositShares(request, metadata=self._operator)).balance

    async def transfer(
        self, *transfers: posting_pb2.PostedTransfer
    ) -> list[posting_pb2.TransferResult]:
        request = posting_pb2.PostTransfersRequest(transfers=transfers)
        response = await self.ledger.PostTransfers(request, metadata=self._operator)
        return list(response.results)

    async def transfers(self, *ids: str) -> Sequence[posting_pb2.RecordedTransfer]:
        request = posting_pb2.GetTransfersRequest(transfer_ids=ids)
        return (await self.ledger.GetTransfers(request, metadata=self._operator)).transfers

    async def balance(self, account: str, asset: str) -> posting_pb2.GetBalanceResponse:
        request = posting_pb2.GetBalanceRequest(account=account, asset=asset)
        return await self.ledger.GetBalance(request, metadata=self._operator)

    async def journal(self, after: int = 0, last: int = 0) -> list[journal_pb2.JournalRecord]:
        request = journal_pb2.ListJournalRequest(after_seq=after, last=last)
        stream = self.ledger.ListJournal(request, metadata=self._operator)
        return [record async for response in stream for record in response.records]

    async def entries(self) -> list[journal_pb2.JournalEntry]:
        request = journal_pb2.ListJournalRequest(only_entries=True)
        stream = self.ledger.ListJournal(request, metadata=self._operator)
        return [record.entry async for response in stream for record in response.records]

    async def owned_by(
        self, customer: str = "alice", *, as_of: datetime | None = None
    ) -> portfolio_pb.GetPortfolioResponse:
        """What the customer sees, now or as it was then."""
        asked = portfolio_pb.GetPortfolioRequest()
        if as_of is not None:
            asked.as_of.FromDatetime(as_of)
        customers = bearer(self.keys.customer(customer))
        return await self.portfolio.GetPortfolio(asked, metadata=customers)

    async def cash_of(self, customer: str = "alice") -> tuple[int, int]:
        """Available and held, in micros."""
        cash = (await self.owned_by(customer)).cash
        assert cash.total_micros == cash.available_micros + cash.held_micros
        return cash.available_micros, cash.held_micros

    async def shares_of(
        self, customer: str = "alice", symbol: str = "AAPL"
    ) -> tuple[int, int, int]:
        """Available, held, and what all of them cost in micros."""
        for position in (await self.owned_by(customer)).positions:
            if position.symbol == symbol:
                assert position.quantity == position.available_quantity + position.held_quantity
                return (
                    position.available_quantity,
                    position.held_quantity,
                    position.cost_micros,
                )
        return 0, 0, 0

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database answers."""
        async with await psycopg.AsyncConnection.connect(self.database_url) as connection:
            cursor = await connection.execute(query.encode(), values)
            return await cursor.fetchall()

    async def assert_books_balance(self) -> None:
        """Every invariant that the tables alone can show."""
        for name, query in BROKEN.items():
            assert await self.rows(query) == [], name


BROKEN = {
    "the accounts of an asset add up to zero": """
        SELECT asset, sum(posted) FROM account GROUP BY asset HAVING sum(posted) <> 0""",
    "the entries of a transfer add up to zero per asset": """
        SELECT e.transfer_seq, a.asset FROM entry e JOIN account a ON a.id = e.account_id
        GROUP BY 1, 2 HAVING sum(e.amount) <> 0""",
    "an account is the sum of its entries": """
        SELECT a.name, a.asset FROM account a
        JOIN entry e ON e.account_id = a.id
        GROUP BY a.id
        HAVING sum(e.amount) <> a.posted OR count(*) <> a.version OR max(e.version) <> a.version""",
    "an account stands as its latest entry says": """
        SELECT a.name, a.asset FROM account a
        LEFT JOIN entry e ON e.account_id = a.id AND e.version = a.version
        WHERE (e.balance_after, coalesce(e.held_after, 0), coalesce(e.cost_after, 0), e.hash)
            IS DISTINCT FROM (a.posted, a.held, a.cost_micros, a.hash)""",
    "each entry goes on where the one before ended": """
        SELECT * FROM (
            SELECT account_id, version, amount, balance_after, transfer_seq,
                lag(version, 1, 0::bigint) OVER w AS version_before,
                lag(balance_after, 1, 0::bigint) OVER w AS balance_before,
                lag(transfer_seq, 1, 0::bigint) OVER w AS seq_before
            FROM entry WINDOW w AS (PARTITION BY account_id ORDER BY version)
        ) AS e
        WHERE version <> version_before + 1 OR balance_after <> balance_before + amount
            OR transfer_seq < seq_before""",
    "no version of a customer's account is below zero": """
        SELECT a.name, e.version FROM entry e JOIN account a ON a.id = e.account_id
        WHERE a.has_floor AND e.balance_after < coalesce(e.held_after, 0)""",
    "open holds add up to what is held": """
        SELECT a.name, a.asset FROM account a LEFT JOIN hold h ON h.account_id = a.id AND h.is_open
        GROUP BY a.id HAVING coalesce(sum(h.remaining), 0) <> a.held""",
    "a refused transfer has no entry": """
        SELECT t.id FROM transfer t JOIN entry e ON e.transfer_seq = t.seq WHERE t.reason <> 0""",
    "transfers are numbered without gap": """
        SELECT * FROM (
            SELECT seq, lag(seq, 1, 0::bigint) OVER w AS before
            FROM transfer WINDOW w AS (ORDER BY seq)
        ) AS t WHERE seq <> before + 1""",
    "the head stands where the journal ends": """
        SELECT * FROM journal_head
        WHERE transfer_seq <> (SELECT count(*) FROM transfer)
            OR account_id <> (SELECT coalesce(max(id + CASE WHEN has_floor THEN 0 ELSE 1023 END), 0)
                FROM account)
            OR batch_hash <> coalesce(
                (SELECT hash FROM batch WHERE seq = batch_seq), decode(repeat('00', 32), 'hex')
            )""",
    "batches are numbered without gap and follow each other in time": """
        SELECT * FROM (
            SELECT seq, first_seq, recorded_at, lag(seq, 1, 0::bigint) OVER w AS before,
                lag(recorded_at) OVER w AS recorded_before,
                lag(last_seq, 1, 0::bigint) OVER w AS last_before
            FROM batch WINDOW w AS (ORDER BY seq)
        ) AS b WHERE seq <> before + 1 OR first_seq <> last_before + 1
            OR recorded_at < recorded_before""",
}
