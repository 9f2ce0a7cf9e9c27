"""What runs have met: kill points, result codes, ways of healing. A simulation that never meets a
thing proves nothing about it."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from libs.reasons import Reason
from simulation.faults import Strike
from simulation.status import Failed
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb
from stockbroker.order.v1 import order_pb2 as trade_pb

# Where a process of that kind is when the fault strikes: (fault, kind, point).
KILL_POINTS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "K1 order row committed, before the hold": (("kill", "order", "db.committed:order-place"),),
    "K2 hold committed, reply not sent": (("kill", "ledger", "rpc.reply:PlaceHolds"),),
    "K3 trade recorded, before the nudge": (("kill", "order", "bus.publish"),),
    "K4 nudge published, its acknowledgement lost": (("nudge_unheard", "order", "bus.publish"),),
    "K5 order sent, no answer": (("stream_cut", "gateway", "stream.up:Session"),),
    "K6 exchange accepted, gateway has not stored it": (
        ("kill", "gateway", "db.begin:gateway-report"),
    ),
    "K7 report stored, before it is delivered": (
        ("kill", "gateway", "db.committed:gateway-report"),
    ),
    "K8 report delivered, before that is recorded": (
        ("kill", "gateway", "rpc.answered:ApplyReports"),
    ),
    "K9 execution has the report, before the ledger call": (
        ("kill", "execution", "rpc.send:PostExecutions"),
    ),
    "K10 ledger committed, its reply lost": (("reply_lost", "ledger", "rpc.reply:PostExecutions"),),
    "K11 fill recorded on the trade, before it is answered": (
        ("kill", "order", "db.committed:order-apply"),
    ),
    "K12 acknowledgement of a delivery lost": (
        ("commit_refused", "gateway", "db.commit:gateway-deliver"),
    ),
    "K13 last report heard, before the release": (("kill", "execution", "rpc.send:ReleaseHolds"),),
    "K14 release committed, before the trade is over": (
        ("kill", "execution", "rpc.answered:ReleaseHolds"),
    ),
    "K15 sealer between reading and sealing": (("kill", "ledger", "db.commit:ledger-sealer"),),
    "K16 while starting or stopping": tuple(
        ("kill", kind, point)
        for kind in ("order", "ledger", "execution", "gateway", "exchange")
        for point in ("start", "db.begin:migrate", "db.committed:migrate")
    ),
}


def _reason(number: int) -> str:
    return Reason.Name(Reason.ValueType(number)).removeprefix("REASON_") if number else "DONE"


_LEDGER: Mapping[str, Any] = {
    "PlaceHolds": ledger_pb.PlaceHoldsResponse,
    "ReleaseHolds": ledger_pb.ReleaseHoldsResponse,
    "PostExecutions": ledger_pb.PostExecutionsResponse,
    "CorrectExecutions": ledger_pb.CorrectExecutionsResponse,
}
# What every long enough simulation must have met.
EXPECTED_CODES = frozenset(
    {
        "PlaceHolds DONE",
        "PlaceHolds INSUFFICIENT_FUNDS",
        "PlaceHolds INSUFFICIENT_SHARES",
        "ReleaseHolds DONE",
        "PostExecutions DONE",
        "CorrectExecutions DONE",
        "CorrectExecutions INSUFFICIENT_FUNDS",
        "amendment parked, then booked",
        "fill busted",
        "fill corrected",
        "correction busted",
        "correction corrected",
        "held stop triggered",
        "ApplyOutcomes CODE_APPLIED",
        "ApplyOutcomes CODE_REPEATED",
        "ApplyReports CODE_APPLIED",
        "SubmitOrders ORDER_STATE_PENDING",
        "SubmitOrders ORDER_STATE_ACCEPTED",
        "SubmitOrders ORDER_STATE_DONE",
        "SubmitOrders STALE_EPOCH",
        "ClaimTrades lost partition",
        "ClaimTrades cancel",
        "CancelOrders never sent",
        "CancelOrders ORDER_STATE_PENDING",
        "CancelOrders ORDER_STATE_ACCEPTED",
        "CancelOrders ORDER_STATE_DONE",
        "cancel done at the exchange",
        "cancel TOO_LATE_TO_CANCEL",
        "GetOrders ORDER_STATE_PENDING",
        "GetOrders ORDER_STATE_DONE",
        "trade FILLED",
        "trade CANCELED CANCELED_BY_CUSTOMER",
        "trade CANCELED NO_LIQUIDITY",
        "trade REJECTED INSUFFICIENT_FUNDS",
        "trade REJECTED INSUFFICIENT_SHARES",
        "trade in doubt",
    }
)


# How some race of each kind must have ended in a long enough run of races.
EXPECTED_RACES = frozenset(
    {
        "cancel against fill: canceled at the exchange",
        "cancel against fill: canceled while it waited",
        "cancel against fill: filled, too late to cancel",
        "cancel against fills: canceled after a fill in part",
        "cancel against fills: filled, too late to cancel",
        "cancel of a cancel: canceled at the exchange",
        "cancel of a cancel: filled, too late to cancel",
        "cancel before it is sent: canceled while it waited",
        "cancel before it is sent: canceled at the exchange",
        "cancel before its turn: canceled while it waited",
        "cancel while in doubt: canceled at the exchange",
        "cancel while in doubt: canceled before it was sent",
        "cancel while in doubt: filled before it was asked",
        "cancel while in doubt: filled, too late to cancel",
        "cancel while in doubt: asked in doubt, canceled at the exchange",
        "cancel while in doubt: asked in doubt, filled, too late to cancel",
        "replace against fill: replaced, filled",
        "replace against fill: replaced, rests",
        "replace against fill: refused TOO_LATE_TO_REPLACE, filled",
        "replace against fills: replaced, filled in part",
        "replace below what is filled: replaced, filled by it",
        "replace of a replace: replaced, rests",
        "replace before it is sent: replaced while it waited, rests",
        "replace before it is sent: replaced, rests",
        "replace before its turn: replaced while it waited, rests",
        "replace beyond one's means: refused INSUFFICIENT_FUNDS, filled",
        "replace beyond one's means: refused INSUFFICIENT_SHARES, filled",
        "replace while in doubt: refused TOO_LATE_TO_REPLACE, asked in doubt, filled",
        "cancel over replace: replaced, canceled at the exchange",
        "cancel over replace: refused TOO_LATE_TO_REPLACE, canceled at the exchange",
        "cancel over replace: refused TOO_LATE_TO_REPLACE, filled, too late to cancel",
    }
)


# What chance alone meets too seldom: a worker goes on after another took over its orders, the
# exchange leaves an order unanswered for long, a taken order is submitted again.
_SELDOM = (
    ("stop", "execution", "rpc.send:SubmitOrders"),
    ("stop", "exchange", "db.begin:exchange-keep"),
    ("reply_lost", "gateway", "rpc.reply:SubmitOrders"),
)


def seeded_strikes(seed: str) -> list[Strike]:
    """Every other seed has one of the kill points for certain, if a trade gets there.

    Every fourth has one of the other faults that chance meets too seldom.
    """
    rng = random.Random(f"{seed}/kill point")
    drawn = rng.random()
    if drawn < 0.25:
        return []
    places = _SELDOM if drawn < 0.5 else rng.choice(list(KILL_POINTS.values()))
    return [Strike(*rng.choice(places), rng.choice((1, 2, 3)))]


@dataclass(slots=True)
class Coverage:
    """How often each thing was met."""

    codes: Counter[str] = field(default_factory=Counter)
    kill_points: Counter[str] = field(default_factory=Counter)
    races: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Coverage") -> None:
        """And what another run met."""
        self.codes.update(other.codes)
        self.kill_points.update(other.kill_points)
        self.races.update(other.races)

    def struck(self, struck: Mapping[tuple[str, str, str], int]) -> None:
        """Faults that struck, by where."""
        for name, places in KILL_POINTS.items():
            self.kill_points[name] += sum(struck.get(place, 0) for place in places)

    def answered(self, method: str, found: object, *, briefly: Iterable[str] = ()) -> None:
        """A server has answered; `briefly`: what its answer left out, being brief."""
        if isinstance(found, Failed):
            self.codes[f"{method} {found.code.name}"] += 1
        elif isinstance(found, bytes):
            self.codes.update(f"{method} {code}" for code in (*_codes(method, found), *briefly))

    def trade(self, status: int, reason: int) -> None:
        """How a trade ended."""
        name = trade_pb.TradeStatus.Name(trade_pb.TradeStatus.ValueType(status))
        words = f"trade {name.removeprefix('TRADE_STATUS_')}"
        self.codes[f"{words} {_reason(reason)}" if reason else words] += 1

    def canceling(self, refusal: int) -> None:
        """What the exchange said of a cancel; 0: done."""
        self.codes[f"cancel {_reason(refusal)}" if refusal else "cancel done at the exchange"] += 1

    def missing_races(self) -> list[str]:
        """What no race came to."""
        return sorted(end for end in EXPECTED_RACES if not self.races[end])

    def missing(self) -> list[str]:
        """What was never met."""
        points = [name for name in KILL_POINTS if not self.kill_points[name]]
        return points + sorted(code for code in EXPECTED_CODES if not self.codes[code])


def _codes(method: str, body: bytes) -> Iterator[str]:
    if method in _LEDGER:
        for item in _LEDGER[method].FromString(body).results:
            yield _reason(item.reason)
    elif method == "ApplyOutcomes":
        for outcome in order_pb.ApplyOutcomesResponse.FromString(body).results:
            yield order_pb.OutcomeResult.Code.Name(outcome.code)
    elif method == "ApplyReports":
        for report in execution_pb.ApplyReportsResponse.FromString(body).results:
            yield execution_pb.ReportResult.Code.Name(report.code)
    else:
        yield from _order_codes(method, body)


def _order_codes(method: str, body: bytes) -> Iterator[str]:
    if method == "SubmitOrders":
        for result in gateway_pb.SubmitOrdersResponse.FromString(body).results:
            state = gateway_pb.OrderState.Name(result.state)
            yield _reason(result.reason) if result.reason else state
    elif method == "CancelOrders":
        for taken in gateway_pb.CancelOrdersResponse.FromString(body).results:
            state = gateway_pb.OrderState.Name(taken.state)
            words = "never sent" if taken.never_sent else state
            yield _reason(taken.reason) if taken.reason else words
    elif method == "GetOrders":
        for order in gateway_pb.GetOrdersResponse.FromString(body).orders:
            yield gateway_pb.OrderState.Name(order.state)
    elif method == "ClaimTrades":
        claims = order_pb.ClaimTradesResponse.FromString(body)
        yield from ["lost partition"] * len(claims.lost_partitions)
        yield from ["claimed"] * len(claims.trades)
        yield from ["cancel"] * len(claims.cancels)
