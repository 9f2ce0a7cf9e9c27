"""New ids as something that is handed in: UUIDv7 text (RFC 9562), rising within a process."""

import secrets
import struct
import threading
from collections.abc import Iterator
from typing import Protocol

from libs.clock import Clock

_SEQUENCE_BITS = 12
# How many random numbers are asked of the system at once: asking costs more than the number.
_AT_ONCE = 512


class Ids(Protocol):
    """Makes ids."""

    def new(self) -> str:
        """A UUID that no one else makes, as 36 characters of text."""


class SystemIds:
    """UUIDv7 from the clock, a counter within the millisecond, and 62 random bits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0
        self._random: Iterator[tuple[int]] = iter(())

    def new(self) -> str:
        ticks = int(self._clock.now().timestamp() * 1000) << _SEQUENCE_BITS
        with self._lock:
            self._last = ticks = max(ticks, self._last + 1)
            random = self._draw()
        low = 0x8000_0000_0000_0000 | random >> 2
        return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - half the time of an f-string
            ticks >> 28,
            ticks >> _SEQUENCE_BITS & 0xFFFF,
            ticks & 0xFFF,
            low >> 48,
            low & 0xFFFF_FFFF_FFFF,
        )

    def _draw(self) -> int:
        """64 random bits that nobody else has."""
        for (random,) in self._random:
            return random
        self._random = struct.iter_unpack("Q", secrets.token_bytes(8 * _AT_ONCE))
        return self._draw()
