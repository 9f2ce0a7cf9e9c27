"""What must not happen between the services of one house."""

from services.execution.domain.booking import Booking, Code


class HouseFault(RuntimeError):
    """A neighbour refused what it must not refuse; a person must look."""


def must(booking: Booking) -> None:
    """Raise HouseFault unless it was done."""
    if booking.code is not Code.APPLIED:
        raise HouseFault(booking.detail)
