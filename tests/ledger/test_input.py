"""What callers get wrong: the right reason, nothing recorded, and no harm to the neighbours."""

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from libs.rpc.status import reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from tests.ledger.desk import SELL, USD, Desk, a_fill, a_hold, new_id

TRADE = new_id()
NO_IDS = [
    "",
    "1",
    "x" * 36,
    TRADE + "0",
    TRADE.replace("-", ""),
    f"{{{TRADE[1:-1]}}}",
    TRADE[:-1] + "\N{FULLWIDTH DIGIT ONE}",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "'; DROP TABLE entry; --",
    "x" * 1_000_000,
]
NO_CUSTOMERS = ["", "a" * 65, "al ice", "alice/", "häns", "a\x00b", "a%b", "alice\n", "../house"]
NO_SYMBOLS = ["", "aapl", "A" * 13, "A APL", "\N{GREEK CAPITAL LETTER ALPHA}", "AAPL\x00", "A'B"]


def hold(**wrong: Any) -> pb.Hold:
    changed = a_hold(trade=TRADE, amount=1)
    for name, value in wrong.items():
        setattr(changed, name, value)
    return changed


def fill(**wrong: Any) -> pb.ExecutionPosting:
    changed = a_fill(TRADE, quantity=1, price=USD)
    for name, value in wrong.items():
        setattr(changed, name, value)
    return changed


BAD_HOLDS = [
    *[(hold(hold_id=text), Reason.REASON_INVALID_ID) for text in NO_IDS],
    *[(hold(customer_id=text), Reason.REASON_INVALID_CUSTOMER) for text in NO_CUSTOMERS],
    *[(hold(asset=text), Reason.REASON_INVALID_SYMBOL) for text in NO_SYMBOLS],
    (hold(amount=-1), Reason.REASON_INVALID_AMOUNT),
    (hold(amount=-(2**63)), Reason.REASON_INVALID_AMOUNT),
]
BAD_FILLS = [
    *[(fill(trade_id=text), Reason.REASON_INVALID_ID) for text in NO_IDS],
    *[(fill(customer_id=text), Reason.REASON_INVALID_CUSTOMER) for text in NO_CUSTOMERS],
    *[(fill(symbol=text), Reason.REASON_INVALID_SYMBOL) for text in [*NO_SYMBOLS, "USD"]],
    *[(fill(execution_id=text), Reason.REASON_INVALID_ID) for text in ["", "a b", "\x00", "é"]],
    (fill(execution_id="x" * 129), Reason.REASON_INVALID_ID),
    *[(fill(venue=text), Reason.REASON_INVALID_ID) for text in ["", "a/b", "x" * 33]],
    *[(fill(quantity=number), Reason.REASON_INVALID_QUANTITY) for number in [0, -1, -(2**63)]],
    *[(fill(price_micros=number), Reason.REASON_INVALID_PRICE) for number in [0, -1]],
    (fill(quantity=2**32, price_micros=2**31), Reason.REASON_INVALID_AMOUNT),
    (fill(quantity=2**63 - 1, price_micros=2**63 - 1), Reason.REASON_INVALID_AMOUNT),
    *[(fill(side=number), Reason.REASON_INVALID_SIDE) for number in [0, 3, -1]],
]


async def test_each_malformed_hold_is_named_and_good_ones_among_them_pass(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    good = [a_hold(amount=1) for _ in range(len(BAD_HOLDS) + 1)]
    mixed = [good[0]]
    for (bad, _), next_good in zip(BAD_HOLDS, good[1:], strict=True):
        mixed += [bad, next_good]

    results = await desk.hold(*mixed)

    assert [r.reason for r in results[1::2]] == [reason for _, reason in BAD_HOLDS]
    assert {r.reason for r in results[0::2]} == {0}
    assert [r.id for r in results] == [h.hold_id for h in mixed]
    assert await desk.rows("SELECT count(*) FROM transfer WHERE reason <> 0") == [(0,)]
    assert (await desk.cash_of())[1] == len(good)
    await desk.assert_books_balance()


async def test_each_malformed_fill_is_named_and_good_ones_among_them_pass(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    await desk.hold(a_hold(trade=TRADE))
    good = [fill() for _ in BAD_FILLS]
    for number, posting in enumerate(good):
        posting.execution_id = f"good {number}".replace(" ", "-")
    mixed = [
        item for pair in zip([bad for bad, _ in BAD_FILLS], good, strict=True) for item in pair
    ]

    results = await desk.post(*mixed)

    assert [r.reason for r in results[0::2]] == [reason for _, reason in BAD_FILLS]
    assert {r.reason for r in results[1::2]} == {0}
    assert (await desk.shares_of())[0] == len(good)
    await desk.assert_books_balance()


async def test_a_fill_at_an_impossible_time_is_named(desk: Desk) -> None:
    posting = a_fill(TRADE)
    posting.executed_at.CopyFrom(Timestamp(seconds=2**62))
    (result,) = await desk.post(posting)
    assert result.reason == Reason.REASON_INVALID_REQUEST


async def test_a_malformed_release_is_named(desk: Desk) -> None:
    results = await desk.release(*NO_IDS)
    assert {r.reason for r in results} == {Reason.REASON_INVALID_ID}


async def test_holds_refuse_fills_that_do_not_fit_them(desk: Desk) -> None:
    for customer in ("alice", "bob"):
        await desk.deposit(1_000 * USD, customer=customer)
        await desk.deposit_shares(100, customer=customer)
    cash, shares = new_id(), new_id()
    await desk.hold(
        a_hold(trade=cash, amount=100 * USD), a_hold(trade=shares, asset="AAPL", amount=10)
    )

    results = await desk.post(
        a_fill(cash, quantity=1, price=101 * USD),
        a_fill(shares, side=SELL, quantity=11),
        a_fill(cash, customer="bob", quantity=1, price=USD),
        a_fill(cash, side=SELL, quantity=1),
        a_fill(shares, quantity=1, price=USD),
        a_fill(shares, side=SELL, symbol="MSFT", quantity=1),
        a_fill(new_id(), quantity=1, price=USD),
    )

    assert [r.reason for r in results] == [
        Reason.REASON_HOLD_EXCEEDED,
        Reason.REASON_HOLD_EXCEEDED,
        *[Reason.REASON_HOLD_NOT_FOUND] * 5,
    ]
    await desk.assert_books_balance()


async def test_a_hold_larger_than_anything_is_only_too_much(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    await desk.deposit_shares(5)
    results = await desk.hold(
        a_hold(amount=2**63 - 1),
        a_hold(amount=1_000 * USD + 1),
        a_hold(asset="AAPL", amount=6),
        a_hold(asset="MSFT"),
        a_hold(customer="nobody"),
    )
    assert [r.reason for r in results] == [
        Reason.REASON_INSUFFICIENT_FUNDS,
        Reason.REASON_INSUFFICIENT_FUNDS,
        Reason.REASON_INSUFFICIENT_SHARES,
        Reason.REASON_INSUFFICIENT_SHARES,
        Reason.REASON_INSUFFICIENT_FUNDS,
    ]
    assert await desk.rows("SELECT count(*) FROM account WHERE name = 'customer/nobody'") == [(0,)]


async def test_an_empty_batch_has_an_empty_answer(desk: Desk) -> None:
    assert list(await desk.hold()) == []
    assert list(await desk.post()) == []
    assert list(await desk.release()) == []


async def test_a_batch_has_a_largest_size(desk: Desk) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk.release(*[TRADE] * 5_001)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(caught.value) == "INVALID_REQUEST"


BAD_DEPOSITS: list[tuple[dict[str, Any], str]] = [
    *[({"deposit": text}, "INVALID_ID") for text in NO_IDS if text],
    *[({"customer": text}, "INVALID_CUSTOMER") for text in NO_CUSTOMERS],
    *[({"amount": number}, "INVALID_AMOUNT") for number in [0, -1, 2**53 + 1, 2**63 - 1]],
    ({"reference": "x" * 201}, "INVALID_REQUEST"),
    ({"reference": "a\x00b"}, "INVALID_REQUEST"),
    ({"reference": "forged\nline"}, "INVALID_REQUEST"),
    ({"reference": "\N{RIGHT-TO-LEFT OVERRIDE}gift"}, "INVALID_REQUEST"),
]


async def test_a_malformed_deposit_is_refused(desk: Desk) -> None:
    for wrong, reason in BAD_DEPOSITS:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await desk.deposit(**{"amount": USD, **wrong})
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(caught.value) == reason, wrong
    assert await desk.rows("SELECT count(*) FROM transfer") == [(0,)]


async def test_a_malformed_deposit_of_shares_is_refused(desk: Desk) -> None:
    wrongs: list[tuple[dict[str, Any], str]] = [
        *[({"symbol": text}, "INVALID_SYMBOL") for text in [*NO_SYMBOLS, "USD"]],
        *[({"quantity": number}, "INVALID_AMOUNT") for number in [0, -1, 2**53 + 1]],
        *[({"cost": number}, "INVALID_AMOUNT") for number in [-1, 2**53 + 1]],
    ]
    for wrong, reason in wrongs:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await desk.deposit_shares(**{"quantity": 1, **wrong})
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(caught.value) == reason, wrong
    assert await desk.rows("SELECT count(*) FROM transfer") == [(0,)]
