"""Old months of entries leave for files; what they led to stays, and so does every promise."""

import csv
import gzip
from pathlib import Path

import psycopg

from libs.archive import check
from services.ledger.main import Settings, house
from stockbroker.ledger.v1 import invariant_pb2, ledger_service_pb2
from tests.ledger.desk import USD, Desk, a_bust, a_fill, a_hold, new_id
from tests.ledger.past import DONE, GONE, At, Past, assert_invariants_hold, buy, refusal_of
from tests.support.keys import Keys, bearer


async def test_old_months_are_in_files_and_their_last_balances_stay(
    past: Past, archive: At, tmp_path: Path
) -> None:
    desk = past.desk
    entries = await desk.rows(
        "SELECT transfer_seq, account_id, version, amount, balance_after, encode(hash, 'hex')"
        " FROM entry ORDER BY 1, 2, 3"
    )
    manifests = await archive.run()
    assert [m.month for m in manifests] == [str(past.first), str(past.first.plus(1))]
    assert [m.facts["last_transfer_seq"] for m in manifests] == past.seqs[:2]
    told = []
    for manifest in manifests:
        assert check(tmp_path / manifest.file.replace(".csv.gz", ".json")) == manifest
        with gzip.open(tmp_path / manifest.file, "rt", newline="") as file:
            for row in csv.DictReader(file):
                figures = ("transfer_seq", "account_id", "version", "amount", "balance_after")
                told.append((*(int(row[name]) for name in figures), row["hash"][2:]))
    assert told == [entry for entry in entries if entry[0] <= past.horizon]
    left = await desk.rows(
        "SELECT transfer_seq, account_id, version, amount, balance_after, encode(hash, 'hex')"
        " FROM entry ORDER BY 1, 2, 3"
    )
    latest = {entry[1]: entry for entry in told}
    assert left == sorted([*latest.values(), *entries[len(told) :]])
    await assert_invariants_hold(desk)


async def test_trades_go_on_as_if_nothing_had_gone(past: Past, archive: At) -> None:
    desk = past.desk
    owned = await desk.cash_of(), await desk.shares_of()
    await archive.run()
    assert (await desk.cash_of(), await desk.shares_of()) == owned
    await buy(desk)
    (filled,) = await desk.post(a_fill(past.held, quantity=5, last=True))  # held in a month gone by
    assert filled.reason == DONE
    (busted,) = await desk.correct(a_bust(past.fills[2]))
    assert busted.reason == DONE
    assert await desk.shares_of() == (35, 0, 3_500 * USD)
    assert await desk.cash_of() == (6_501 * USD, 0)
    await assert_invariants_hold(desk)


async def test_an_id_of_an_archived_month_does_nothing_again(past: Past, archive: At) -> None:
    desk = past.desk
    await archive.run()
    cash = await desk.cash_of()
    again = ledger_service_pb2.DepositRequest(
        deposit_id=past.deposit,
        customer_id="alice",
        amount_micros=10_000 * USD,
        reference="gift",
    )
    operator = bearer(desk.keys.operator())
    assert not (await desk.ledger.Deposit(again, metadata=operator)).HasField("balance")
    bobs = ledger_service_pb2.DepositRequest(
        deposit_id=past.bobs, customer_id="bob", amount_micros=70 * USD, reference="gift"
    )  # his entry is there, the other side of it is not
    assert not (await desk.ledger.Deposit(bobs, metadata=operator)).HasField("balance")
    (held,) = await desk.hold(a_hold(trade=past.held, amount=500 * USD))
    assert (held.reason, held.amount, list(held.balances)) == (DONE, 500 * USD, [])
    assert await desk.cash_of() == cash
    again.amount_micros += 1
    assert (await refusal_of(desk.ledger.Deposit(again, metadata=operator)))[
        1
    ] == "EXISTS_DIFFERENT"


async def test_a_reversal_that_was_approved_before_is_answered_again(
    past: Past, archive: At
) -> None:
    desk = past.desk
    olivia, oscar = bearer(desk.keys.operator("olivia")), bearer(desk.keys.operator("oscar"))
    requests = []
    for transfer in (past.bobs, past.deposit, past.deposit):
        ask = ledger_service_pb2.RequestReversalRequest(
            request_id=new_id(), transfer_id=transfer, reference="oops"
        )
        await desk.ledger.RequestReversal(ask, metadata=olivia)
        requests.append(ask.request_id)
    done, refused, _ = asks = [
        ledger_service_pb2.ApproveReversalRequest(request_id=each, reference="yes")
        for each in requests
    ]
    answer = await desk.ledger.ApproveReversal(done, metadata=oscar)
    short = await refusal_of(desk.ledger.ApproveReversal(refused, metadata=oscar))
    assert short[1] == "INSUFFICIENT_FUNDS"

    await archive.run()
    for _ in range(2):
        again = await desk.ledger.ApproveReversal(done, metadata=oscar)
        assert (again.transfer_id, list(again.balances)) == (answer.transfer_id, [])
        calls = [desk.ledger.ApproveReversal(each, metadata=oscar) for each in asks[1:]]
        assert [await refusal_of(each) for each in calls] == [short, GONE]
        done.reference = "indeed"
        other = await refusal_of(desk.ledger.ApproveReversal(done, metadata=oscar))
        assert other[1] == "EXISTS_DIFFERENT"
        done.reference = "yes"
    await assert_invariants_hold(desk)


async def test_what_can_be_reversed_no_more_is_not_waited_for_and_who_asked_is_answered_again(
    past: Past, archive: At
) -> None:
    desk = past.desk
    olivia = bearer(desk.keys.operator("olivia"))
    asked, another = [
        ledger_service_pb2.RequestReversalRequest(
            request_id=new_id(), transfer_id=transfer, reference="oops"
        )
        for transfer in (past.deposit, past.bobs)
    ]

    async def waiting() -> list[str]:
        everything = ledger_service_pb2.ListReversalRequestsRequest()
        found = await desk.ledger.ListReversalRequests(everything, metadata=olivia)
        return [each.request_id for each in found.requests]

    assert len((await desk.ledger.RequestReversal(asked, metadata=olivia)).legs) == 1
    assert await waiting() == [asked.request_id]

    await archive.run()
    assert await waiting() == []
    assert len((await desk.ledger.RequestReversal(asked, metadata=olivia)).legs) == 0
    asked.reference = "indeed"
    other = await refusal_of(desk.ledger.RequestReversal(asked, metadata=olivia))
    assert other[1] == "EXISTS_DIFFERENT"
    assert await refusal_of(desk.ledger.RequestReversal(another, metadata=olivia)) == GONE


async def test_what_is_left_of_an_archived_month_and_was_changed_by_hand_is_found(
    past: Past, archive: At, superuser_url: str
) -> None:
    await archive.run()
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as anybody:
        await anybody.execute("SET session_replication_role = replica")
        await anybody.execute(
            "UPDATE entry SET balance_after = balance_after - 1, held_after = balance_after"
            " WHERE account_id = (SELECT id FROM account WHERE name = 'customer/bob')"
        )
    full = invariant_pb2.GetInvariantsRequest(full=True)
    metadata = bearer(past.desk.keys.operator())
    (look,) = [each async for each in past.desk.ledger.GetInvariants(full, metadata=metadata)]
    breaches = {each.id: list(each.breaches) for each in look.invariants if not each.holds}
    assert breaches.keys() == {"I1", "I2", "I3"}
    assert breaches["I1"] == ["what is left of archived entries of USD adds up to -1"]
    assert breaches["I2"] == ["customer/bob USD version 1: balance 69999999, held 70000000"]


async def test_no_checkpoint_reaches_over_the_end_of_a_month(past: Past) -> None:
    ends = await past.desk.rows("SELECT last_transfer_seq FROM checkpoint")
    assert {(seq,) for seq in past.seqs} <= set(ends)


async def test_the_ledger_begins_and_ends_with_months_archived(
    past: Past, archive: At, settings: Settings, postgres_url: str, keys: Keys, tmp_path: Path
) -> None:
    await archive.run()
    async with (
        house(settings) as rpc,
        Desk(
            rpc.address, postgres_url, keys, waits_for="stockbroker.ledger.v1.PortfolioService"
        ) as other,
    ):
        await assert_invariants_hold(other)
        assert await other.owned_by() == await past.desk.owned_by()
