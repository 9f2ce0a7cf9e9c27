"""What an operator has to look at, as metrics."""

from prometheus_client import Gauge

from services.exchange_gateway.session.unanswered import Unanswered

_parked = Gauge("gateway_reports_parked_now", "Reports that cannot be true, not settled by anyone")
_breaks = Gauge("gateway_order_breaks", "Orders the venue and the books say different things of")
_age = Gauge("gateway_order_unanswered_seconds", "Age of the oldest order without an answer")
_replace_age = Gauge(
    "gateway_replace_unanswered_seconds", "Age of the oldest replace without an answer"
)


class Alarms:
    """The counts of one session; a process shows those of the session it holds."""

    def __init__(self, waiting: Unanswered, replaces: Unanswered) -> None:
        self._reports = 0
        _age.set_function(lambda: waiting.oldest_seconds)
        _replace_age.set_function(lambda: replaces.oldest_seconds)

    def set_parked(self, reports: int) -> None:
        """So many are parked."""
        self._reports = reports
        _parked.set(reports)

    def parked(self, reports: int) -> None:
        """So many more are; less than 0: fewer."""
        self.set_parked(self._reports + reports)

    def set_breaks(self, breaks: int) -> None:
        """So many differences with the venue are open."""
        _breaks.set(breaks)
