"""How the growth of a house is told: names of its steps, ratios to the first, money in calls."""

from unittest.mock import Mock

from bench.cash import cash_calls
from bench.growth import Growth, named
from bench.report import Row
from bench.scale import Scale


def test_a_step_is_named_by_how_many_customers_and_old_trades_there_are() -> None:
    assert named(4_000, 0) == "4k customers, 0 old trades"
    assert named(1_000_000, 200_000) == "1M customers, 200k old trades"
    assert named(1_234, 1_500) == "1,234 customers, 1,500 old trades"


def test_a_figure_is_a_ratio_to_that_of_the_first_step() -> None:
    scale = Scale(seconds=1, rounds=1, accounts=1)
    growth = Growth(Mock(), scale, Mock())
    found = [
        growth.against(what, Row(name=what, value=value, unit="us"))
        for what, value in (("order", 200), ("ledger", 0), ("order", 300), ("ledger", 5))
    ]
    assert [row.ratio for row in found] == [1, None, 1.5, None]


def test_every_customer_gets_money_in_one_call_and_no_more() -> None:
    customers = [f"b{number}" for number in range(1_001)]
    calls = list(cash_calls(customers))
    assert [len(call.transfers) for call in calls] == [500, 500, 1]
    accounts = [leg.credit_account for call in calls for t in call.transfers for leg in t.legs]
    assert accounts == [f"customer/{customer}" for customer in customers]
    assert len({t.transfer_id for call in calls for t in call.transfers}) == 1_001
