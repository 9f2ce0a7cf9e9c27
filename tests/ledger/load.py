"""Callers who trade without pause, ask again until they are answered, and remember it all."""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from services.ledger.domain.deeds import derived
from stockbroker.ledger.v1 import journal_pb2, posting_pb2
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from tests.ledger.desk import USD, a_fill, a_hold, new_id
from tests.ledger.serial import Op, Record, Seen, Step
from tests.support.keys import Keys, bearer

CUSTOMERS = ["alice", "bob", "carol"]
PLENTY = 100_000 * USD
PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
]
_CALL_SECONDS = 4.0
_PAUSE_SECONDS = 0.05
Call = Callable[[LedgerServiceStub], Any]


class Load:
    """Some callers of some ledgers, and the history of what they were told."""

    def __init__(self, addresses: Sequence[str], keys: Keys) -> None:
        self._channels = [grpc.aio.insecure_channel(a, options=_OPTIONS) for a in addresses]
        self._stubs = [LedgerServiceStub(channel) for channel in self._channels]
        self._execution = bearer(keys.service("execution"))
        self._operator = bearer(keys.operator())
        self._ticks = itertools.count(1)
        self.ops: list[Op] = []
        self.answered = 0  # calls
        self.failures: list[grpc.StatusCode] = []
        self.is_over = False
        self._progress = asyncio.Condition()

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def run(self, seed: int, *, callers: int = 5) -> None:
        """Until it is said that it is over."""
        async with asyncio.TaskGroup() as group:
            for number in range(callers):
                group.create_task(self._trade(random.Random(seed * 100 + number)))

    async def answers(self, count: int) -> None:
        """Wait for so many more calls to be answered."""
        wanted = self.answered + count
        async with self._progress:
            await self._progress.wait_for(lambda: self.answered >= wanted)

    async def endow(self) -> None:
        """Give all customers what they trade with."""
        for customer in CUSTOMERS:
            await self._write(
                [
                    posting_pb2.PostedTransfer(
                        transfer_id=new_id(),
                        legs=[
                            _leg("house/deposits", f"customer/{customer}", PLENTY),
                            _leg("house/deposits", f"customer/{customer}", 100_000, "AAPL"),
                        ],
                        reference="a test",
                    )
                ],
                random.Random(),
            )

    async def _trade(self, dice: random.Random) -> None:
        while not self.is_over:
            if dice.random() < 0.4:
                await self._look(dice)
                continue
            await self._write([_a_move(dice) for _ in range(dice.randint(1, 4))], dice)
            customer, trade = dice.choice(CUSTOMERS), new_id()
            await self._hold(
                [a_hold(customer=customer, amount=50 * USD, trade=trade), a_hold(amount=PLENTY)],
                dice,
            )
            if dice.random() < 0.8:
                fills = [
                    a_fill(trade, customer=customer, quantity=1, price=dice.randint(1, 30) * USD)
                    for _ in range(2)
                ]
                await self._fill(fills, dice)
            await self._release([trade], dice)

    async def _write(
        self, transfers: list[posting_pb2.PostedTransfer], dice: random.Random
    ) -> None:
        request = posting_pb2.PostTransfersRequest(transfers=transfers)
        await self._ask(
            [transfer.transfer_id for transfer in transfers],
            lambda stub: stub.PostTransfers(
                request, metadata=self._operator, timeout=_CALL_SECONDS
            ),
            dice,
        )

    async def _hold(self, holds: list[pb.Hold], dice: random.Random) -> None:
        request = pb.PlaceHoldsRequest(holds=holds)
        await self._ask(
            [hold.hold_id for hold in holds],
            lambda stub: stub.PlaceHolds(request, metadata=self._execution, timeout=_CALL_SECONDS),
            dice,
        )

    async def _fill(self, fills: list[pb.ExecutionPosting], dice: random.Random) -> None:
        request = pb.PostExecutionsRequest(executions=fills)
        await self._ask(
            [derived("execution", fill.venue, fill.execution_id) for fill in fills],
            lambda stub: stub.PostExecutions(
                request, metadata=self._execution, timeout=_CALL_SECONDS
            ),
            dice,
        )

    async def _release(self, trades: list[str], dice: random.Random) -> None:
        request = pb.ReleaseHoldsRequest(releases=[pb.Release(hold_id=t) for t in trades])
        await self._ask(
            [derived("release", trade) for trade in trades],
            lambda stub: stub.ReleaseHolds(
                request, metadata=self._execution, timeout=_CALL_SECONDS
            ),
            dice,
        )

    async def _ask(self, ids: list[str], call: Call, dice: random.Random) -> None:
        """Ask until it is answered; now and then give up after the first failure."""
        invoked = next(self._ticks)
        answer = await self._insist(call, dice, gives_up=dice.random() < 0.1)
        if answer is None:
            self.ops += [Op(id_, invoked, None) for id_ in ids]
            return
        for id_, result in zip(ids, answer.results, strict=True):
            seen = tuple(_seen(balance) for balance in result.balances)
            self.ops.append(Op(id_, invoked, next(self._ticks), seen, reason=result.reason))
        await self._tell()

    async def _look(self, dice: random.Random) -> None:
        asset = dice.choice(["USD", "AAPL"])
        account = dice.choice([*(f"customer/{c}" for c in CUSTOMERS), "house/clearing"])
        request = posting_pb2.GetBalanceRequest(account=account, asset=asset)
        invoked = next(self._ticks)
        answer = await self._insist(
            lambda stub: stub.GetBalance(request, metadata=self._operator, timeout=_CALL_SECONDS),
            dice,
        )
        balance = answer.balance
        balance.account, balance.asset = account, asset
        returned = next(self._ticks)
        self.ops.append(Op(f"look {invoked}", invoked, returned, (_seen(balance),), is_write=False))
        await self._tell()

    async def _insist(self, call: Call, dice: random.Random, *, gives_up: bool = False) -> Any:
        """The answer, of whichever ledger gives one; None after a failure, if that is enough."""
        while True:
            try:
                return await call(dice.choice(self._stubs))
            except grpc.aio.AioRpcError as error:
                self.failures.append(error.code())
                if error.code() not in PASSING:
                    raise
                is_maybe_done = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                if gives_up and is_maybe_done:
                    return None
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _tell(self) -> None:
        self.answered += 1
        async with self._progress:
            self._progress.notify_all()


def records_of(journal: Sequence[journal_pb2.JournalRecord]) -> list[Record]:
    """The journal as the checker reads it."""
    found: list[Record] = []
    for row in journal:
        if row.HasField("transfer"):
            found.append(Record(row.transfer.transfer_id, row.transfer.reason, ()))
        elif row.HasField("entry"):
            entry = row.entry
            sign = -1 if entry.direction == journal_pb2.DIRECTION_DEBIT else 1
            name = f"{entry.account} {entry.asset}"
            step = Step(name, entry.version, sign * entry.amount, entry.balance_after)
            found[-1] = found[-1]._replace(steps=(*found[-1].steps, step))
    return found


def _a_move(dice: random.Random) -> posting_pb2.PostedTransfer:
    """Between customers, and some of it to the house; now and then more than there is."""
    source, target = (f"customer/{customer}" for customer in dice.sample(CUSTOMERS, 2))
    amount = PLENTY * 100 if dice.random() < 0.1 else dice.randint(1, 1_000)
    legs = [_leg(source, target, 1 + dice.randrange(3), "AAPL"), _leg(source, target, amount)]
    if dice.random() < 0.3:
        legs.append(_leg(source, "house/fees", 1))
    return posting_pb2.PostedTransfer(transfer_id=new_id(), legs=legs, reference="a test")


def _leg(source: str, target: str, amount: int, asset: str = "USD") -> posting_pb2.TransferLeg:
    return posting_pb2.TransferLeg(
        debit_account=source, credit_account=target, asset=asset, amount=amount
    )


def _seen(balance: pb.Balance | posting_pb2.AccountBalance) -> Seen:
    return Seen(f"{balance.account} {balance.asset}", balance.version, balance.posted)
