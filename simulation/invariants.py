"""The promises, checked from outside: on every commit, on every message, and on all of history.

Written without the services' rules: this is the second opinion. I1 to I24 are those of
docs/SIMULATION.md.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from simulation.brief import left_out
from simulation.cancels import check_cancels, under_way
from simulation.coverage import Coverage
from simulation.database import Database
from simulation.epochs import check_epochs, under_old_epochs
from simulation.fills import check_booked_first, check_fills, check_owned, count, told_by
from simulation.heals import unexplained
from simulation.means import check_refused
from simulation.races import Race
from simulation.reasons import check_reasons
from simulation.resting import check_ends, check_rest, moving, unheard
from simulation.scenario import Street
from simulation.stops import check_sent, check_triggered
from simulation.stories import check_story, outcome, stories
from simulation.terms import check_terms
from simulation.world import Violation, World
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.exchange.v1 import exchange_service_pb2 as exchange_pb
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb

_NEVER_SAID = (
    "rpc_failed",
    "flight_failed",
    "operation_failed",
    "task_failed",
    "seal_failed",
    "tenure_failed",
    "session_failed",
    "report_impossible",
    "report_parked",
    "outcome_impossible",
    "reports_not_booked",
    "batch_failed_retrying_singly",
    "invariant_broken",
)
_SAID_OF_PARKED = ("report_impossible", "report_parked")
_RETRIED = 2
_AMENDMENTS = (9, 10)  # kinds of reports
_STARTED, _ACCEPTED, _EXECUTED = 2, 3, 4  # kinds of events
_ENDED = (4, 7, 8, 9)  # FILLED, CANCELED, REJECTED, EXPIRED


def _must(holds: object, words: str) -> None:
    if not holds:
        raise Violation(words)


_PARKED = "SELECT 1 FROM parked_report WHERE state = 1 LIMIT 1"


class Eyes:
    """Sees everything; raises Violation."""

    def __init__(
        self,
        world: World,
        databases: Mapping[str, Database],
        street: Street,
        *,
        holds_stops: bool,
    ) -> None:
        self._world = world
        self._order = databases["order"]
        self._ledger = databases["ledger"]
        self._gateway = databases["exchange_gateway"]
        self._exchange = databases["exchange_simulator"]
        self._street = street
        self._holds_stops = holds_stops
        self.coverage = Coverage()

    # Messages.

    def request(self, method: str, body: bytes) -> Collection[object]:
        """I8: facts are stored before they are acted on. Gives what is under an old epoch (I7)."""
        if method == "ApplyReports":
            self._world.watch(lambda: self._are_stored(body))
        return under_old_epochs(method, body, self._order, self._gateway)

    def response(self, method: str, old: Collection[object], body: bytes) -> None:
        """An epoch that is over claims nothing."""
        self._world.watch(lambda: check_epochs(method, old, body))

    def answered(self, method: str, body: bytes, found: object) -> None:
        """Results, for the coverage; what a brief answer leaves out is looked up."""
        more = left_out(method, body, found, self._gateway) if isinstance(found, bytes) else ()
        self.coverage.answered(method, found, briefly=more)

    def streamed(self, method: str, side: str, body: bytes) -> None:
        """I8: what the exchange is told is stored, is stored. I19."""
        if (method, side) != ("Session", "up"):
            return
        if self._holds_stops:
            self._world.watch(lambda: check_sent(body))
        request = exchange_pb.SessionRequest.FromString(body)
        if request.HasField("acknowledge") and request.acknowledge.report_seq:
            seq = request.acknowledge.report_seq
            self._world.watch(lambda: self._is_stored(seq, "acknowledged"))

    def _are_stored(self, body: bytes) -> None:
        for report in execution_pb.ApplyReportsRequest.FromString(body).reports:
            self._is_stored(report.report_seq, "delivered")

    def _is_stored(self, seq: int, done: str) -> None:
        found = self._gateway.rows("SELECT 1 FROM venue_report WHERE seq = %s", seq)
        _must(found, f"I8: report {seq} is {done} before it is stored")

    # Commits.

    def committed(self, connection: str) -> None:
        """What must hold after each commit."""
        if connection == "ledger-writer":
            self._check_books()
        elif connection.startswith("order-") and connection != "order-read":
            self._check_flights()
            check_booked_first(self._order, self._ledger)

    def _check_books(self) -> None:
        for asset, total in self._ledger.rows("SELECT asset, sum(posted) FROM account GROUP BY 1"):
            _must(total == 0, f"I1: {asset} adds up to {total}")
        rows = self._ledger.rows(
            "SELECT a.name, a.asset, a.has_floor, a.posted, a.held, coalesce(sum(h.remaining), 0)"
            " FROM account a LEFT JOIN hold h ON h.account_id = a.id AND h.is_open GROUP BY a.id"
        )
        for name, asset, has_floor, posted, held, remaining in rows:
            _must(not has_floor or posted >= held, f"I2: {name} {asset}: {posted} < {held}")
            _must(held == remaining, f"I4: {name} {asset}: {held} held, holds make {remaining}")

    def _check_flights(self) -> None:
        flying = self._order.rows(
            "SELECT customer_id FROM open_trade WHERE claimed_epoch > 0"
            " GROUP BY customer_id HAVING count(*) > 1"
        )
        _must(not flying, f"I7: two trades of {flying} are in flight")

    # The end.

    def is_settled(self) -> bool:
        """Whether nothing is under way anywhere."""
        return not (
            self._order.rows("SELECT 1 FROM open_trade LIMIT 1")
            or self._behind()
            or under_way(self._order, self._exchange)
            or unheard(self._gateway, self._exchange)
            or (self._street.amends and self._gateway.rows(_PARKED))
        )

    def is_at_rest(self) -> bool:
        """Whether nothing is under way but orders that rest."""
        if moving(self._order) or self._behind():
            return False
        return not unheard(self._gateway, self._exchange)

    def look_at_rest(self, races: Iterable[Race]) -> None:
        """What must hold while orders rest; how the races before were decided."""
        check_rest(self._order, self._ledger, self._exchange)
        told = stories(self._order)
        self.coverage.races.update(
            f"{race.kind.name}: {outcome(told[race.trade_id], is_replaced=race.kind.replaces)}"
            for race in races
        )

    def _behind(self) -> list[tuple[Any, ...]]:
        return self._gateway.rows(
            "SELECT 'reports', s.next_seq, d.next_seq FROM progress s JOIN progress d"
            " ON s.lane = 'stored' AND d.lane = 'delivered' WHERE s.next_seq <> d.next_seq"
            " UNION ALL SELECT 'unanswered', count(*), 0 FROM unanswered_order HAVING count(*) > 0"
            " UNION ALL SELECT 'later', count(*), 0 FROM later_report HAVING count(*) > 0"
        )

    def unsettled(self, work: Iterable[asyncio.Task[Any]]) -> str:
        """What is under way, in words."""
        waiting = self._order.rows(
            "SELECT o.customer_id, o.trade_id::text, t.status, o.claimed_epoch, o.attempts"
            " FROM open_trade o JOIN trade t USING (trade_id) ORDER BY o.placed_seq"
        )
        calling = sum(not task.done() for task in work)
        resting = under_way(self._order, self._exchange)
        return f"trades {waiting}, {resting}, gateway {self._behind()}, {calling} customers calling"

    def check_all(self, heals: Mapping[str, int]) -> None:
        """All of history."""
        self._check_books()
        self._check_history()
        told = told_by(self._exchange)
        check_fills(told, self._order, self._ledger, self._gateway)
        self._check_trades(told.of_trades())
        check_owned(told, self._order, self._ledger, self._street.customers)
        count(told, self.coverage.codes)
        self._check_order_of_trades()
        check_cancels(self._order, self._street, self.coverage)
        triggered = check_triggered(self._gateway, self._exchange)
        self.coverage.codes["held stop triggered"] += len(triggered)
        check_ends(self._order, self._exchange, triggered=triggered)
        customers = self._street.customers
        check_refused(self._order, self._ledger, self._exchange)
        check_reasons(self._order, self._exchange)
        check_terms(customers, told, self._order, self._exchange, triggered=triggered)
        for trade_id, lines in stories(self._order).items():
            check_story(trade_id, lines)
        self._check_seals()
        self._check_parked()
        faults = self._world.faults
        self.coverage.struck(faults.struck)
        if (words := unexplained(heals, faults, len(self._trades()))) is not None:
            raise Violation(f"I10: {words}")

    def _check_history(self) -> None:
        """I1, I2, I3, I6: entries make the balances, without gap, never below zero."""
        entries = defaultdict(list)
        for account, *rest in self._ledger.rows(
            "SELECT account_id, version, amount, balance_after, coalesce(held_after, 0),"
            " transfer_seq FROM entry ORDER BY account_id, version"
        ):
            entries[account].append(rest)
        refused = {seq for (seq,) in self._ledger.rows("SELECT seq FROM transfer WHERE reason > 0")}
        for account, has_floor, posted, version in self._ledger.rows(
            "SELECT id, has_floor, posted, version FROM account"
        ):
            balance = 0
            for expected, (number, amount, after, held, seq) in enumerate(entries[account], 1):
                balance += amount
                _must(number == expected, f"I3: account {account} has a gap at {expected}")
                _must(balance == after, f"I3: account {account} version {number}: {after}")
                _must(not has_floor or after >= held >= 0, f"I2: account {account} {number}")
                _must(seq not in refused, f"I6: refused transfer {seq} has entries")
            _must((balance, len(entries[account])) == (posted, version), f"I1: account {account}")
        seqs = [seq for (seq,) in self._ledger.rows("SELECT seq FROM transfer ORDER BY seq")]
        _must(seqs == list(range(1, len(seqs) + 1)), "I6: the journal has a gap")
        still = self._ledger.rows("SELECT id FROM hold WHERE is_open")
        _must(not still, f"I4: all trades are over, holds are open: {still}")

    def _trades(self) -> list[tuple[Any, ...]]:
        return self._order.rows(
            "SELECT trade_id::text, customer_id, client_order_id, status, reason, quantity,"
            " filled_quantity, taken_back, filled_notional_micros, in_doubt FROM trade"
        )

    def _check_trades(self, fills: Mapping[str, list[tuple[int, int]]]) -> None:
        """I5, I6: each wish is one trade, with the exchange's fills and a reason for the rest."""
        answers = {
            (customer.name, wish): trade_id
            for customer in self._street.customers
            for wish, trade_id in customer.answers.items()
        }
        trades = self._trades()
        kept = {(trade[1], trade[2]): trade[0] for trade in trades}
        _must(kept == answers, f"I6: {kept} is kept, {answers} was answered")
        at_exchange = {
            row[0] for row in self._exchange.rows("SELECT client_order_id FROM member_order")
        }
        for trade_id, customer, _, status, reason, quantity, filled, *more in trades:
            taken_back, notional, doubt = more
            mine = fills.get(trade_id, [])
            _must(filled == sum(q for q, _ in mine), f"I5: {trade_id} says {filled} of {mine}")
            _must(notional == sum(q * p for q, p in mine), f"I5: the cost of {trade_id}")
            _must(
                filled + taken_back == quantity or reason, f"{trade_id} of {customer} has no reason"
            )
            _must(not doubt and status in _ENDED, f"I9: {trade_id} is not over")
            _must(not filled or trade_id in at_exchange, f"I5: {trade_id} was never sent")
            self.coverage.trade(status, reason)
        doubts = self._order.rows("SELECT count(*) FROM trade_event WHERE in_doubt")
        self.coverage.codes["trade in doubt"] += doubts[0][0]

    def _check_order_of_trades(self) -> None:
        """I7: a customer's trades are taken up in the order placed, one at a time.

        One that may rest holds up the next until the exchange has it.
        """
        flying: dict[str, str] = {}
        last: Counter[str] = Counter()
        for customer, trade_id, kind, status, placed_seq, may_rest, seq, before in self._order.rows(
            "SELECT e.customer_id, e.trade_id::text, e.kind, e.status, t.placed_seq,"
            " t.time_in_force = %s, e.seq,"
            " lag(e.seq) OVER (PARTITION BY e.customer_id ORDER BY e.seq)"
            " FROM trade_event e JOIN trade t USING (trade_id) ORDER BY e.customer_id, e.seq",
            terms.TIME_IN_FORCE_GTC,
        ):
            _must(seq == (before or 0) + 1, f"I7: {customer} has no event {(before or 0) + 1}")
            if kind == _STARTED:
                _must(customer not in flying, f"I7: {trade_id} overtakes {flying.get(customer)}")
                _must(placed_seq > last[customer], f"I7: {trade_id} is out of order")
                flying[customer], last[customer] = trade_id, placed_seq
            is_there = may_rest and kind in (_ACCEPTED, _EXECUTED)
            if (status in _ENDED or is_there) and flying.get(customer) == trade_id:
                del flying[customer]

    def _check_parked(self) -> None:
        """I5, I12: only what the exchange takes back may have to wait, and is booked then."""
        parked = self._gateway.rows(
            "SELECT p.seq, p.breach, p.detail, p.state, r.kind FROM parked_report p"
            " JOIN venue_report r USING (session_id, seq)"
        )
        wrong = [row for row in parked if row[3] != _RETRIED or row[4] not in _AMENDMENTS]
        _must(not wrong, f"I5: parked: {wrong}")
        self.coverage.codes["amendment parked, then booked"] += len(parked)
        for event in _NEVER_SAID:
            if not (parked and event in _SAID_OF_PARKED):
                _must(not self._world.log[event], f"I12: the log says {event}")

    def _check_seals(self) -> None:
        """I11: checkpoints follow each other and never run ahead of the journal."""
        seals = self._ledger.rows("SELECT seq, last_transfer_seq FROM checkpoint ORDER BY seq")
        _must([seq for seq, _ in seals] == list(range(1, len(seals) + 1)), "I11: a seal is missing")
        last = [until for _, until in seals]
        _must(last == sorted(set(last)), "I11: seals cover the same twice")
