"""The one general operation, and the journal and balances that it can be checked with."""

from collections.abc import Sequence

import pytest

from libs.reasons import Reason
from stockbroker.ledger.v1 import journal_pb2, posting_pb2
from tests.ledger.desk import USD, Desk, a_hold, new_id
from tests.ledger.test_access import refusal

DONE = Reason.REASON_UNSPECIFIED


def a_leg(
    source: str, target: str, amount: int, asset: str = "USD", *, held: bool = False
) -> posting_pb2.TransferLeg:
    return posting_pb2.TransferLeg(
        debit_account=source,
        credit_account=target,
        asset=asset,
        amount=amount,
        from_hold=held,
    )


def a_transfer(
    *legs: posting_pb2.TransferLeg,
    called: str = "",
    below_zero: Sequence[str] = (),
    hold: str = "",
    rest: bool = False,
    why: str = "a test",
) -> posting_pb2.PostedTransfer:
    return posting_pb2.PostedTransfer(
        transfer_id=called or new_id(),
        legs=legs,
        accounts=[
            posting_pb2.AccountTerms(account=name, may_go_below_zero=True) for name in below_zero
        ],
        hold_id=hold,
        releases_rest=rest,
        reference=why,
    )


def figures(result: posting_pb2.TransferResult) -> list[tuple[str, str, int, int, int]]:
    return [(b.account, b.asset, b.version, b.posted, b.held) for b in result.balances]


async def test_a_group_moves_any_assets_between_any_accounts_or_nothing_at_all(desk: Desk) -> None:
    mint = a_transfer(a_leg("world", "shop/till", 100, "EUR"), below_zero=["world"])
    swap = a_transfer(
        a_leg("shop/till", "customer/alice", 60, "EUR"),
        a_leg("house/fees", "shop/till", 5, "USD"),
    )
    too_much = a_transfer(
        a_leg("world", "shop/till", 1, "EUR"), a_leg("shop/till", "customer/alice", 42, "EUR")
    )
    results = await desk.transfer(mint, swap, too_much)
    assert [result.reason for result in results] == [
        DONE,
        DONE,
        Reason.REASON_INSUFFICIENT_SHARES,
    ]
    assert figures(results[0]) == [
        ("world", "EUR", 1, -100, 0),
        ("shop/till", "EUR", 1, 100, 0),
    ]
    assert figures(results[1]) == [
        ("shop/till", "EUR", 2, 40, 0),
        ("customer/alice", "EUR", 1, 60, 0),
        ("house/fees", "USD", 1, -5, 0),
        ("shop/till", "USD", 1, 5, 0),
    ]
    assert figures(results[2]) == [
        ("world", "EUR", 1, -100, 0),
        ("shop/till", "EUR", 2, 40, 0),
        ("customer/alice", "EUR", 1, 60, 0),
    ]
    await desk.assert_books_balance()


async def test_an_account_goes_below_zero_only_if_it_was_opened_so(desk: Desk) -> None:
    results = await desk.transfer(
        a_transfer(a_leg("world", "bank", 1)),
        a_transfer(a_leg("world", "bank", 1), below_zero=["world"]),
        a_transfer(a_leg("bank", "world", 2), below_zero=["bank"]),
        a_transfer(a_leg("world", "bank", 1)),
        a_transfer(a_leg("house/fees", "bank", 1)),
        a_transfer(a_leg("customer/alice", "bank", 1)),
    )
    assert [result.reason for result in results] == [
        Reason.REASON_INSUFFICIENT_FUNDS,
        DONE,
        Reason.REASON_INSUFFICIENT_FUNDS,  # it is there already, with a floor
        DONE,
        DONE,
        Reason.REASON_INSUFFICIENT_FUNDS,
    ]
    balance = await desk.balance("world", "USD")
    assert (balance.balance.posted, balance.may_go_below_zero) == (-2, True)
    balance = await desk.balance("bank", "USD")
    assert (balance.balance.posted, balance.may_go_below_zero) == (3, False)


async def test_a_transfer_asked_again_gets_its_first_answer(desk: Desk) -> None:
    first = a_transfer(a_leg("house/fees", "bank", 7))
    refused = a_transfer(a_leg("customer/alice", "bank", 7))
    answers = await desk.transfer(first, refused)
    await desk.transfer(a_transfer(a_leg("house/fees", "customer/alice", 9)))
    await desk.transfer(a_transfer(a_leg("bank", "customer/alice", 7)))

    assert await desk.transfer(first, refused, first) == [*answers, answers[0]]

    other = a_transfer(a_leg("house/fees", "bank", 8), called=first.transfer_id)
    floor = a_transfer(*first.legs, called=first.transfer_id, below_zero=["other"])
    assert [result.reason for result in await desk.transfer(other, first, floor)] == [
        Reason.REASON_EXISTS_DIFFERENT,
        DONE,
        Reason.REASON_EXISTS_DIFFERENT,
    ]
    assert (await desk.transfer(other, first))[1] == answers[0]


async def test_transfers_draw_on_holds_and_release_them(desk: Desk) -> None:
    await desk.deposit(10)
    trade = new_id()
    await desk.hold(a_hold(trade=trade, amount=8))
    draw = a_transfer(a_leg("customer/alice", "bank", 3, held=True), hold=trade)
    rest = a_transfer(hold=trade, rest=True)
    drawn, freed = await desk.transfer(draw, rest)
    assert (drawn.reason, drawn.amount, freed.reason, freed.amount) == (DONE, 0, DONE, 5)
    assert await desk.cash_of() == (7, 0)


MALFORMED = {
    "an id that is none": (a_transfer(a_leg("a", "b", 1), called="x"), "INVALID_ID"),
    "nothing to do": (a_transfer(), "INVALID_REQUEST"),
    "too many legs": (a_transfer(*[a_leg("a", "b", 1)] * 101), "INVALID_REQUEST"),
    "nothing moved": (a_transfer(a_leg("a", "b", 0)), "INVALID_AMOUNT"),
    "less than nothing": (a_transfer(a_leg("a", "b", -1)), "INVALID_AMOUNT"),
    "to itself": (a_transfer(a_leg("a", "a", 1)), "INVALID_ACCOUNT"),
    "from nobody": (a_transfer(a_leg("", "a", 1)), "INVALID_ACCOUNT"),
    "a name with a space": (a_transfer(a_leg("a b", "a", 1)), "INVALID_ACCOUNT"),
    "a name too long": (a_transfer(a_leg("a" * 129, "a", 1)), "INVALID_ACCOUNT"),
    "no customer's name": (a_transfer(a_leg("customer/a/b", "a", 1)), "INVALID_CUSTOMER"),
    "a customer in debt": (
        a_transfer(a_leg("a", "b", 1), below_zero=["customer/alice"]),
        "INVALID_ACCOUNT",
    ),
    "no asset": (a_transfer(a_leg("a", "b", 1, "")), "INVALID_SYMBOL"),
    "a small asset": (a_transfer(a_leg("a", "b", 1, "usd")), "INVALID_SYMBOL"),
    "from a hold unnamed": (a_transfer(a_leg("a", "b", 1, held=True)), "INVALID_REQUEST"),
    "without a reason": (a_transfer(a_leg("a", "b", 1), why=""), "INVALID_REQUEST"),
    "with blanks for a reason": (a_transfer(a_leg("a", "b", 1), why="  "), "INVALID_REQUEST"),
    "a hold for nothing": (a_transfer(a_leg("a", "b", 1), hold=new_id()), "INVALID_REQUEST"),
}


async def test_each_malformed_transfer_is_named_and_good_ones_among_them_pass(desk: Desk) -> None:
    good = [a_transfer(a_leg("house/fees", "bank", 1)) for _ in MALFORMED]
    asked = [
        t for pair in zip(good, (bad for bad, _ in MALFORMED.values()), strict=True) for t in pair
    ]
    results = await desk.transfer(*asked)
    assert [result.transfer_id for result in results] == [t.transfer_id for t in asked]
    assert {result.reason for result in results[0::2]} == {DONE}
    assert [Reason.Name(r.reason).removeprefix("REASON_") for r in results[1::2]] == [
        reason for _, reason in MALFORMED.values()
    ]
    words = dict(zip(MALFORMED, (result.reason_text for result in results[1::2]), strict=True))
    assert all(words.values())
    assert words["to itself"] == "a leg goes to another account"
    assert not any(result.reason_text for result in results[0::2])
    assert await desk.rows("SELECT count(*) FROM transfer") == [(len(good),)]


async def test_what_became_of_a_transfer_can_be_asked(desk: Desk) -> None:
    done = a_transfer(a_leg("house/fees", "bank", 7))
    done.effective_at.FromJsonString("2026-01-02T03:04:05.000006Z")
    refused = a_transfer(a_leg("customer/alice", "bank", 7))
    results = await desk.transfer(done, refused)
    unknown = new_id()

    found = await desk.transfers(refused.transfer_id, unknown, done.transfer_id)

    assert [t.transfer.transfer_id for t in found] == [refused.transfer_id, done.transfer_id]
    assert found[0].transfer.reason == Reason.REASON_INSUFFICIENT_FUNDS
    assert found[0].transfer.terms.startswith('["transfer",')
    assert list(found[0].balances) == []
    assert (found[1].transfer.seq, found[1].transfer.kind) == (1, "transfer")
    assert found[1].transfer.actor == "olivia"
    assert found[1].transfer.effective_at == done.effective_at
    assert not found[1].transfer.HasField("terms")
    assert list(found[1].balances) == list(results[0].balances)
    assert (await refusal(desk.transfers()))[1] == "INVALID_REQUEST"
    assert (await refusal(desk.transfers("x")))[1] == "INVALID_ID"


async def test_a_balance_is_told_for_any_account_even_one_that_is_not_there(desk: Desk) -> None:
    await desk.deposit(5)
    await desk.hold(a_hold(amount=2))
    balance = await desk.balance("customer/alice", "USD")
    assert (balance.balance.posted, balance.balance.held, balance.available) == (5, 2, 3)
    assert (balance.balance.version, balance.state) == (2, "open")
    nobody = await desk.balance("customer/bob", "USD")
    assert (nobody.balance.posted, nobody.balance.version, nobody.state) == (0, 0, "open")
    for account, asset, reason in (("", "USD", "INVALID_ACCOUNT"), ("a", "$", "INVALID_SYMBOL")):
        assert (await refusal(desk.balance(account, asset)))[1] == reason


async def test_the_journal_has_every_entry_in_the_order_of_commits_linked_by_hashes(
    desk: Desk,
) -> None:
    await desk.deposit(9)
    await desk.hold(a_hold(amount=4), a_hold(amount=40))
    await desk.transfer(a_transfer(a_leg("house/fees", "customer/alice", 3)))

    entries = await desk.entries()

    told = [(e.seq, e.account, e.asset, e.version, e.amount, e.direction) for e in entries]
    neither = journal_pb2.DIRECTION_UNSPECIFIED
    debit, credit = journal_pb2.DIRECTION_DEBIT, journal_pb2.DIRECTION_CREDIT
    assert told == [
        (1, "house/deposits", "USD", 1, 9, debit),
        (1, "customer/alice", "USD", 1, 9, credit),
        (2, "customer/alice", "USD", 2, 0, neither),
        (4, "customer/alice", "USD", 3, 3, credit),
        (4, "house/fees", "USD", 1, 3, debit),
    ]
    assert len({e.entry_id for e in entries}) == len(entries)
    alice = [e for e in entries if e.account == "customer/alice"]
    assert [e.previous_hash for e in alice[1:]] == [e.hash for e in alice[:-1]]
    assert [e.balance_after for e in alice] == [9, 9, 12]
    assert [e.held_after for e in alice] == [0, 4, 4]
    assert len({e.hash for e in entries}) == len(entries)


async def test_the_journal_has_refusals_and_batches_too_and_goes_on_anywhere(desk: Desk) -> None:
    await desk.deposit(9)
    await desk.hold(a_hold(amount=4), a_hold(amount=40))
    records = await desk.journal()
    kinds = [record.WhichOneof("record") for record in records]
    rows = [kind for kind in kinds if kind != "checkpoint"]
    assert rows == [
        *("transfer", "entry", "entry", "batch"),
        *("transfer", "entry", "transfer", "batch"),
    ]
    transfers = [r.transfer for r in records if r.HasField("transfer")]
    assert [(t.seq, t.entry_count, t.reason) for t in transfers] == [
        (1, 2, DONE),
        (2, 1, DONE),
        (3, 0, Reason.REASON_INSUFFICIENT_FUNDS),
    ]
    assert transfers[1].hold_id == transfers[1].transfer_id
    batches = [r.batch for r in records if r.HasField("batch")]
    assert [(b.seq, b.first_seq, b.last_seq) for b in batches] == [(1, 1, 1), (2, 2, 3)]

    tail = [r for r in await desk.journal(after=2) if not r.HasField("checkpoint")]
    assert tail == [r for r in records if not r.HasField("checkpoint")][-2:]
    for after, last in ((0, 1), (1, 1), (2, 2)):
        found = await desk.journal(after=after, last=last)
        assert [r for r in found if not r.HasField("checkpoint")] == tail
    everything = [r for r in await desk.journal(last=4) if not r.HasField("checkpoint")]
    assert everything == [r for r in records if not r.HasField("checkpoint")]
    assert (await refusal(desk.journal(last=-1)))[1] == "INVALID_REQUEST"
    assert await desk.journal(after=3) == []
    assert (await refusal(desk.journal(after=-1)))[1] == "INVALID_SEQUENCE"


@pytest.mark.parametrize("batches", [1, 3])
async def test_a_long_journal_comes_whole(desk: Desk, batches: int) -> None:
    count = 700
    for _ in range(batches):
        await desk.transfer(*(a_transfer(a_leg("house/fees", "bank", 1)) for _ in range(count)))
    entries = await desk.entries()
    assert [e.seq for e in entries] == [seq for n in range(batches * count) for seq in [n + 1] * 2]
    assert (await desk.balance("bank", "USD")).balance.posted == batches * count < USD
    await desk.assert_books_balance()
