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

    def and_then(self, fresh: Sighting) -> "Told":
        """With what a source tells now, which may be in place of what it told before."""
        others = [each for each in self.sightings if not _is_same(each, fresh)]
        return Told(self.noticed_at, [*others, fresh])


Held = Mapping[Key, Told]


def add(held: Held, fresh: Iterable[Sighting], *, now: datetime) -> dict[Key, Told]:
    """What is held with what was told now."""
    found = dict(held)
    for sighting in fresh:
        key = sighting.venue, sighting.execution_id
        told = found.get(key)
        found[key] = Told(now, [sighting]) if told is None else told.and_then(sighting)
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


def _is_same(one: Sighting, other: Sighting) -> bool:
    """Whether they stand at the same place of the same source."""
    return (one.source, one.position, one.part) == (other.source, other.position, other.part)
