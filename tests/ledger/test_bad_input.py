"""Whatever else callers get wrong: batches, words, times, bytes, and the way they call."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from libs.reasons import Reason
from libs.rpc.status import reason_of
from services.ledger.service import LEDGER
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from stockbroker.ledger.v1 import posting_pb2
from tests.ledger.desk import SELL, USD, Desk, a_fill, a_hold, new_id
from tests.ledger.test_access import refusal
from tests.ledger.test_transfers import a_leg, a_transfer
from tests.support.keys import bearer

DONE = Reason.REASON_UNSPECIFIED
INVALID = grpc.StatusCode.INVALID_ARGUMENT
TRADES = [new_id() for _ in range(100)]
BATCHES: dict[str, tuple[Callable[[int], Any], Callable[[Desk, Sequence[Any]], Any], Any]] = {
    # One that is right, how they are asked, and one that is wrong.
    "holds": (
        lambda n: a_hold(amount=1),
        lambda d, items: d.hold(*items),
        a_hold(amount=-1),
    ),
    "releases": (lambda n: TRADES[n], lambda d, items: d.release(*items), "no id"),
    "fills": (
        lambda n: a_fill(TRADES[n], quantity=1, price=USD),
        lambda d, items: d.post(*items),
        a_fill(TRADES[0], quantity=0),
    ),
    "transfers": (
        lambda n: a_transfer(a_leg("house/fees", "bank", 1)),
        lambda d, items: d.transfer(*items),
        a_transfer(a_leg("house/fees", "bank", 0)),
    ),
}


@pytest.mark.parametrize("kind", [*BATCHES])
async def test_one_bad_item_of_a_hundred_harms_none_of_the_others(desk: Desk, kind: str) -> None:
    right, ask, wrong = BATCHES[kind]
    await desk.deposit(10_000 * USD)
    await desk.hold(*(a_hold(trade=trade, amount=50 * USD) for trade in TRADES))
    items = [right(number) for number in range(100)]
    results = await ask(desk, [*items[:37], wrong, *items[38:]])
    assert [r.reason == DONE for r in results] == [number != 37 for number in range(100)]
    await desk.assert_books_balance()


@pytest.mark.parametrize("kind", [*BATCHES])
async def test_no_batch_is_larger_than_the_largest(desk: Desk, kind: str) -> None:
    right, ask, _ = BATCHES[kind]
    item = right(0)
    assert await refusal(ask(desk, [item] * 5_001)) == (INVALID, "INVALID_REQUEST")
    assert await desk.rows("SELECT count(*) FROM transfer") == [(0,)]
    assert (await refusal(desk.transfers(*[new_id()] * 1_001)))[1] == "INVALID_REQUEST"


async def test_a_batch_of_nothing_but_repeats_is_one_operation(desk: Desk) -> None:
    transfer = a_transfer(a_leg("house/fees", "bank", 1))
    results = await desk.transfer(*[transfer] * 1_000)
    assert len({str(result) for result in results}) == 1
    assert await desk.rows("SELECT count(*) FROM transfer") == [(1,)]


async def test_each_customer_s_operations_come_in_their_order_however_interleaved(
    desk: Desk,
) -> None:
    """Each spends what the one before brought: in any other order one of them were refused."""
    customers = [f"c{number}" for number in range(10)]
    chains = [
        [
            a_transfer(a_leg("house/fees", f"customer/{name}", 1)),
            a_transfer(a_leg(f"customer/{name}", f"customer/{name}-2", 1)),
            a_transfer(a_leg(f"customer/{name}-2", f"customer/{name}", 1)),
        ]
        for name in customers
    ]
    results = await desk.transfer(*(chain[step] for step in range(3) for chain in chains))
    assert {r.reason for r in results} == {DONE}
    entries = [e for e in await desk.entries() if e.account.startswith("customer/c3")]
    told = [t.transfer_id for t in chains[3]]
    assert list(dict.fromkeys(e.transfer_id for e in entries)) == told


async def test_an_account_used_first_by_many_at_once_is_one_account(desk: Desk) -> None:
    await asyncio.gather(*(desk.deposit(1, customer="new") for _ in range(32)))
    assert await desk.cash_of("new") == (32, 0)
    assert await desk.rows("SELECT count(*) FROM account WHERE name = 'customer/new'") == [(1,)]
    await desk.assert_books_balance()


async def test_a_fee_larger_than_the_proceeds_undoes_the_sale(desk: Desk) -> None:
    await desk.deposit_shares(1)
    sale = [a_leg("customer/alice", "bank", 1, "AAPL"), a_leg("house/fees", "customer/alice", 5)]
    fee = a_leg("customer/alice", "house/fees", 6)
    (refused,) = await desk.transfer(a_transfer(*sale, fee))
    assert refused.reason == Reason.REASON_INSUFFICIENT_FUNDS
    assert await desk.shares_of() == (1, 0, 0)
    fee.amount = 5
    assert [r.reason for r in await desk.transfer(a_transfer(*sale, fee))] == [DONE]
    assert await desk.cash_of() == (0, 0)


async def test_nothing_is_held_of_the_house_or_of_whom_nobody_knows(desk: Desk) -> None:
    await desk.transfer(a_transfer(a_leg("house/fees", "house/clearing", 100)))
    results = await desk.hold(
        a_hold(customer="house/clearing", amount=1), a_hold(customer="nobody", amount=1)
    )
    assert [r.reason for r in results] == [
        Reason.REASON_INVALID_CUSTOMER,
        Reason.REASON_INSUFFICIENT_FUNDS,
    ]


async def test_what_comes_too_early_or_too_late_for_a_hold_is_told_why(desk: Desk) -> None:
    await desk.deposit(100 * USD)
    await desk.deposit_shares(10)
    trade, never = new_id(), new_id()
    early, late = (a_fill(trade, quantity=1, price=USD) for _ in range(2))
    steps = [
        (desk.post(early), Reason.REASON_HOLD_NOT_FOUND),
        (desk.hold(a_hold(trade=trade, amount=50 * USD)), DONE),
        (desk.post(early), Reason.REASON_HOLD_NOT_FOUND),  # its answer, for ever
        (desk.post(a_fill(trade, quantity=1, price=USD)), DONE),
        (desk.post(a_fill(trade, side=SELL, quantity=1, price=USD)), Reason.REASON_HOLD_NOT_FOUND),
        (desk.post(a_fill(trade, quantity=50, price=USD)), Reason.REASON_HOLD_EXCEEDED),
        (desk.post(a_fill(trade, quantity=1, price=USD, last=True)), DONE),
        (desk.post(late), Reason.REASON_HOLD_CLOSED),
        (desk.release(trade), Reason.REASON_HOLD_CLOSED),
        (desk.release(never), Reason.REASON_HOLD_NOT_FOUND),
        (desk.hold(a_hold(trade=never, amount=1)), Reason.REASON_HOLD_CLOSED),
    ]
    for ask, expected in steps:
        ((result,),) = [await ask]
        assert result.reason == expected
    assert await desk.cash_of() == (98 * USD, 0)
    await desk.assert_books_balance()


async def test_a_release_and_a_fill_at_once_come_one_after_the_other(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    trades = [new_id() for _ in range(20)]
    await desk.hold(*(a_hold(trade=trade, amount=10 * USD) for trade in trades))
    answers = await asyncio.gather(
        *(
            ask
            for trade in trades
            for ask in (desk.release(trade), desk.post(a_fill(trade, quantity=1, price=USD)))
        )
    )
    releases, fills = answers[0::2], answers[1::2]
    assert {r[0].reason for r in releases} == {DONE}
    assert {f[0].reason for f in fills} <= {DONE, Reason.REASON_HOLD_CLOSED}
    filled = sum(f[0].reason == DONE for f in fills)
    assert await desk.cash_of() == ((1_000 - filled) * USD, 0)
    await desk.assert_books_balance()


NO_TIMES = [
    Timestamp(seconds=2**62),
    Timestamp(seconds=-(2**62)),
    Timestamp(seconds=-62_135_596_801),  # a second before the year 1
    Timestamp(seconds=253_402_300_800),  # the year 10000
    Timestamp(nanos=1_000_000_000),
    Timestamp(nanos=-1),
]
TIMES = [
    Timestamp(seconds=-62_135_596_800),
    Timestamp(seconds=0, nanos=1_999),
    Timestamp(seconds=1_483_228_799, nanos=999_999_999),  # before the leap second of 2016
    Timestamp(seconds=253_402_300_799, nanos=999_999_000),
]


async def test_only_times_are_taken_for_times_and_any_of_them_is(desk: Desk) -> None:
    asked = [a_transfer(a_leg("house/fees", "bank", 1)) for _ in (*NO_TIMES, *TIMES)]
    for transfer, at in zip(asked, (*NO_TIMES, *TIMES), strict=True):
        transfer.effective_at.CopyFrom(at)
    results = await desk.transfer(*asked)
    assert [r.reason for r in results[: len(NO_TIMES)]] == [
        Reason.REASON_INVALID_REQUEST for _ in NO_TIMES
    ]
    assert [r.reason for r in results[len(NO_TIMES) :]] == [DONE for _ in TIMES]
    told = await desk.transfers(*(t.transfer_id for t in asked[len(NO_TIMES) :]))
    stamps = [t.transfer.effective_at for t in told]
    # A microsecond is the least that is told apart.
    assert [(s.seconds, s.nanos // 1_000) for s in stamps] == [
        (t.seconds, t.nanos // 1_000) for t in TIMES
    ]


NO_WORDS = ["a\x00b", "two\nlines", "\x1b[31mred", "\N{RIGHT-TO-LEFT OVERRIDE}txt", "x" * 201]
STRANGE_WORDS = [
    "'; DROP TABLE entry; --",
    "100% _ * \\ \" ' ` $1 %s %(x)s {} {0}",
    '{"event":"forged"}',
    "żółć 漢字 עברית 😀",
    "x" * 200,
]


async def test_words_are_kept_as_they_are_or_refused(desk: Desk) -> None:
    asked = [a_transfer(a_leg("house/fees", "bank", 1)) for _ in (*NO_WORDS, *STRANGE_WORDS)]
    for transfer, words in zip(asked, (*NO_WORDS, *STRANGE_WORDS), strict=True):
        transfer.reference = words
    results = await desk.transfer(*asked)
    assert [r.reason for r in results] == [
        *(Reason.REASON_INVALID_REQUEST for _ in NO_WORDS),
        *(DONE for _ in STRANGE_WORDS),
    ]
    told = await desk.transfers(*(t.transfer_id for t in asked[len(NO_WORDS) :]))
    assert [t.transfer.reference for t in told] == STRANGE_WORDS
    olivia = bearer(desk.keys.operator())
    for words in [*NO_WORDS, "", " "]:
        freeze = pb.FreezeRequest(freeze_id=new_id(), account="customer/alice", reference=words)
        assert (await refusal(desk.ledger.Freeze(freeze, metadata=olivia)))[1] == "INVALID_REQUEST"


def raw(desk: Desk, method: str) -> Any:
    """A call that sends bytes as they are."""
    call = desk.channel.unary_unary(
        f"/{LEDGER}/{method}",
        request_serializer=lambda data: data,
        response_deserializer=posting_pb2.PostTransfersResponse.FromString,
    )
    return lambda data, **how: call(data, metadata=bearer(desk.keys.operator()), **how)


def a_deposit(customer: str = "alice") -> pb.DepositRequest:
    return pb.DepositRequest(
        deposit_id=new_id(), customer_id=customer, amount_micros=7, reference="a test"
    )


def a_request(transfer: posting_pb2.PostedTransfer) -> bytes:
    return posting_pb2.PostTransfersRequest(transfers=[transfer]).SerializeToString()


async def test_an_amount_of_64_bits_without_a_sign_is_below_zero_and_refused(desk: Desk) -> None:
    largest = a_transfer(a_leg("house/fees", "bank", 2**63 - 1))
    data = a_request(largest)
    varint = b"\x20" + b"\xff" * 8 + b"\x7f"
    assert data.count(varint) == 1
    beyond = data.replace(varint, b"\x20" + b"\x80" * 9 + b"\x01")  # 2^63
    lengths = len(beyond) - len(data)
    assert lengths == 1
    # One byte more within the leg, the transfer and the request.
    leg_length = largest.legs[0].ByteSize()
    beyond = beyond.replace(bytes([leg_length]), bytes([leg_length + 1]), 1)
    transfer_length = largest.ByteSize()
    beyond = beyond.replace(_varint(transfer_length), _varint(transfer_length + 1), 1)
    response = await raw(desk, "PostTransfers")(beyond)
    assert response.results[0].reason == Reason.REASON_INVALID_AMOUNT


def _varint(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80, number >> 7]) if number > 0x7F else bytes([number])


async def test_bytes_that_are_no_request_end_the_call_alone(desk: Desk) -> None:
    good = a_request(a_transfer(a_leg("house/fees", "bank", 1)))
    post = raw(desk, "PostTransfers")
    for data in (b"\xff" * 100, good[:-3], good.replace(b"bank", b"\xff\xfe\xfd\xfc")):
        assert await refusal(post(data)) == (INVALID, "INVALID_REQUEST")
    unknown_field = b"\xfa\x7f\x03abc"
    assert (await post(good + unknown_field)).results[0].reason == DONE
    assert await desk.rows("SELECT count(*) FROM transfer") == [(1,)]


async def test_a_call_that_is_too_large_is_refused_whole_even_if_it_was_squeezed(
    desk: Desk,
) -> None:
    transfer = a_transfer(a_leg("house/fees", "bank", 1))
    transfer.reference = "x" * (6 << 20)
    for squeezed in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw(desk, "PostTransfers")(a_request(transfer), compression=squeezed)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    await desk.deposit(1)


async def test_a_caller_who_waits_no_longer_loses_nothing(desk: Desk) -> None:
    """No time at all, almost none, or hung up: asked again with the same id, it is done once."""
    olivia = bearer(desk.keys.operator())
    request = a_deposit()
    for seconds in (0, -1, 0.000_001, 0.002):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while True:  # it may be that fast
                await desk.ledger.Deposit(request, metadata=olivia, timeout=seconds)
                request.deposit_id = new_id()
                seconds /= 2
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    count = len(await desk.rows("SELECT id FROM transfer"))
    await desk.ledger.Deposit(request, metadata=olivia)
    call = desk.ledger.Deposit(a_deposit(customer="bob"), metadata=olivia)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    balance = (await desk.ledger.Deposit(request, metadata=olivia)).balance
    assert balance.posted in (7 * count, 7 * (count + 1))
    await desk.assert_books_balance()


async def test_nobody_becomes_another_by_what_else_they_send(desk: Desk) -> None:
    alice = bearer(desk.keys.customer("alice"))
    spoofs = [("x-customer-id", "bob"), ("sub", "execution"), ("x-role", "operator")]
    request = a_deposit()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.ledger.Deposit(request, metadata=(*alice, *spoofs))
    assert reason_of(caught.value) == "PERMISSION_DENIED"
    # Of two tokens, nobody can say which one is meant.
    olivia = bearer(desk.keys.operator())
    for both in ((*alice, *olivia), (*olivia, *alice)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await desk.ledger.Deposit(request, metadata=both)
        assert reason_of(caught.value) == "UNAUTHENTICATED"
    assert await desk.rows("SELECT count(*) FROM transfer") == [(0,)]
