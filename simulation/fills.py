"""What was executed, taken back and corrected: told, booked once, and owned (I5, I18, I24).

Written without the services' rules, as all of the invariants.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulation.database import Database
from simulation.scenario import Customer
from simulation.world import Violation
from stockbroker.exchange.v1 import exchange_pb2 as exchange_pb

_TRADE, _BUST, _CORRECT = 2, 10, 11  # ExecTypes
_BUY = 1
_CASH = "USD"
Change = tuple[int, int]  # shares, micros


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill as the exchange told it first."""

    trade_id: str
    symbol: str
    is_buy: bool
    quantity: int
    price_micros: int

    def change(self, quantity: int, price_micros: int) -> Change:
        """What the customer gets by so much of it."""
        sign = 1 if self.is_buy else -1
        return sign * quantity, -sign * quantity * price_micros


@dataclass(frozen=True, slots=True)
class Amended:
    """What became of a fill; busted: nothing."""

    amendment_id: str
    quantity: int
    price_micros: int


@dataclass(frozen=True, slots=True)
class Told:
    """All that the exchange said of fills, by the ids it gave them."""

    fills: Mapping[str, Fill]
    amended: Mapping[str, Sequence[Amended]]  # in the order told, each after the one before it

    def right(self, exec_id: str) -> tuple[int, int]:
        """Quantity and price as they are in the end."""
        line: list[Fill | Amended] = [self.fills[exec_id], *self.amended.get(exec_id, ())]
        return line[-1].quantity, line[-1].price_micros

    def of_trades(self) -> Mapping[str, list[tuple[int, int]]]:
        """What is right of each trade's fills."""
        found = defaultdict(list)
        for exec_id, fill in self.fills.items():
            found[fill.trade_id].append(self.right(exec_id))
        return found


def told_by(exchange: Database) -> Told:
    """All fills of members, and what became of them. Raises Violation: the same amended twice."""
    fills: dict[str, Fill] = {}
    amended: dict[str, list[Amended]] = defaultdict(list)
    latest: dict[str, str] = {}  # by which report a fill is what it is: which fill
    for exec_type, body in exchange.rows(
        "SELECT exec_type, body FROM report WHERE exec_type = ANY (%s) ORDER BY report_seq",
        [_TRADE, _BUST, _CORRECT],
    ):
        report = exchange_pb.ExecutionReport.FromString(body)
        terms = report.last_quantity, report.last_price_micros
        if exec_type == _TRADE:
            is_buy = report.side == _BUY
            fill = Fill(report.client_order_id, report.symbol, is_buy, *terms)
            fills[report.exec_id] = fill
            latest[report.exec_id] = report.exec_id
            continue
        named = report.exec_ref_id
        _must("I5", named in latest, f"{named} is amended twice, or after it was busted")
        exec_id = latest.pop(named)
        amended[exec_id].append(Amended(report.exec_id, *((0, 0) if exec_type == _BUST else terms)))
        if exec_type == _CORRECT:
            latest[report.exec_id] = exec_id
    return Told(fills, amended)


def count(told: Told, codes: Counter[str]) -> None:
    """For the coverage."""
    for line in told.amended.values():
        codes["fill corrected"] += sum(1 for each in line if each.quantity)
        codes["fill busted"] += sum(1 for each in line if not each.quantity)
        codes["correction corrected"] += sum(1 for each in line[1:] if each.quantity)
        codes["correction busted"] += sum(1 for each in line[1:] if not each.quantity)


def check_fills(told: Told, order: Database, ledger: Database, gateway: Database) -> None:
    """What was told is recorded, booked and counted once each. Raises Violation."""
    fills = {id_: (f.trade_id, f.quantity, f.price_micros) for id_, f in told.fills.items()}
    kept = _by_id(
        order, "SELECT execution_id, trade_id::text, quantity, price_micros FROM execution"
    )
    _must("I5", kept == fills, f"the trades' fills {kept} are not the venue's {fills}")
    amended = {
        each.amendment_id: (exec_id, number, each.quantity, each.price_micros)
        for exec_id, line in told.amended.items()
        for number, each in enumerate(line, start=1)
    }
    kept = _by_id(
        order,
        "SELECT amendment_id, execution_id, number, quantity, price_micros"
        " FROM execution_amendment",
    )
    _must("I5", kept == amended, f"the trades' amendments {kept} are not the venue's {amended}")
    counted = dict(
        gateway.rows(
            "SELECT trade_id::text, filled_quantity - taken_back FROM venue_order"
            " WHERE filled_quantity > 0"
        )
    )
    right = {trade: sum(q for q, _ in fills) for trade, fills in told.of_trades().items()}
    _must("I5", counted == right, f"the gateway counts {counted}, the venue {right}")
    _check_booked(told, ledger)


def check_booked_first(order: Database, ledger: Database) -> None:
    """I24: whoever sees a fill of a trade sees it in the books. Raises Violation."""
    told = set(order.rows("SELECT execution_id FROM execution"))
    booked = ledger.rows(
        "SELECT split_part(reference, '/', 2) FROM transfer WHERE kind = 'execution' AND reason = 0"
    )
    _must("I24", told <= set(booked), f"{told - set(booked)} is told, not booked")


def _check_booked(told: Told, ledger: Database) -> None:
    """One posting of each fill, one of each amendment, and each comes to what is right by then."""
    booked: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for kind, exec_id, shares, micros in ledger.rows(
        # Behind an id and a space stands which try it was.
        "SELECT t.kind::text, split_part(split_part(t.reference, '/', 2), ' ', 1),"
        " coalesce(sum(e.amount) FILTER (WHERE a.asset <> 'USD'), 0)::bigint,"
        " coalesce(sum(e.amount) FILTER (WHERE a.asset = 'USD'), 0)::bigint"
        " FROM transfer t JOIN entry e ON e.transfer_seq = t.seq"
        " JOIN account a ON a.id = e.account_id"
        " WHERE t.kind IN ('execution', 'bust', 'correction') AND t.reason = 0 AND a.has_floor"
        " GROUP BY t.seq, t.kind, t.reference"
    ):
        booked[kind, exec_id].append((shares, micros))
    expected: dict[tuple[str, str], list[Change]] = {}
    for exec_id, fill in told.fills.items():
        before = fill.change(fill.quantity, fill.price_micros)
        expected["execution", exec_id] = [before]
        for each in told.amended.get(exec_id, ()):
            after = fill.change(each.quantity, each.price_micros)
            kind = "correction" if each.quantity else "bust"
            change = after[0] - before[0], after[1] - before[1]
            expected[kind, each.amendment_id] = [change]
            before = after
    _must("I5", booked == expected, f"{_differing(booked, expected)} is booked, else than told")


def check_owned(
    told: Told, order: Database, ledger: Database, customers: Sequence[Customer]
) -> None:
    """I18: everybody owns what was given, and what came of their fills. Raises Violation."""
    expected: Counter[tuple[str, str]] = Counter()
    for customer in customers:
        for asset, amount in customer.given.items():
            expected[f"customer/{customer.name}", asset] += amount
    owners = dict(order.rows("SELECT trade_id::text, customer_id FROM trade"))
    for exec_id, fill in told.fills.items():
        name = f"customer/{owners[fill.trade_id]}"
        shares, micros = fill.change(*told.right(exec_id))
        expected[name, fill.symbol] += shares
        expected[name, _CASH] += micros
    owned = {
        (name, asset): posted
        for name, asset, posted in ledger.rows(
            "SELECT name, asset, posted FROM account WHERE has_floor AND posted <> 0"
        )
    }
    expected = Counter({key: amount for key, amount in expected.items() if amount})
    _must("I18", owned == expected, f"{_differing(owned, expected)} is owned, else than told")


def _differing(found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """What differs: found, and expected."""
    keys = sorted(found.keys() | expected.keys())
    return {
        key: (found.get(key), expected.get(key))
        for key in keys
        if found.get(key) != expected.get(key)
    }


def _by_id(database: Database, query: str) -> Mapping[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in database.rows(query)}


def _must(promise: str, holds: object, words: str) -> None:
    if not holds:
        raise Violation(f"{promise}: {words}")
