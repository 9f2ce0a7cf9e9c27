"""What the gateway was brought of cancels and replaces, and when: none is brought too often."""

from collections.abc import Mapping

from services.execution.domain.trade import OpenCustomer

_NEVER = ("", 0, float("-inf"))


class Brought:
    """By trade: the request, the epoch it was brought under, and when (monotonic seconds)."""

    def __init__(self, *, again_after_seconds: float) -> None:
        self._again_after_seconds = again_after_seconds
        self._brought: dict[str, tuple[str, int, float]] = {}

    def note(self, trade_id: str, request_id: str, epoch: int, now: float) -> bool:
        """The gateway has the request; whether it had it before, under this epoch."""
        before = self._brought.get(trade_id, _NEVER)
        self._brought[trade_id] = request_id, epoch, now
        return before[:2] == (request_id, epoch)

    def has(self, trade_id: str, request_id: str, epoch: int, now: float) -> bool:
        """Whether the gateway got the request under this epoch, not long ago."""
        found = self._brought.get(trade_id, _NEVER)
        return found[:2] == (request_id, epoch) and self._is_fresh(found, now)

    def to_bring(self, open_requests: Mapping[str, OpenCustomer], now: float) -> list[str]:
        """Customers whose requests, by trade, are to be brought to the gateway now.

        Each once. One that nobody has taken up is another than was brought before; one that the
        gateway has had for long is brought again. What is not open any more is forgotten.
        """
        self._brought = {
            trade_id: brought
            for trade_id, brought in self._brought.items()
            if trade_id in open_requests or self._is_fresh(brought, now)
        }
        wanted = (
            request.customer_id
            for trade_id, request in open_requests.items()
            if not request.is_taken_up
            or not self._is_fresh(self._brought.get(trade_id, _NEVER), now)
        )
        return list(dict.fromkeys(wanted))

    def _is_fresh(self, brought: tuple[str, int, float], now: float) -> bool:
        return brought[2] > now - self._again_after_seconds
