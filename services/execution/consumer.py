"""Nudges in: one pinned pull consumer per partition, pulled by the worker that leads it.

The pin only keeps nudges from going to two workers; who leads is decided by the ring and the
epochs. So a lost pin (423) is forgotten and pulled for again, and needs no new election.
"""

import asyncio
import secrets
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from nats.aio.msg import Msg

from libs.broker import BrokerAway
from libs.nudges import Nudges
from services.execution.pipeline import Pipeline
from services.execution.worker import Worker

_GROUP = "workers"
_BATCH = 64
_EXPIRES_SECONDS = 1.5
# Longer than a pull lasts, so that a pulling worker keeps its pin.
_PIN_SECONDS = 2
_GRACE_SECONDS = 0.3
_PAUSE_SECONDS = 0.1
_REQUEST_SECONDS = 2.0
_AT_ONCE = 16
_NANOS = 1_000_000_000
_STREAM_NOT_FOUND = 10059

_log = structlog.get_logger()


class NudgeBell:
    """Rings nudges and answers them."""

    def __init__(self, nudges: Nudges) -> None:
        self._nudges = nudges

    async def ring(self, customer_ids: Iterable[str]) -> None:
        """Nudge whoever leads the customers' partitions."""
        await self._nudges.publish(customer_ids)

    async def done(self, acks: Sequence[str]) -> None:
        """What these nudges asked for is done."""
        await self._answer(acks, b"+ACK")

    async def back(self, acks: Sequence[str]) -> None:
        """Somebody else has to do it."""
        await self._answer(acks, b"-NAK")

    async def _answer(self, acks: Sequence[str], word: bytes) -> None:
        with suppress(BrokerAway):  # the nudge comes again, and finds nothing to do
            for ack in acks:
                await self._nudges.broker.publish(ack, word)


@dataclass(slots=True)
class _Pull:
    """The pull under way for one partition; `due_at`: when to pull again if nothing comes."""

    pin: str = ""
    number: int = 0
    remaining: int = 0
    due_at: float = 0.0
    is_made: bool = False


class Consumer:
    """Hands nudges of the partitions led to the pipeline; asks for none while it is full."""

    def __init__(self, worker: Worker, nudges: Nudges, pipeline: Pipeline) -> None:
        self._leads = worker.leads
        self._clock = worker.clock
        self._nudges = nudges
        self._broker = nudges.broker
        self._pipeline = pipeline
        self._inbox = f"_INBOX.{secrets.token_hex(12)}"
        self._pulls: dict[int, _Pull] = {}
        self._is_open = False

    async def open(self) -> None:
        """Begin to listen for answers."""
        self._is_open = True
        self._broker.on_connected(self._start_over)
        await self._broker.subscribe(f"{self._inbox}.*.*", self._receive)

    @property
    def hears_all(self) -> bool:
        """Whether nudges of every partition led arrive now."""
        return self._broker.is_connected and all(
            (pull := self._pulls.get(partition)) is not None and pull.is_made
            for partition in self._leads.partitions
        )

    async def tend(self) -> None:
        """Make what is missing, pull again what ran out, let go what is led no more."""
        if not self._broker.is_connected or not self._is_open:
            return
        await self.release(self._pulls.keys() - self._leads.partitions)
        for partition in self._leads.partitions:
            self._pulls.setdefault(partition, _Pull())
        now = self._clock.monotonic()
        due = [partition for partition, pull in self._pulls.items() if pull.due_at <= now]
        for start in range(0, len(due), _AT_ONCE):
            await asyncio.gather(*map(self._prepare, due[start : start + _AT_ONCE]))

    async def release(self, partitions: Collection[int]) -> None:
        """Stop pulling these, and let another worker be pinned at once."""
        released = {partition: self._pulls.pop(partition, _Pull()) for partition in partitions}
        pinned = [partition for partition, pull in released.items() if pull.pin]
        await asyncio.gather(*map(self._unpin, pinned))

    async def close(self) -> None:
        """Ask for nothing more, and unpin everything."""
        self._is_open = False
        await self.release(list(self._pulls))

    def _start_over(self) -> None:
        """After a reconnect NATS may have forgotten everything."""
        for partition in self._pulls:
            self._pulls[partition] = _Pull()

    async def _prepare(self, partition: int) -> None:
        pull = self._pulls.get(partition)
        if pull is not None and not pull.is_made:
            await self._make(partition)
        await self._pull(partition)

    async def _make(self, partition: int) -> None:
        """Make the partition's consumer if it is not there; unpin whoever led before.

        Looked at first: making costs NATS a write to disk, also where nothing changes.
        """
        stream, name = self._nudges.stream, _name(partition)
        subject = stream.filter_subject(partition)
        config = _config(name, subject)
        answer = await self._request(f"INFO.{stream.name}.{name}", {})
        if "error" in answer or not config.items() <= answer["config"].items():
            request = {"stream_name": stream.name, "config": config, "action": ""}
            answer = await self._request(f"CREATE.{stream.name}.{name}.{subject}", request)
        error = answer.get("error")
        if error is None:
            if any(group.get("pinned_client_id") for group in answer.get("priority_groups", ())):
                await self._unpin(partition)
            if partition in self._pulls:
                self._pulls[partition].is_made = True
        elif error.get("err_code") == _STREAM_NOT_FOUND:
            self._nudges.ensure_stream_soon()
        else:
            _log.warning("consumer_refused", partition=partition, error=error)

    async def _unpin(self, partition: int) -> None:
        await self._request(
            f"UNPIN.{self._nudges.stream.name}.{_name(partition)}", {"group": _GROUP}
        )

    async def _request(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
        """The answer of the JetStream API; an error when there is none."""
        try:
            message = await self._broker.request(
                f"$JS.API.CONSUMER.{method}",
                orjson.dumps(request),
                timeout_seconds=_REQUEST_SECONDS,
            )
        except BrokerAway as error:
            return {"error": {"description": str(error)}}
        answer: dict[str, Any] = orjson.loads(message.data)
        return answer

    async def _pull(self, partition: int) -> None:
        """Ask for the partition's next nudges, or wait a moment when that cannot be."""
        pull = self._pulls.get(partition)
        if pull is None:
            return
        now = self._clock.monotonic()
        pull.due_at = now + _PAUSE_SECONDS
        if not pull.is_made or self._pipeline.is_full:
            return
        pull.number += 1
        pull.remaining = _BATCH
        request: dict[str, Any] = {
            "batch": _BATCH,
            "expires": int(_EXPIRES_SECONDS * _NANOS),
            "group": _GROUP,
        }
        if pull.pin:
            request["id"] = pull.pin
        with suppress(BrokerAway):
            await self._broker.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._nudges.stream.name}.{_name(partition)}",
                orjson.dumps(request),
                reply=f"{self._inbox}.{partition}.{pull.number}",
            )
            pull.due_at = now + _EXPIRES_SECONDS + _GRACE_SECONDS

    async def _receive(self, message: Msg) -> None:
        status = (message.headers or {}).get("Status")
        *_, partition, last = message.subject.split(".")
        if status is None:
            await self._receive_nudge(int(partition), last, message)
        else:
            await self._receive_status(int(partition), int(last), status)

    async def _receive_nudge(self, partition: int, customer_id: str, message: Msg) -> None:
        pull = self._pulls.get(partition)
        if pull is None or partition not in self._leads:
            with suppress(BrokerAway):
                await self._broker.publish(message.reply, b"-NAK")
            return
        pull.pin = (message.headers or {}).get("Nats-Pin-Id", "")
        self._pipeline.attend(customer_id, ack=message.reply)
        pull.remaining -= 1
        if pull.remaining == 0:
            await self._pull(partition)

    async def _receive_status(self, partition: int, number: int, status: str) -> None:
        pull = self._pulls.get(partition)
        if pull is None or number != pull.number:
            return
        match status:
            case "404" | "408":
                await self._pull(partition)
                return
            case "423":
                pull.pin = ""
            case "409" | "503":
                pull.is_made = False
        pull.due_at = self._clock.monotonic() + _PAUSE_SECONDS


def _name(partition: int) -> str:
    return f"partition-{partition}"


def _config(name: str, subject: str) -> dict[str, Any]:
    """Without a limit of deliveries: a limit strands messages."""
    return {
        "name": name,
        "durable_name": name,
        "filter_subject": subject,
        "deliver_policy": "all",
        "replay_policy": "instant",
        "ack_policy": "explicit",
        "ack_wait": 5 * _NANOS,
        "max_ack_pending": 256,
        "max_deliver": -1,
        "mem_storage": True,
        "priority_groups": [_GROUP],
        "priority_policy": "pinned_client",
        "priority_timeout": _PIN_SECONDS * _NANOS,
    }
