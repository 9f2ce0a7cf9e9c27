"""What sources told of executions that not all of them have yet, and that is not kept yet.

Most of it is on its way, and complete within the grace: it is then kept in one row, and nobody
had to be suspected. Until then it is in memory alone, and the sources count as read only up to the
first of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from services.reconciliation.domain.sighting import Key, Place, Sighting, Source, numbered


class Told(msgspec.Struct, frozen=True):
    """Sightings of one execution, and when the first of them was told."""

    noticed_at: datetime
    sightings: Sequence[Sighting]

    @property
    def is_amended(self) -> bool:
        """Whether there is more than the fill: it came later."""
        return any(each.amendment_id for each in self.sightings)

    def and_then(self, fresh: Sequence[Sighting]) -> "Told":
        """With what sources tell now, which may be in place of what they told before."""
        return Told(self.noticed_at, _latest([*self.sightings, *fresh]))


Held = Mapping[Key, Told]


def add(held: Held, fresh: Iterable[Sighting], *, now: datetime) -> dict[Key, Told]:
    """What is held with what was told now."""
    told: dict[Key, list[Sighting]] = {}
    for sighting in fresh:
        told.setdefault((sighting.venue, sighting.execution_id), []).append(sighting)
    found = dict(held)
    for key, sightings in told.items():
        before = found.get(key)
        found[key] = Told(now, _latest(sightings)) if before is None else before.and_then(sightings)
    return found


def read_so_far(held: Held, source: Source, read: Place) -> Place:
    """Up to where all that a source told is kept, when it is read up to `read`."""
    positions = [
        sighting.position
        for told in held.values()
        for sighting in told.sightings
        if sighting.source is source
    ]
    return min(read, numbered(min(positions) - 1)) if positions else read


def _latest(told: list[Sighting]) -> list[Sighting]:
    """What was told last of each place of each source."""
    if len({each.source for each in told}) == len(told):
        return told
    return list({(each.source, each.position, each.part): each for each in told}.values())
