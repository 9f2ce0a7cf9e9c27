"""Which workers are alive: beats on core NATS, and for when NATS is away signs in the database.

With NATS, a worker hears the others twice a second and forgets one it has not heard for 1.6 s.
Without NATS it reads the database; if it finds a worker there that has NATS, it stands aside for
that one, because those who have NATS cannot hear it.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace

import msgspec
import structlog
from nats.aio.msg import Msg

from libs.broker import Broker, BrokerAway
from libs.clock import Clock
from libs.refusals import Unavailable
from services.execution.domain.ring import Peer, View
from services.execution.store import SignOfLife, Store

BEAT_SECONDS = 0.5
DEAD_SECONDS = 1.6
# After connecting, and after standing still, the others are asked and listened to for this long.
LISTEN_SECONDS = 0.3
# NATS that is away for less is waited for.
_AWAY_SECONDS = 0.5
# NATS comes and goes for all workers within this time, and signs in the database are no older.
_TURN_SECONDS = DEAD_SECONDS + BEAT_SECONDS

_log = structlog.get_logger()


class Beat(msgspec.Struct, frozen=True):
    """What a worker tells the others. `asks`: answer at once; `leaves`: count me out."""

    worker: str
    leads: tuple[int, ...] = ()
    asks: bool = False
    leaves: bool = False


_decoder = msgspec.json.Decoder(Beat)


class Presence:
    """The workers this one sees. `me` is its own name, `prefix` that of the nudges."""

    def __init__(self, me: str, broker: Broker, store: Store, clock: Clock, *, prefix: str) -> None:
        self._me = me
        self._broker = broker
        self._store = store
        self._clock = clock
        self._subject = f"{prefix}-workers"
        self._leads: Collection[int] = ()
        self._began_at = 0.0
        self._looked_at = 0.0
        self._listening_since = 0.0
        self._heard_at = -1.0
        self._echoed_at = -1.0
        self._has_heard = False
        self._is_returning = False
        self._heard: dict[str, tuple[float, frozenset[int]]] = {}
        self._signs: tuple[float, list[SignOfLife]] | None = None
        self._alive_since: dict[str, float] = {}

    async def open(self) -> None:
        """Begin to hear the others."""
        self._began_at = self._looked_at = self._listening_since = self._clock.monotonic()
        self._broker.on_connected(self._listen)
        await self._broker.subscribe(self._subject, self._hear)

    @property
    def is_listening(self) -> bool:
        """Whether the others are being asked who is there; beats should come quickly then."""
        return not self._hears(self._clock.monotonic())

    async def beat(self, leads: Collection[int]) -> None:
        """Tell the others over NATS that this worker lives and leads these partitions."""
        self._leads = leads
        await self._send(Beat(self._me, tuple(sorted(leads)), asks=self.is_listening))

    async def sign(self) -> None:
        """Give a sign of life in the database, and read those of the others."""
        has_broker = self._hears(self._clock.monotonic())
        await self._store.beat(self._me, has_broker=has_broker, leads=self._leads)
        signs = await self._store.alive(within_seconds=DEAD_SECONDS)
        self._signs = self._clock.monotonic(), [sign for sign in signs if sign.name != self._me]

    async def leave(self) -> None:
        """Tell the others that this worker goes."""
        await self._send(Beat(self._me, leaves=True))
        with suppress(Unavailable):
            await self._store.leave(self._me)

    def view(self) -> View | None:
        """What this worker sees now; None while it cannot tell."""
        now = self._clock.monotonic()
        if now - self._looked_at > DEAD_SECONDS / 2:  # it stood still: others came and went unseen
            self._listen()
        self._looked_at = now
        if self._hears(now):
            self._has_heard = True
            self._heard_at = now
            return self._view_of_heard(now)
        if now - max(self._heard_at, self._listening_since) < _AWAY_SECONDS:
            return None
        return self._view_of_signs(now)

    def _hears(self, now: float) -> bool:
        """Whether what others say arrives: this worker's own beats come back from NATS."""
        return (
            self._broker.is_connected
            and now - self._listening_since >= LISTEN_SECONDS
            and self._echoed_at >= self._listening_since
            and now - self._echoed_at < DEAD_SECONDS
        )

    def _listen(self) -> None:
        self._listening_since = self._clock.monotonic()
        self._is_returning = self._has_heard

    async def _hear(self, message: Msg) -> None:
        now = self._clock.monotonic()
        try:
            beat = _decoder.decode(message.data)
        except msgspec.DecodeError:
            _log.warning("beat_not_understood")
            return
        if beat.worker == self._me:
            self._echoed_at = now
        elif beat.leaves:
            self._heard.pop(beat.worker, None)
        else:
            self._heard[beat.worker] = now, frozenset(beat.leads)
            if beat.asks:
                await self._send(Beat(self._me, tuple(sorted(self._leads))))

    async def _send(self, beat: Beat) -> None:
        with suppress(BrokerAway):
            await self._broker.publish(self._subject, msgspec.json.encode(beat))

    def _view_of_heard(self, now: float) -> View | None:
        """What was heard; right after NATS came back, also those who are not back yet."""
        self._heard = {
            name: (at, leads)
            for name, (at, leads) in self._heard.items()
            if now - at < DEAD_SECONDS
        }
        leads = {name: leads for name, (_, leads) in self._heard.items()}
        if self._is_returning and now - self._listening_since < _TURN_SECONDS:
            signs = self._fresh_signs(now)
            if signs is None:
                return None
            leads = {sign.name: sign.leads for sign in signs} | leads
        return self._view(now, leads)

    def _view_of_signs(self, now: float) -> View | None:
        """What the database says. A worker that has NATS cannot hear this one, so it goes first."""
        signs = self._fresh_signs(now)
        if signs is None:
            return None
        view = self._view(now, {sign.name: sign.leads for sign in signs})
        if not any(sign.has_broker for sign in signs):
            return view
        if now - self._heard_at < _TURN_SECONDS:
            return None
        return replace(view, may_lead=False)

    def _fresh_signs(self, now: float) -> list[SignOfLife] | None:
        """The signs of life of the others; None when they were not read lately."""
        if self._signs is None or now - self._signs[0] > DEAD_SECONDS:
            return None
        return self._signs[1]

    def _view(self, now: float, leads: Mapping[str, frozenset[int]]) -> View:
        self._alive_since = {name: self._alive_since.get(name, now) for name in leads}
        peers = [Peer(name, now - self._alive_since[name], leads[name]) for name in leads]
        return View(tuple(peers), now - self._began_at)
