"""Which workers one worker sees, with a clock, a broker and a database set by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest
from nats.aio.msg import Msg

from libs.broker import Broker, BrokerAway
from services.execution.domain.attention import Attention
from services.execution.domain.ring import View
from services.execution.presence import (
    BEAT_SECONDS,
    DEAD_SECONDS,
    LISTEN_SECONDS,
    Beat,
    Presence,
)
from services.execution.ring import Ring
from services.execution.store import SignOfLife, Store
from services.execution.worker import Worker

TICK = 0.1


class HandClock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Air:
    """A broker that brings every message back to its own client, and those of others on request."""

    def __init__(self) -> None:
        self.is_connected = False
        self.said: list[Beat] = []
        self._greet: Callable[[], None] = lambda: None
        self._hear: Callable[[Msg], Awaitable[None]] | None = None

    def on_connected(self, greet: Callable[[], None]) -> None:
        self._greet = greet

    async def subscribe(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> None:
        self._hear = callback

    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        if not self.is_connected:
            raise BrokerAway("away")
        self.said.append(msgspec.json.decode(payload, type=Beat))
        await self.bring(payload)

    async def bring(self, payload: bytes) -> None:
        assert self._hear is not None
        await self._hear(cast(Msg, type("M", (), {"data": payload})()))

    def connect(self) -> None:
        self.is_connected = True
        self._greet()


class Registry:
    """Signs of life."""

    def __init__(self) -> None:
        self.others: list[SignOfLife] = []
        self.mine: SignOfLife | None = None

    async def beat(self, worker: str, *, has_broker: bool, leads: Any) -> None:
        self.mine = SignOfLife(worker, has_broker, frozenset(leads))

    async def alive(self, *, within_seconds: float) -> list[SignOfLife]:
        return [*self.others, *([self.mine] if self.mine else [])]

    async def leave(self, worker: str) -> None:
        self.mine = None


class Scene:
    """A worker called `me`, and time that passes around it."""

    def __init__(self) -> None:
        self.clock, self.air, self.registry = HandClock(), Air(), Registry()
        self.presence = Presence(
            "me",
            cast(Broker, self.air),
            cast(Store, self.registry),
            self.clock,
            prefix="execution",
        )
        self.talkers: dict[str, frozenset[int]] = {}

    async def open(self) -> "Scene":
        await self.presence.open()
        return self

    async def passes(self, seconds: float) -> View | None:
        """What `me` sees after this time, in which all beats are given."""
        view = None
        for tick in range(round(seconds / TICK)):
            self.clock.seconds += TICK
            if tick % round(BEAT_SECONDS / TICK) == 0 or self.presence.is_listening:
                await self.presence.beat([])
                for name, leads in self.talkers.items():
                    if self.air.is_connected:
                        beat = Beat(name, tuple(leads))
                        await self.air.bring(msgspec.json.encode(beat))
                await self.presence.sign()
            view = self.presence.view()
        return view


def names(view: View | None) -> list[str]:
    assert view is not None
    return [peer.name for peer in view.peers]


@pytest.fixture
async def scene() -> Scene:
    return await Scene().open()


async def test_a_worker_listens_before_it_says_it_is_alone(scene: Scene) -> None:
    scene.air.connect()

    assert await scene.passes(LISTEN_SECONDS - TICK) is None
    assert names(await scene.passes(2 * TICK)) == []


async def test_a_new_worker_asks_and_is_answered(scene: Scene) -> None:
    scene.air.connect()
    await scene.passes(1.0)
    assert scene.air.said[0].asks
    scene.air.said.clear()

    await scene.air.bring(msgspec.json.encode(Beat("newcomer", asks=True)))

    assert scene.air.said == [Beat("me")]
    assert names(scene.presence.view()) == ["newcomer"]


async def test_a_worker_not_heard_for_long_is_dead(scene: Scene) -> None:
    scene.air.connect()
    scene.talkers["ben"] = frozenset({7})
    view = await scene.passes(1.0)
    assert view is not None
    assert view.peers[0].leads == {7}

    scene.talkers.clear()

    assert names(await scene.passes(DEAD_SECONDS - BEAT_SECONDS - TICK)) == ["ben"]
    assert names(await scene.passes(BEAT_SECONDS + TICK)) == []


async def test_a_worker_that_says_good_bye_is_gone_at_once(scene: Scene) -> None:
    scene.air.connect()
    scene.talkers["ben"] = frozenset()
    await scene.passes(1.0)

    await scene.air.bring(msgspec.json.encode(Beat("ben", leaves=True)))

    assert names(scene.presence.view()) == []


async def test_a_beat_that_is_not_understood_is_passed_over(scene: Scene) -> None:
    scene.air.connect()
    await scene.passes(1.0)

    await scene.air.bring(b"{not json")

    assert names(scene.presence.view()) == []


async def test_without_nats_the_database_says_who_lives(scene: Scene) -> None:
    scene.registry.others = [SignOfLife("ben", False, frozenset({3}))]

    view = await scene.passes(1.0)

    assert names(view) == ["ben"]
    assert view is not None
    assert view.may_lead


async def test_a_worker_that_alone_lost_nats_stands_aside(scene: Scene) -> None:
    scene.air.connect()
    await scene.passes(1.0)
    scene.registry.others = [SignOfLife("ben", True, frozenset())]

    scene.air.is_connected = False

    assert await scene.passes(1.0) is None
    view = await scene.passes(2.0)
    assert view is not None
    assert not view.may_lead


async def test_a_worker_that_loses_nats_with_the_others_does_not_stand_aside(scene: Scene) -> None:
    scene.air.connect()
    scene.talkers["ben"] = frozenset()
    await scene.passes(1.0)
    scene.registry.others = [SignOfLife("ben", True, frozenset())]

    scene.air.is_connected = False
    assert await scene.passes(0.8) is None
    scene.registry.others = [SignOfLife("ben", False, frozenset())]

    view = await scene.passes(3.0)
    assert view is not None
    assert view.may_lead
    assert names(view) == ["ben"]


async def test_those_who_come_back_to_nats_later_are_not_taken_for_dead(scene: Scene) -> None:
    scene.air.connect()
    await scene.passes(1.0)
    scene.air.is_connected = False
    scene.registry.others = [SignOfLife("ben", False, frozenset({5}))]
    await scene.passes(3.0)

    scene.air.connect()
    assert names(await scene.passes(1.0)) == ["ben"]
    scene.talkers["ben"] = frozenset({5})
    assert names(await scene.passes(3.0)) == ["ben"]


async def test_a_nats_that_stands_still_counts_as_away(scene: Scene) -> None:
    scene.air.connect()
    await scene.passes(1.0)
    scene.registry.others = [SignOfLife("ben", False, frozenset())]

    async def swallow(subject: str, payload: bytes, reply: str = "") -> None:
        await asyncio.sleep(0)

    scene.air.publish = swallow  # type: ignore[method-assign]  # connected, and nothing comes back

    assert names(await scene.passes(DEAD_SECONDS + 1.5)) == ["ben"]


async def test_a_worker_that_stood_still_listens_before_it_believes_itself(scene: Scene) -> None:
    scene.air.connect()
    scene.talkers["ben"] = frozenset()
    await scene.passes(1.0)

    scene.clock.seconds += 10
    await scene.presence.beat([])

    assert scene.presence.view() is None
    assert names(await scene.passes(1.0)) == ["ben"]


class _Quiet:
    """Presence, consumer and order of a worker that nobody talks to."""

    is_listening = False
    silent_seconds = 0.0

    async def beat(self, leads: object) -> None: ...

    async def release(self, partitions: object) -> None: ...

    def view(self) -> None: ...


@pytest.mark.parametrize(
    ("seconds", "is_leading"),
    [(BEAT_SECONDS, True), (DEAD_SECONDS - BEAT_SECONDS, False), (DEAD_SECONDS, False)],
)
async def test_who_stood_still_for_as_long_as_may_be_death_leads_nothing(
    seconds: float, is_leading: bool
) -> None:
    clock, quiet = HandClock(), cast(Any, _Quiet())
    worker = Worker("ben", clock, Attention(ask_after_seconds=1.0), cast(Any, quiet), clock.now())
    worker.leads.take({7: 1})
    ring = Ring(worker, quiet, quiet, quiet, lambda _: None)
    await ring.beat()
    clock.seconds += seconds  # its last beat may have been told a beat before
    await ring.beat()
    await ring.tend()
    assert (7 in worker.leads) is is_leading
