"""The rules alone."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from services.exchange_gateway.domain import (
    Kind,
    Known,
    Order,
    Past,
    Reason,
    Report,
    Standing,
    State,
    Terms,
    judge_all,
    sort_out,
    told_by,
)
from services.exchange_gateway.domain.held import HeldStop, Market, Phase, Span, decide
from services.exchange_gateway.domain.market import Hours, Tick
from services.exchange_gateway.domain.orders import OrderType, Side, TimeInForce
from services.exchange_gateway.domain.replaces import Asked, Revision

AT = datetime(2026, 11, 25, tzinfo=UTC)


def a_report(kind: Kind = Kind.FILLED, **fields: object) -> Report:
    """A fill of 10 of the order `t` at a dollar."""
    values: dict[str, object] = {
        "venue_seq": 1,
        "trade_id": "t",
        "kind": kind,
        "symbol": "AAPL",
        "side": 1,
        "exchange_order_id": "X1",
        "execution_id": "E1",
        "quantity": 10,
        "price_micros": 1_000_000,
        "leaves_quantity": 0,
        "executed_at_nanos": 0,
        "reason": None,
        "reason_text": "",
        "raw": b"",
    }
    return Report(**(values | fields))  # type: ignore[arg-type]


def a_standing(quantity: int = 100) -> Standing:
    """A BUY of AAPL without an answer."""
    return Standing("t", "alice", "AAPL", 1, quantity, State.PENDING, 0, "", None)


def an_order(trade_id: str = "t", *, epoch: int = 1, partition: int = 1) -> Order:
    """A market BUY of 100 AAPL."""
    return Order(trade_id, epoch, Terms("alice", partition, "AAPL", 1, 100, 1, 0, 0, 1, 0))


@given(
    some.lists(
        some.builds(
            a_report,
            some.sampled_from(Kind),
            quantity=some.integers(-1, 60),
            side=some.sampled_from([1, 1, 1, 1, 2]),
            trade_id=some.sampled_from(["t", "t", "t", "t", "u"]),
            execution_id=some.sampled_from([f"E{n}" for n in range(8)]),
        ),
        max_size=12,
    )
)
def test_whatever_a_venue_says_each_report_is_delivered_or_parked_and_no_share_too_many(
    reports: list[Report],
) -> None:
    judgement = judge_all({"t": a_standing()}, reports, first_seq=1, past=Past())

    assert [d.seq for d in judgement.deliveries] == list(range(1, len(reports) + 1))
    parked = {case.seq for case in judgement.parked}
    assert parked == {d.seq for d in judgement.deliveries if d.is_held}
    filled = sum(
        d.report.quantity
        for d in judgement.deliveries
        if not d.is_held and d.report.kind == Kind.FILLED
    )
    assert filled <= 100
    counted = [
        d.report.execution_id
        for d in judgement.deliveries
        if not d.is_held and d.report.kind == Kind.FILLED
    ]
    assert len(counted) == len(set(counted))
    assert sum(d.is_last for d in judgement.deliveries) == (filled == 100)
    for standing in judgement.standings:
        assert standing.filled_quantity == filled
        assert (standing.filled_by_seq is not None) == (filled == 100)


def test_reports_judged_together_come_to_the_same_as_one_by_one() -> None:
    fills = [a_report(execution_id=f"E{quantity}", quantity=quantity) for quantity in (15, 80, 5)]
    reports = [a_report(Kind.ACCEPTED), *fills]

    together = judge_all({"t": a_standing()}, reports, first_seq=1, past=Past())

    standings = {"t": a_standing()}
    for seq, report in enumerate(reports, start=1):
        [standing] = judge_all(standings, [report], first_seq=seq, past=Past()).standings
        standings["t"] = standing
    assert list(together.standings) == list(standings.values())
    assert standings["t"].filled_by_seq == 4


def test_a_stale_epoch_is_refused_even_where_the_order_is_known() -> None:
    known = {"t": Known(an_order().terms, State.DONE)}

    [late], fresh = sort_out([an_order(epoch=1)], epochs={1: 2}, known=known, today=0)

    assert (late.reason, fresh) == (Reason.STALE_EPOCH, [])


def test_an_order_given_twice_in_one_batch_is_new_once() -> None:
    results, fresh = sort_out([an_order(), an_order()], epochs={1: 1}, known={}, today=0)

    assert [result.state for result in results] == [State.PENDING, State.PENDING]
    assert fresh == [an_order()]


def test_other_terms_are_refused_even_within_one_batch() -> None:
    first = an_order()
    other = replace(first, terms=replace(first.terms, quantity=7))

    [_, refused], fresh = sort_out([first, other], epochs={1: 1}, known={}, today=0)

    assert (refused.reason, fresh) == (Reason.EXISTS_DIFFERENT, [first])


def test_the_venues_last_word_says_where_an_order_stands() -> None:
    accepted = a_report(Kind.ACCEPTED, leaves_quantity=100)

    assert told_by([]) == State.PENDING
    assert told_by([accepted]) == State.ACCEPTED
    assert told_by([accepted, a_report(leaves_quantity=90)]) == State.ACCEPTED
    assert told_by([accepted, a_report(quantity=100)]) == State.DONE
    assert told_by([a_report(Kind.REJECTED)]) == State.DONE


def test_trades_from_before_a_replace_do_not_trigger_a_stop_as_it_is_after() -> None:
    terms = Terms("alice", 0, "AAPL", Side.SELL, 10, OrderType.STOP, 0, 90, TimeInForce.GTC, 0)
    asked = Asked("r", "t", Revision(10, 0, 95), 1, None)
    stop = HeldStop(Order("t", 1, terms), Phase.WAITS, False, None, [asked])
    market = Market()
    market.hours = Hours(True, AT, AT)
    market.hear(Tick("AAPL", 100, is_halted=False))

    decision = decide(stop, market, fresh=None, met=Span(90, 90), today=0)

    assert decision is not None
    assert (decision.stop.phase, decision.price_micros) == (Phase.WAITS, 0)
    assert decision.stop.order.terms.stop_price_micros == 95
