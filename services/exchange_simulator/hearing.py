"""What a batch brings to members' orders: what the matching core says becomes reports and state."""

from collections.abc import Iterable

from msgspec.structs import replace

from services.exchange_simulator.clerk import Clerk
from services.exchange_simulator.domain import Ending, ExecType, RejectReason, Report
from services.exchange_simulator.market import MEMBERS
from services.exchange_simulator.matching import Elected, Ended, Event, Refused, Traded
from services.exchange_simulator.working import Blotter, Working


class Hearing:
    """Tells members, and keeps the blotter as they are told."""

    def __init__(self, blotter: Blotter, clerk: Clerk) -> None:
        self.blotter = blotter
        self.clerk = clerk

    def hear(self, events: Iterable[Event]) -> None:
        """What the matching core says, as far as it is about members' orders."""
        for event in events:
            if isinstance(event, Traded):
                for fill in event.fills:
                    for number in (event.order_id, fill.order.order_id):
                        if number >= MEMBERS:
                            working = self.blotter.numbered(number)
                            self.fill(working, fill.quantity, fill.price)
            elif event.order_id >= MEMBERS:
                self._hear_of(self.blotter.numbered(event.order_id), event)

    def fill(self, working: Working, quantity: int, price: int) -> Working:
        """Shares of an order traded; the order then, which is over once nothing is left."""
        working = replace(working, filled=working.filled + quantity)
        self.blotter.put(working)
        self.tell(
            working,
            Report(
                ExecType.TRADE,
                last_quantity=quantity,
                last_price_micros=price,
                cumulative_quantity=working.filled,
                leaves_quantity=working.left,
            ),
        )
        if not working.left:
            self.blotter.drop(working.order.client_order_id)
        return working

    def end(
        self, working: Working, kind: ExecType, ending: Ending, *, command_seq: int = 0
    ) -> None:
        """What is left of an order will not fill."""
        report = Report(
            kind, cumulative_quantity=working.filled, ending=ending, command_seq=command_seq
        )
        self.tell(working, report)
        self.blotter.drop(working.order.client_order_id)

    def elect(self, working: Working) -> Working:
        """A waiting order has met its price; the order then."""
        working = replace(working, is_waiting=False, place=self.blotter.next_place())
        self.blotter.put(working)
        self.tell(working, Report(ExecType.TRIGGERED, leaves_quantity=working.left))
        return working

    def tell(self, working: Working, report: Report) -> None:
        """One report about an order."""
        self.clerk.tell(working.session_id, working.filing, report)

    def _hear_of(self, working: Working, event: Elected | Refused | Ended) -> None:
        if isinstance(event, Elected):
            self.elect(working)
        elif isinstance(event, Refused):
            self.end(working, ExecType.REJECTED, event.ending)
        elif event.ending.reason == RejectReason.EXPIRED:
            self.end(working, ExecType.EXPIRED, event.ending)
        else:
            self.end(working, ExecType.CANCELED, event.ending)
