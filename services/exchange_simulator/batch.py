"""One batch: commands of members, steps of a tape or the end of a day, matched on the floor.

What the matching core says becomes reports and the state of members' orders. Nothing of it is true
before it is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from services.exchange_simulator import scripted
from services.exchange_simulator.domain import (
    CancelOrder,
    Command,
    Ending,
    ExecType,
    Filing,
    NewOrder,
    RejectReason,
    ReplaceOrder,
    Report,
    Ticket,
)
from services.exchange_simulator.faults import Faults
from services.exchange_simulator.floor import Floor
from services.exchange_simulator.hearing import Hearing
from services.exchange_simulator.hours import day_of
from services.exchange_simulator.keeping import Day, OrderRow
from services.exchange_simulator.market import TapeCommand
from services.exchange_simulator.matching import Refused, Traded
from services.exchange_simulator.plans import Plan
from services.exchange_simulator.scripts import Outcome, Script, Scripts
from services.exchange_simulator.standings import Standing
from services.exchange_simulator.terms import flaw_of
from services.exchange_simulator.working import Working

_BY_MEMBER = Ending(RejectReason.CANCELED_BY_MEMBER, "canceled by the member")
_TOO_LATE = Ending(RejectReason.TOO_LATE, "the order has ended")
_UNKNOWN = Ending(RejectReason.UNKNOWN_ORDER, "no such order of this session")
_DUPLICATE = Ending(
    RejectReason.DUPLICATE_ORDER_ID, "client_order_id was used before with other terms"
)


@dataclass(frozen=True, slots=True)
class Known:
    """What the database has of the orders that a batch names, by id."""

    terms: Mapping[str, NewOrder]
    standings: Mapping[str, Standing]


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator has to say about orders: chances, and scripts."""

    faults: Faults
    scripts: Scripts


class Batch:
    """Executes on the floor, in the order it is asked to."""

    def __init__(self, floor: Floor, told: Hearing, rules: Rules, known: Known) -> None:
        self._floor = floor
        self._told = told
        self._blotter = told.blotter
        self._rules = rules
        self._terms = dict(known.terms)
        self._standings = known.standings
        self._placed: dict[str, tuple[Working, bool]] = {}
        self.clerk = told.clerk
        self.day: Day | None = None

    def command(self, session_id: str, seq: int, command: Command, *, is_open: bool) -> None:
        """Do what a member asks for."""
        if isinstance(command, NewOrder):
            self._place(session_id, command, is_open=is_open)
        elif isinstance(command, CancelOrder):
            self._cancel(session_id, seq, command)
        else:
            self._replace(session_id, seq, command, is_open=is_open)

    def play(self, symbol: str, command: TapeCommand, *, is_open: bool) -> int | None:
        """Do what another participant does: the shares it traded; None: it was missed."""
        events = self._floor.touch(symbol).play(command, is_open=is_open)
        if events is None:
            return None
        self._told.hear(events)
        own = [e for e in events if isinstance(e, Traded) and e.order_id == command.order_id]
        return sum(fill.quantity for event in own for fill in event.fills)

    def drift(self, symbol: str) -> None:
        """One idle move of a maker."""
        self._told.hear(self._floor.touch(symbol).drift())

    def resume(self, symbol: str) -> None:
        """A pause of trading is over."""
        self._floor.touch(symbol)

    def follow(self) -> None:
        """Makers quote again where there were orders."""
        self._told.hear(self._floor.follow())

    def turn_day(self, day: Day) -> None:
        """The exchange's day is this one from then on."""
        self.day = day

    def end_day(self, closed_at: datetime | None) -> None:
        """DAY orders expire, but those of a later day than the one that closed then; None: all."""
        stay = set[int]()
        if closed_at is not None:
            closed, now = day_of(closed_at), day_of(self.clerk.now)
            stay = {w.number for w in self._blotter if closed < day_of(w.received_at) <= now}
        for symbol in sorted({working.order.symbol for working in self._blotter}):
            self._told.hear(self._floor.touch(symbol).matcher.end_day(stay))
        scripted.end_day(self._told, stay)

    def prompt(self, client_order_id: str, plan: Plan) -> None:
        """The wait of an order that goes by script is over, unless it has gone on already."""
        working = self._blotter.find(client_order_id)
        if working is not None and working.plan == plan:
            scripted.perform(self._told, working)

    def orders(self) -> list[OrderRow]:
        """The orders that are new."""
        return [self._row_of(*placed) for placed in self._placed.values()]

    def _place(self, session_id: str, order: NewOrder, *, is_open: bool) -> None:
        client_order_id = order.client_order_id
        known = self._terms.setdefault(client_order_id, order)
        if known is not order:
            if known != order:
                filing = Filing(client_order_id, "", order.symbol, order.side)
                refusal = Report(ExecType.REJECTED, ending=_DUPLICATE)
                self.clerk.tell(session_id, filing, refusal)
            return
        working = self._blotter.open(order, session_id, self.clerk.next_id(), at=self.clerk.now)
        script = self._rules.scripts.find(order)
        is_silent = self._rules.faults.leaves_unanswered()
        is_silent = is_silent or (script is not None and script.outcome == Outcome.NO_ANSWER)
        self._placed[client_order_id] = (working, is_silent)
        if is_silent:
            return
        ticket = working.ticket()
        ending = self._objection(order.symbol, ticket, is_open=is_open, script=script)
        if ending is not None:
            self.clerk.tell(session_id, working.filing, Report(ExecType.REJECTED, ending=ending))
            return
        market = self._floor.touch(order.symbol)
        if script is not None:
            scripted.begin(self._told, working, script, market)
            return
        self._blotter.put(working)
        events = market.enter(ticket)
        if not (events and isinstance(events[0], Refused)):
            self._told.tell(working, Report(ExecType.NEW, leaves_quantity=working.left))
        self._told.hear(events)

    def _objection(
        self, symbol: str, ticket: Ticket, *, is_open: bool, script: Script | None
    ) -> Ending | None:
        """Why a new order may not stand; None: it may. By script it may at any hour."""
        ending = self._rules.faults.objection()
        if ending is None and (script is None or symbol not in self._floor.markets):
            ending = self._floor.objection(symbol, is_open=is_open)
        words = "" if ending is not None else flaw_of(ticket)
        return Ending(RejectReason.OTHER, words) if words else ending

    def _cancel(self, session_id: str, seq: int, command: CancelOrder) -> None:
        working = self._find(session_id, command.client_order_id)
        if working is None:
            self._miss(session_id, seq, command.client_order_id, ExecType.CANCEL_REJECTED)
            return
        self._floor.touch(working.order.symbol).matcher.cancel(working.number)
        self._told.end(working, ExecType.CANCELED, _BY_MEMBER, command_seq=seq)

    def _replace(self, session_id: str, seq: int, command: ReplaceOrder, *, is_open: bool) -> None:
        working = self._find(session_id, command.client_order_id)
        if working is None:
            self._miss(session_id, seq, command.client_order_id, ExecType.REPLACE_REJECTED)
            return
        wanted = _replaced(working, command)
        ending = self._floor.objection(working.order.symbol, is_open=is_open)
        ending = None if working.plan is not None else ending
        words = _flaw_of_replaced(working, wanted)
        if ending is None and words:
            ending = Ending(RejectReason.OTHER, words)
        if ending is None and working.plan is None and wanted.left > 0:
            ending = self._floor.touch(working.order.symbol).breach(wanted.ticket())
        if ending is not None:
            refusal = Report(
                ExecType.REPLACE_REJECTED,
                cumulative_quantity=working.filled,
                leaves_quantity=working.left,
                ending=ending,
                command_seq=seq,
            )
            self._told.tell(working, refusal)
            return
        self._change(working, wanted, seq)

    def _change(self, working: Working, wanted: Working, seq: int) -> None:
        """Give an order the terms that are wanted."""
        market = self._floor.touch(working.order.symbol)
        is_same_price = (wanted.limit, wanted.stop) == (working.limit, working.stop)
        if not is_same_price or wanted.left > working.left:
            wanted = replace(wanted, place=self._blotter.next_place())
        self._blotter.put(wanted)
        self._told.tell(
            wanted,
            Report(
                ExecType.REPLACED,
                cumulative_quantity=wanted.filled,
                leaves_quantity=max(0, wanted.left),
                command_seq=seq,
                quantity=wanted.quantity,
                limit_price_micros=wanted.limit,
                stop_price_micros=wanted.stop,
                max_notional_micros=wanted.max_notional,
            ),
        )
        if wanted.left > 0 and wanted.plan is None:
            self._told.hear(market.replace(wanted.ticket()))
        elif wanted.left <= 0:
            market.matcher.cancel(wanted.number)
            self._told.end(wanted, ExecType.CANCELED, _BY_MEMBER)

    def _find(self, session_id: str, client_order_id: str) -> Working | None:
        """An order of that session which works."""
        working = self._blotter.find(client_order_id)
        return working if working is not None and working.session_id == session_id else None

    def _miss(self, session_id: str, seq: int, client_order_id: str, kind: ExecType) -> None:
        """Answer a command about an order that does not work; none, if it is left unanswered."""
        if client_order_id in self._placed:
            working, is_silent = self._placed[client_order_id]
            working = self._blotter.ended(client_order_id) or working
            owner, filing, filled = working.session_id, working.filing, working.filled
        elif (ended := self._blotter.ended(client_order_id)) is not None:
            owner, filing, filled, is_silent = ended.session_id, ended.filing, ended.filled, False
        elif (standing := self._standings.get(client_order_id)) is not None:
            owner, filing, is_silent = standing.session_id, standing.filing, standing.is_open
            filled = standing.cumulative_quantity
        else:
            owner, filing, filled, is_silent = "", Filing(client_order_id), 0, False
        if owner != session_id:
            self.clerk.tell(
                session_id,
                Filing(client_order_id),
                Report(kind, ending=_UNKNOWN, command_seq=seq),
            )
        elif not is_silent:
            report = Report(kind, cumulative_quantity=filled, ending=_TOO_LATE, command_seq=seq)
            self.clerk.tell(session_id, filing, report)

    def _row_of(self, working: Working, is_silent: bool) -> OrderRow:
        order = working.order
        works = self._blotter.find(order.client_order_id)
        latest = works or self._blotter.ended(order.client_order_id) or working
        return OrderRow(
            order,
            working.session_id,
            working.exchange_order_id,
            working.received_at,
            is_open=is_silent or works is not None,
            replaced_quantity=latest.quantity,
        )


def _replaced(working: Working, command: ReplaceOrder) -> Working:
    """The order as it is wanted."""
    return replace(
        working,
        quantity=command.quantity,
        limit=command.limit_price_micros or working.limit,
        stop=command.stop_price_micros or working.stop,
        max_notional=command.max_notional_micros or working.max_notional,
    )


def _flaw_of_replaced(working: Working, wanted: Working) -> str:
    """What is wrong with new terms, in words; empty: nothing."""
    if wanted.stop != working.stop and not working.is_waiting:
        return "the order does not wait for a price"
    ticket = replace(wanted.ticket(), quantity=wanted.quantity, stop=wanted.stop)
    return flaw_of(ticket)
