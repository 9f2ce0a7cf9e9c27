"""NATS in memory: subjects, and as much of JetStream as nudges use. It loses, doubles and delays.

A stream keeps the newest message of each subject; a durable pull consumer per partition hands them
out to the client that is pinned, and again when they are not acknowledged in time.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import orjson
from nats.errors import ConnectionClosedError

from simulation.jetstream import JetStream
from simulation.process import current_process
from simulation.world import World

_QUICK = (0.0002, 0.003)
_SLOW = (0.2, 8.0)
_RECONNECT = (0.05, 0.4)


@dataclass(slots=True)
class Message:
    """As nats.aio.msg.Msg."""

    subject: str
    data: bytes = b""
    reply: str = ""
    headers: dict[str, str] | None = None


@dataclass(slots=True)
class Subscription:
    """Messages to one callback, one after the other."""

    client: "Client"
    subject: str
    queue: "asyncio.Queue[Message]" = field(default_factory=asyncio.Queue)

    def matches(self, subject: str) -> bool:
        """Whether it hears that subject."""
        mine, theirs = self.subject.split("."), subject.split(".")
        return len(mine) == len(theirs) and all(
            word in ("*", other) for word, other in zip(mine, theirs, strict=True)
        )


class Bus:
    """The server."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_away = False
        self.clients: list[Client] = []
        self._subscriptions: list[Subscription] = []
        self._jetstream = JetStream(world, self.deliver)

    def client(self) -> "Client":
        """As nats.aio.client.Client()."""
        return Client(self)

    def subscribe(self, subscription: Subscription) -> None:
        """Hear a subject."""
        self._subscriptions.append(subscription)

    def forget(self, client: "Client") -> None:
        """Its connection is gone."""
        if client in self.clients:
            self.clients.remove(client)
        self._subscriptions = [s for s in self._subscriptions if s.client is not client]

    def publish(self, message: Message) -> None:
        """Take a message from a client, later."""
        self.world.later(*_QUICK, self._take, message)

    def leave(self, *, wiped: bool) -> None:
        """The server goes away; wiped, it forgets every stream."""
        self.is_away = True
        if wiped:
            self._jetstream.wipe()
        for client in list(self.clients):
            client.lose()

    def come_back(self) -> None:
        """It is there again; clients find out by themselves."""
        self.is_away = False

    def deliver(self, message: Message, reply_to: str = "") -> None:
        """Hand a message to whoever subscribed its subject, or `reply_to`."""
        subject = reply_to or message.subject
        if not self.is_away:
            for subscription in self._subscriptions:
                if subscription.matches(subject):
                    subscription.queue.put_nowait(message)

    def _take(self, message: Message) -> None:
        if self.is_away:
            return
        if message.subject.startswith(("$JS.", "execution.")):
            answer = self._jetstream.take(message.subject, message.data, message.reply)
            if answer is not None and message.reply:
                reply = Message(message.reply, orjson.dumps(answer))
                self.world.later(*_QUICK, self.deliver, reply)
        else:
            self.deliver(message)


class Client:
    """As nats.aio.client.Client."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._world = bus.world
        self._process = current_process.get()
        self._is_closed = False
        self._subscriptions: list[Subscription] = []
        self._reconnected: Callable[[], Coroutine[Any, Any, None]] | None = None
        self._answers: dict[str, asyncio.Future[Message]] = {}
        self._inbox = f"_INBOX.{bus.world.new_number()}"
        self._tasks: list[asyncio.Task[None]] = []
        self.is_connected = False

    async def connect(self, *, reconnected_cb: Any = None, **_: Any) -> None:
        """Raises OSError when the server is away."""
        await self._world.pause(*_QUICK)
        if self._bus.is_away:
            raise OSError("connection refused")
        self._reconnected = reconnected_cb
        if self._process is not None:
            self._process.at_death.append(self._gone)
        await self.subscribe(f"{self._inbox}.*", cb=self._hear_answer)
        self._attach()

    async def subscribe(self, subject: str, cb: Any = None) -> None:
        """Hear a subject."""
        subscription = Subscription(self, subject)
        self._subscriptions.append(subscription)
        self._bus.subscribe(subscription)
        task = self._world.loop.create_task(self._listen(subscription, cb))
        self._tasks.append(task)

    async def publish(self, subject: str, payload: bytes = b"", reply: str = "") -> None:
        """Send without an answer. Raises ConnectionClosedError."""
        if not self.is_connected:
            raise ConnectionClosedError
        place = _place(subject)
        await self._world.at(place)
        if place == "bus.ack" and self._world.strikes("acknowledgement_lost", place):
            return
        if place == "bus.tell" and self._world.strikes("beat_lost", place):
            return
        self._bus.publish(Message(subject, payload, reply))

    async def request(self, subject: str, payload: bytes = b"", timeout: float = 1.0) -> Message:
        """Send and wait for an answer. Raises TimeoutError, ConnectionClosedError."""
        if not self.is_connected:
            raise ConnectionClosedError
        place = _place(subject)
        await self._world.at(place)
        reply = f"{self._inbox}.{self._world.new_number()}"
        answer: asyncio.Future[Message] = self._world.loop.create_future()
        self._answers[reply] = answer
        self._send(place, Message(subject, payload, reply))
        try:
            async with asyncio.timeout(timeout):
                return await answer
        finally:
            del self._answers[reply]
            await self._world.at(f"{place}ed")

    def _send(self, place: str, message: Message) -> None:
        if place != "bus.publish":
            self._bus.publish(message)
            return
        if self._world.strikes("nudge_lost", place):
            return
        if self._world.strikes("nudge_unheard", place):
            message.reply = ""
        if self._world.strikes("nudge_doubled", place):
            self._world.later(*_SLOW, self._bus.publish, Message(message.subject, message.data))
        if self._world.strikes("nudge_slow", place):
            self._world.later(*_SLOW, self._bus.publish, message)
        else:
            self._bus.publish(message)

    async def close(self) -> None:
        """Disconnect for good."""
        self._gone()
        for task in self._tasks:
            task.cancel()

    def lose(self) -> None:
        """The connection breaks; the client comes back by itself."""
        self.is_connected = False
        self._bus.forget(self)
        if not self._is_closed:
            self._world.later(*_RECONNECT, self._come_back)

    def _come_back(self) -> None:
        if self._is_closed:
            return
        if self._bus.is_away:
            self._world.later(*_RECONNECT, self._come_back)
            return
        for subscription in self._subscriptions:
            self._bus.subscribe(subscription)
        self._attach()
        if self._reconnected is not None and self._process is not None:
            self._world.spawn(self._process, self._reconnected())

    def _attach(self) -> None:
        self.is_connected = True
        self._bus.clients.append(self)

    def _gone(self) -> None:
        self._is_closed = True
        self.is_connected = False
        self._bus.forget(self)

    async def _listen(self, subscription: Subscription, callback: Any) -> None:
        while True:
            await callback(await subscription.queue.get())

    async def _hear_answer(self, message: Message) -> None:
        answer = self._answers.get(message.subject)
        if answer is not None and not answer.done():
            answer.set_result(message)


def _place(subject: str) -> str:
    """Which point of a run sending there is."""
    if subject.startswith("$JS.ACK."):
        return "bus.ack"
    if subject.startswith("$JS."):
        return "bus.api"
    return "bus.publish" if subject.startswith("execution.") else "bus.tell"
