"""Who leads which partition.

Every worker ranks all live workers for each partition by rendezvous hashing and comes to the same
answer without talking. The answer may be wrong for a moment, and two workers may both believe that
they lead: the epoch, raised by the order service for every new leader, decides whose claims count.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

from libs.partition import PARTITIONS

RING_SIZE = 3
# A worker that comes back must stay for this long before others hand partitions over to it.
SETTLE_SECONDS = 4.0
# And if they do not, it takes them after this much more.
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Peer:
    """Another worker that is alive now."""

    name: str
    alive_seconds: float
    leads: frozenset[int]


@dataclass(frozen=True, slots=True)
class View:
    """What a worker sees of the others. `may_lead` is false when others are better placed."""

    peers: tuple[Peer, ...]
    alive_seconds: float
    may_lead: bool = True


@dataclass(frozen=True, slots=True)
class Move:
    """What a worker should do now."""

    take: frozenset[int]
    drop: frozenset[int]


def ring_of(partition: int, workers: Collection[str]) -> tuple[str, ...]:
    """The candidates of a partition, at most three, best first.

    >>> ring_of(7, ["ann", "ben", "cleo", "dan"]) == ring_of(7, ["dan", "cleo", "ben", "ann"])
    True
    """
    ranked = sorted(workers, key=lambda worker: (_weight(partition, worker), worker), reverse=True)
    return tuple(ranked[:RING_SIZE])


def move(me: str, view: View, leads: Collection[int]) -> Move:
    """What `me`, leading `leads`, should take up and give up.

    A partition nobody leads is taken at once by its best live candidate. One that somebody leads is
    handed over when the better candidate has settled, so that a worker that comes and goes moves
    nothing.
    """
    if not view.may_lead:
        return Move(take=frozenset(), drop=frozenset(leads))
    peers = {peer.name: peer for peer in view.peers}
    led_by_others = frozenset[int]().union(*(peer.leads for peer in view.peers))
    names = [me, *peers]
    take, drop = set(), set()
    for partition in range(PARTITIONS):
        best = ring_of(partition, names)[0]
        if best == me:
            waited = view.alive_seconds >= SETTLE_SECONDS + PATIENCE_SECONDS
            if partition not in leads and (waited or partition not in led_by_others):
                take.add(partition)
        elif partition in leads and peers[best].alive_seconds >= SETTLE_SECONDS:
            drop.add(partition)
    return Move(take=frozenset(take), drop=frozenset(drop))


@lru_cache(maxsize=16_384)
def _weight(partition: int, worker: str) -> bytes:
    return blake2b(f"{partition}/{worker}".encode(), digest_size=8).digest()


@dataclass(slots=True)
class Leads:
    """The partitions this worker leads, with the epoch of each."""

    _epochs: dict[int, int] = field(default_factory=dict)

    def __contains__(self, partition: int) -> bool:
        return partition in self._epochs

    def __len__(self) -> int:
        return len(self._epochs)

    @property
    def partitions(self) -> frozenset[int]:
        """All of them."""
        return frozenset(self._epochs)

    def epoch_of(self, partition: int) -> int | None:
        """The epoch this worker leads the partition under, None when it does not."""
        return self._epochs.get(partition)

    def take(self, epochs: Mapping[int, int]) -> None:
        """The order service made this worker leader."""
        self._epochs.update(epochs)

    def drop(self, partitions: Collection[int]) -> None:
        """Lead these no more."""
        for partition in partitions:
            self._epochs.pop(partition, None)

    def lose(self, partition: int, epoch: int) -> bool:
        """Somebody else was made leader after `epoch`; true if that is news."""
        if self._epochs.get(partition) != epoch:
            return False
        del self._epochs[partition]
        return True
