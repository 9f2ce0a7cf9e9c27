"""What events look like on one line."""

import pytest

from services.cli.wire import event_line, why_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_pb2 as pb


@pytest.mark.parametrize(
    ("kind", "now", "words"),
    [
        ("EXECUTION_BUSTED", {}, "XSIM-1-7 by XSIM-1-9: 60 at $20.00 (a clear error)"),
        (
            "EXECUTION_CORRECTED",
            {"quantity": 50, "price_micros": 19_990_000},
            "XSIM-1-7 by XSIM-1-9: 60 at $20.00, now 50 at $19.99 (a clear error)",
        ),
    ],
)
def test_a_fill_that_was_taken_back_is_told_as_it_was_and_is(
    kind: str, now: dict[str, int], words: str
) -> None:
    amendment = pb.ExecutionAmendment(
        amendment_id="XSIM-1-9",
        execution_id="XSIM-1-7",
        old_quantity=60,
        old_price_micros=20_000_000,
        reason_text="a clear error",
    )
    amendment.MergeFrom(pb.ExecutionAmendment(**now))  # type: ignore[arg-type]
    event = pb.TradeEvent(
        kind=pb.TradeEventKind.Value(f"TRADE_EVENT_KIND_{kind}"), amendment=amendment
    )
    line = event_line(event)
    assert kind in line
    assert words in line


def test_a_reason_that_only_a_newer_house_knows_is_told_as_its_number() -> None:
    trade = pb.Trade(reason=Reason.ValueType(99), reason_text="as the newer house says")

    assert why_of(trade) == "99: as the newer house says"
    assert not why_of(pb.Trade())
