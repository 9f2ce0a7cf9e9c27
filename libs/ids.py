"""New ids as something that is handed in: UUIDv7 text (RFC 9562), rising within a process."""

import secrets
import threading
from typing import Protocol

from libs.clock import Clock

_SEQUENCE_BITS = 12


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

    def new(self) -> str:
        ticks = int(self._clock.now().timestamp() * 1000) << _SEQUENCE_BITS
        with self._lock:
            self._last = ticks = max(ticks, self._last + 1)
        milliseconds, sequence = ticks >> _SEQUENCE_BITS, ticks & 0xFFF
        high = milliseconds << 16 | 0x7000 | sequence
        low = 0x8000_0000_0000_0000 | secrets.randbits(62)
        text = f"{high:016x}{low:016x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
