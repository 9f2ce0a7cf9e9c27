"""Controls from the command line."""

import json

import pytest

from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import control_pb2 as model
from stockbroker.order.v1 import order_service_pb2 as pb
from tests.cli.conftest import Run, SmallHouse

WHY = ("--reason", "the board said so")


@pytest.mark.parametrize(
    ("typed", "limit", "words"),
    [
        (("max-quantity", "1,000"), 1000, "max-quantity | firm | 1,000 |"),
        (("max-notional", "$50,000"), 50_000_000_000, "$50,000.00, price at most 0 s old"),
        (("price-collar", "5.5%"), 550, "5.50 %, price at most 0 s old"),
        (("duplicate-order", "--seconds", "5"), 0, "duplicate-order | firm | 5 s"),
        (("customer-rate", "10", "--seconds", "1"), 10, "10 in 1 s"),
        (("restricted-symbol", "--symbol", "KO"), 0, "symbol KO | on"),
        (("self-trade", "--customer", "bob", "--symbol", "KO"), 0, "customer bob in KO | on"),
    ],
)
async def test_a_limit_is_typed_in_the_units_of_its_control(
    house: SmallHouse, run: Run, typed: tuple[str, ...], limit: int, words: str
) -> None:
    result = await run("controls", "set", *typed, *WHY, "--operator", "olivia")
    assert result.exit_code == 0, result.output
    assert words in result.stdout
    assert "olivia | the board said so" in result.stdout
    assert house.controls.settings[0].limit == limit


async def test_settings_are_exempted_withdrawn_and_listed(house: SmallHouse, run: Run) -> None:
    await run("controls", "set", "max-quantity", "10", *WHY, "--from", "2026-11-20")
    await run("controls", "exempt", "max-quantity", "--customer", "bob", *WHY)
    withdrawn = await run("controls", "withdraw", "max-quantity", "--customer", "bob", *WHY)

    assert "still set: 1 | max-quantity | firm | 10 |" in withdrawn.stdout
    assert [each.action for each in house.controls.settings] == [1, 2, 3]
    assert house.controls.settings[0].effective_at.ToJsonString() == "2026-11-20T00:00:00Z"
    listed = (await run("controls", "list", "--history")).stdout
    assert "exempt" in listed
    assert "withdrawn" in listed
    history = json.loads((await run("controls", "list", "--history", "--json")).stdout)
    assert [each["version"] for each in history["settings"]] == ["3", "2", "1"]
    found = json.loads((await run("controls", "list", "--json")).stdout)
    assert [each["version"] for each in found["settings"]] == ["1", "2", "3"]


async def test_a_limit_that_is_no_amount_is_refused_here(house: SmallHouse, run: Run) -> None:
    assert (await run("controls", "set", "price-collar", "a lot", *WHY)).exit_code == 2
    assert (await run("controls", "set", "wishes", "1", *WHY)).exit_code == 2
    assert not house.controls.settings


async def test_a_decision_is_told_check_by_check(house: SmallHouse, run: Run) -> None:
    setting = model.ControlSetting(version=3, control=model.CONTROL_MAX_QUANTITY, limit=99)
    house.orders.explained = pb.ExplainTradeResponse(
        settings_version=3,
        checks=[
            model.ControlCheck(
                control=model.CONTROL_MAX_QUANTITY,
                outcome=model.CONTROL_OUTCOME_FAILED,
                reason=Reason.REASON_ORDER_QUANTITY_LIMIT,
                reason_text="too many",
                observed=100,
                setting=setting,
            ),
            model.ControlCheck(
                control=model.CONTROL_SELF_TRADE, outcome=model.CONTROL_OUTCOME_NOT_LIMITED
            ),
        ],
    )
    told = (await run("explain", "019aa000-0000-7000-8000-000000000001")).stdout
    assert told.startswith("rejected ")
    assert "99 (firm, v3)" in told
    assert "ORDER_QUANTITY_LIMIT: too many" in told
    assert "not limited" in told


async def test_a_preview_tells_the_hold_the_cost_and_the_checks(
    house: SmallHouse, run: Run
) -> None:
    told = house.orders.previewed
    told.reason = Reason.REASON_INSUFFICIENT_FUNDS
    told.reason_text = "$1.00 is available"
    told.hold.CopyFrom(
        pb.PreviewTradeResponse.Hold(asset="USD", amount=2_000_000, available=1_000_000)
    )
    told.estimate.quantity = 2
    told.estimate.notional_micros = 1_900_000
    told.estimate.average_price_micros = 950_000
    told.checks.add(control=model.CONTROL_SELF_TRADE, outcome=model.CONTROL_OUTCOME_NOT_LIMITED)

    result = await run("preview", "KO", "buy", "2", "--limit", "1")

    assert result.exit_code == 0, result.output
    assert house.orders.asked[0].limit_price_micros == 1_000_000
    assert "would not be accepted: INSUFFICIENT_FUNDS: $1.00 is available" in result.stdout
    assert "would hold $2.00 of $1.00 USD available" in result.stdout
    assert "would fill 2 at once, at $0.95 on average, $1.90 in all" in result.stdout
    assert "self-trade" in result.stdout
    found = json.loads((await run("preview", "KO", "buy", "2", "--json")).stdout)
    assert found["hold"]["asset"] == "USD"
