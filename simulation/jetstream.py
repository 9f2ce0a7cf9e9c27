"""The part of JetStream that nudges use, in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from simulation.world import World

_ACK_WAIT_SECONDS = 5.0
_PIN_SECONDS = 2.0
_NO_STREAM = {"error": {"err_code": 10059, "description": "stream not found"}}
_NO_CONSUMER = {"error": {"err_code": 10014, "description": "consumer not found"}}
_TICK_SECONDS = 0.05


@dataclass(slots=True)
class Pull:
    """A client waits for messages."""

    reply: str
    pin: str
    left: int
    expires_at: float


@dataclass(slots=True)
class PullConsumer:
    """A durable consumer: what it has handed out, and to whom it is pinned."""

    config: dict[str, Any]
    pin: str = ""
    pinned_at: float = -1e9
    pulls: list[Pull] = field(default_factory=list)
    handed_out: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class Delivered:
    """A message as its client gets it; shaped like nats.aio.msg.Msg."""

    subject: str
    data: bytes = b""
    reply: str = ""
    headers: dict[str, str] | None = None


class JetStream:
    """One stream with the newest message of each subject, and its consumers."""

    def __init__(self, world: World, deliver: Callable[[Any, str], None]) -> None:
        self._world = world
        self._deliver = deliver
        self.redelivered = 0
        self.wipe()

    def wipe(self) -> None:
        """Forget everything."""
        self._is_made = False
        self._last_seq = 0
        self._messages: dict[int, str] = {}
        self._consumers: dict[str, PullConsumer] = {}

    def take(self, subject: str, data: bytes, reply: str) -> dict[str, Any] | None:
        """What a client sends; the answer, if there is one."""
        words = subject.split(".")
        match words:
            case ["$JS", "API", "STREAM", "CREATE" | "UPDATE", _]:
                self._is_made = True
                return {"config": orjson.loads(data)}
            case ["$JS", "API", "CONSUMER", "INFO", _, name]:
                return self._info(name)
            case ["$JS", "API", "CONSUMER", "CREATE", _, name, *_]:
                return self._make(name, orjson.loads(data)["config"])
            case ["$JS", "API", "CONSUMER", "UNPIN", _, name]:
                return self._unpin(name)
            case ["$JS", "API", "CONSUMER", "MSG", "NEXT", _, name]:
                self._pull(name, orjson.loads(data), reply)
            case ["$JS", "ACK", _, name, seq]:
                self._acknowledge(name, int(seq), data)
            case _:
                return self._keep(subject)
        return None

    def _keep(self, subject: str) -> dict[str, Any] | None:
        if not self._is_made:
            return None
        self._messages = {seq: kept for seq, kept in self._messages.items() if kept != subject}
        self._last_seq += 1
        self._messages[self._last_seq] = subject
        self._hand_out_all()
        return {"stream": "EXECUTION", "seq": self._last_seq}

    def _info(self, name: str) -> dict[str, Any]:
        consumer = self._consumers.get(name)
        if consumer is None:
            return _NO_CONSUMER if self._is_made else _NO_STREAM
        groups = [{"group": "workers", "pinned_client_id": consumer.pin}]
        return {"config": consumer.config, "priority_groups": groups}

    def _make(self, name: str, config: dict[str, Any]) -> dict[str, Any]:
        if not self._is_made:
            return _NO_STREAM
        self._consumers.setdefault(name, PullConsumer(config)).config = config
        return self._info(name)

    def _unpin(self, name: str) -> dict[str, Any]:
        consumer = self._consumers.get(name)
        if consumer is None:
            return _NO_CONSUMER
        consumer.pin = ""
        return {}

    def _pull(self, name: str, request: dict[str, Any], reply: str) -> None:
        consumer = self._consumers.get(name)
        if consumer is None:
            self._say(reply, "503")
            return
        now, pin = self._world.loop.time(), request.get("id", "")
        self._unpin_silent(consumer, now)
        if pin and pin != consumer.pin:
            self._say(reply, "423")
            return
        if pin:
            consumer.pinned_at = now
        seconds = request["expires"] / 1e9
        consumer.pulls.append(Pull(reply, pin, request["batch"], now + seconds))
        self._world.later(seconds, seconds + 0.01, self._expire, consumer, reply)
        self._hand_out(name, consumer)

    def _expire(self, consumer: PullConsumer, reply: str) -> None:
        for pull in consumer.pulls:
            if pull.reply == reply:
                consumer.pulls.remove(pull)
                self._say(reply, "408")
                return

    def _unpin_silent(self, consumer: PullConsumer, now: float) -> None:
        if now - consumer.pinned_at > _PIN_SECONDS:
            consumer.pin = ""

    def _hand_out_all(self) -> None:
        for name, consumer in self._consumers.items():
            self._hand_out(name, consumer)

    def _hand_out(self, name: str, consumer: PullConsumer) -> None:
        prefix = consumer.config["filter_subject"].removesuffix("*")
        now = self._world.loop.time()
        for seq, subject in list(self._messages.items()):
            if not subject.startswith(prefix) or consumer.handed_out.get(seq, -1.0) > now:
                continue
            pull = self._next_pull(consumer, now)
            if pull is None:
                return
            self.redelivered += seq in consumer.handed_out
            consumer.handed_out[seq] = now + _ACK_WAIT_SECONDS
            wait = _ACK_WAIT_SECONDS + _TICK_SECONDS
            self._world.later(wait, wait + _TICK_SECONDS, self._hand_out, name, consumer)
            pull.left -= 1
            if not pull.left:
                consumer.pulls.remove(pull)
            ack = f"$JS.ACK.EXECUTION.{name}.{seq}"
            message = Delivered(subject, b"", ack, {"Nats-Pin-Id": consumer.pin})
            self._world.later(0.0002, 0.003, self._deliver, message, pull.reply)

    def _next_pull(self, consumer: PullConsumer, now: float) -> Pull | None:
        """Of the pinned client; when there is none, the first that waits is pinned."""
        self._unpin_silent(consumer, now)
        for pull in consumer.pulls:
            if not consumer.pin:
                consumer.pin = pull.pin = f"pin-{self._world.new_number()}"
                consumer.pinned_at = now
            if pull.pin == consumer.pin:
                return pull
        return None

    def _acknowledge(self, name: str, seq: int, word: bytes) -> None:
        consumer = self._consumers.get(name)
        if word == b"+ACK":
            self._messages.pop(seq, None)
        elif consumer is not None and seq in consumer.handed_out:
            consumer.handed_out[seq] = 0.0
            self._hand_out(name, consumer)

    def _say(self, reply: str, status: str) -> None:
        message = Delivered(reply, headers={"Status": status})
        self._world.later(0.0002, 0.003, self._deliver, message, "")
