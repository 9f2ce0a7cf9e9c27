"""ListExecutions: a member's fills once more, for its books to be compared with."""

import grpc
import pytest

from stockbroker.exchange.v1 import drop_copy_pb2 as pb
from tests.exchange_simulator.member import TRADE, Exchange, Member, an_order
from tests.support.keys import Keys, bearer


async def test_the_drop_copy_is_what_was_told_on_the_session(
    exchange: Exchange, member: Member, keys: Keys
) -> None:
    orders = [an_order(quantity=1 + n) for n in range(5)]
    member.send(*orders)
    for order in orders:
        await member.ended(order)

    after, copy, pages = 0, [], 0
    while True:
        request = pb.ListExecutionsRequest(session_id="gateway", after_seq=after, limit=3)
        told = await exchange.service.ListExecutions(
            request, metadata=bearer(keys.service("reconciliation"))
        )
        copy += list(told.executions)
        after, pages = told.next_after_seq, pages + 1
        if told.reaches_end:
            break

    assert copy == [report for report in member.reports if report.exec_type == TRADE]
    assert after == len(member.reports)
    assert pages > 1
    assert told.venue == "XSIM"


async def test_customers_get_no_drop_copy(exchange: Exchange, keys: Keys) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await exchange.service.ListExecutions(
            pb.ListExecutionsRequest(session_id="gateway"), metadata=bearer(keys.customer("alice"))
        )
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
