"""Wake-up calls: which customers need attention, as a set kept by a JetStream stream.

A nudge has no content; the database says what is to be done. So a nudge may be lost, doubled or
late without harm, and publishing one never fails its caller.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson
import structlog
from prometheus_client import Counter

from libs.broker import Broker, BrokerAway
from libs.partition import partition_of
from libs.tasks import end

_PUBLISH_SECONDS = 1.0
_API_SECONDS = 2.0
_RETRY_SECONDS = 0.5
_CONFIG_DIFFERS = 10058

_published = Counter("nudges_published", "Nudges the stream has")
_failed = Counter("nudges_failed", "Nudges given up; the sweep finds these customers")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NudgeStream:
    """Where nudges are kept. Tests that share a server take a name and a prefix of their own."""

    name: str = "EXECUTION"
    prefix: str = "execution"
    replicas: int = 1

    def subject(self, customer_id: str) -> str:
        """`execution.<partition>.<customer>`."""
        return f"{self.prefix}.{partition_of(customer_id)}.{customer_id}"

    def filter_subject(self, partition: int) -> str:
        """All customers of one partition."""
        return f"{self.prefix}.{partition}.*"

    def config(self) -> dict[str, object]:
        """A set of customers: the newest nudge of each, until it is acknowledged.

        In memory: what a restart of NATS forgets the sweep finds, and a write to disk for each
        nudge would cost more than all else that is done for a trade.
        Neither message ids nor DiscardNewPerSubject: both lose wake-ups.
        """
        return {
            "name": self.name,
            "subjects": [f"{self.prefix}.*.*"],
            "retention": "workqueue",
            "storage": "memory",
            "discard": "old",
            "max_msgs_per_subject": 1,
            "duplicate_window": 1_000_000_000,
            "num_replicas": self.replicas,
        }


class StreamRefused(RuntimeError):
    """JetStream does not make the stream."""


async def ensure_stream(broker: Broker, stream: NudgeStream) -> None:
    """Make the stream; one that differs and cannot be brought to this shape is made anew.

    Raises BrokerAway or StreamRefused.
    """
    answer = await _call(broker, f"STREAM.CREATE.{stream.name}", stream)
    if answer.get("error", {}).get("err_code") == _CONFIG_DIFFERS:
        answer = await _call(broker, f"STREAM.UPDATE.{stream.name}", stream)
        if "error" in answer:
            await broker.request(
                f"$JS.API.STREAM.DELETE.{stream.name}", timeout_seconds=_API_SECONDS
            )
            answer = await _call(broker, f"STREAM.CREATE.{stream.name}", stream)
    if "error" in answer:
        raise StreamRefused(str(answer["error"].get("description")))


async def _call(broker: Broker, method: str, stream: NudgeStream) -> dict[str, dict[str, object]]:
    request = orjson.dumps(stream.config())
    message = await broker.request(f"$JS.API.{method}", request, timeout_seconds=_API_SECONDS)
    answer: dict[str, dict[str, object]] = orjson.loads(message.data)
    return answer


class Nudges:
    """Publishes nudges over a connection of its own, which `broker` also lends to others.

    `start()` returns at once and works without NATS; `close()` ends the connection.
    """

    def __init__(
        self, nats_url: str, *, stream: NudgeStream | None = None, name: str = "nudges"
    ) -> None:
        self.broker = Broker(nats_url, name=name)
        self.stream = stream or NudgeStream()
        self._is_stream_missing = asyncio.Event()
        self._upkeep: asyncio.Task[None] | None = None
        self._is_failing = False
        self.broker.on_connected(self._is_stream_missing.set)

    def start(self) -> None:
        """Begin to connect and to set up the stream."""
        self.broker.start()
        if self._upkeep is None:
            self._upkeep = asyncio.create_task(self._keep_stream(), name="nudges-stream")

    async def close(self) -> None:
        """End the connection."""
        await end(self._upkeep)
        await self.broker.close()

    async def publish(self, customer_ids: Iterable[str]) -> None:
        """Nudge each customer once. Never raises: what fails is counted and left to the sweep."""
        subjects = [self.stream.subject(customer) for customer in dict.fromkeys(customer_ids)]
        if not subjects:
            return
        is_kept = await self._publish(subjects)
        (_published if is_kept else _failed).inc(len(subjects))
        self._tell(is_failing=not is_kept)

    def _tell(self, *, is_failing: bool) -> None:
        """One line when nudges begin to fail and one when they flow again; counters say more."""
        if is_failing and not self._is_failing:
            _log.warning("nudges_failing")
        elif self._is_failing and not is_failing:
            _log.info("nudges_flowing")
        self._is_failing = is_failing

    def ensure_stream_soon(self) -> None:
        """Set the stream up again in the background: it may be gone."""
        if self.broker.is_connected:
            self._is_stream_missing.set()

    async def _publish(self, subjects: Sequence[str]) -> bool:
        """Whether the stream has them: it takes them in order, so the last is asked after for all.

        An answer for each would cost ten times as much, here and in NATS.
        """
        *others, last = subjects
        try:
            for subject in others:
                await self.broker.publish(subject)
            message = await self.broker.request(last, timeout_seconds=_PUBLISH_SECONDS)
        except BrokerAway:
            is_kept = False
        else:
            is_kept = bool(message.data) and "error" not in orjson.loads(message.data)
        if not is_kept:
            self.ensure_stream_soon()
        return is_kept

    async def _keep_stream(self) -> None:
        """After each connect and each refused nudge: the stream may be gone."""
        while True:
            await self._is_stream_missing.wait()
            self._is_stream_missing.clear()
            try:
                await ensure_stream(self.broker, self.stream)
            except (BrokerAway, StreamRefused) as error:
                _log.warning("nudge_stream_failed", error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                if self.broker.is_connected:
                    self._is_stream_missing.set()
