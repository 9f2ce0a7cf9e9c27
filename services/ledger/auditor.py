"""Looks at the books over and over, whether they keep their rules.

A look asks of the history only what is new since the look before. What all accounts and holds come
to is asked along with it as long as that is quickly told, and else now and then: it grows with
customers and trades. A full look goes over everything: the first one, one that is asked for, one at
once when somebody changed or removed rows of history, and one from time to time. How long each
takes decides how long the pause is, so that looking never takes more than a small part of the
database.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, LiteralString

import msgspec
import structlog
from prometheus_client import Gauge
from psycopg import AsyncConnection

from libs.clock import Clock
from libs.postgres import Pool
from libs.refusals import Unavailable
from libs.tasks import end
from services.ledger.domain.changes import Changes, Counters, Moving
from services.ledger.domain.deeds import derived
from services.ledger.kept import Kept
from services.ledger.proving import Flaw
from services.ledger.store import invariants
from services.ledger.store.history import read_end
from services.ledger.store.horizon import read_horizon
from services.ledger.tenure import Tenure

RULES = {
    "I1": "the balances of an asset add up to zero, and so do the entries of every transfer",
    "I2": "no version of an account with a floor is below zero, what is held taken off",
    "I3": "an account's versions have no gap, and each balance follows from the one before",
    "I4": "the open holds on an account add up to what is held of it",
    "I5": "an execution of an exchange, or its correction, is booked once, "
    "under the id that follows from its name",
    "I6": "every answer is on record for ever, and what was refused changed nothing",
    "I7": "the changes of an account are in the order of the journal",
    "I8": "the history goes on from the last checkpoint that the ledger kept",
}

_PAUSE_SECONDS = 1.0
_PART_OF_TIME = 10  # a look is followed by a pause of ten times its length
_STATE_PART_OF_TIME = 50  # so many times as long as it took, all accounts and holds are not asked
_FULL_PAUSE_SECONDS = 60.0
_FULL_PART_OF_TIME = 100
_TRANSFERS_AT_ONCE = 100_000
_MOST_BREACHES = 5
_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# Which partitions there are is not of that moment but of now: before it begins, they are to stay.
_ALL_STAYS = "LOCK TABLE ONLY entry IN ACCESS SHARE MODE"

_broken = Gauge("ledger_invariant_broken", "1 while an invariant is broken", ["invariant"])
_log = structlog.get_logger()

Breaches = dict[str, list[str]]


class Finding(msgspec.Struct, frozen=True):
    """What is known of one invariant."""

    breaches: tuple[str, ...] = ()
    broken_since: datetime | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a look showed."""

    findings: Mapping[str, Finding]
    transfer_seq: int  # up to which transfer it is true
    full_transfer_seq: int  # up to which the latest full look reached
    checked_at: datetime


class Auditor:
    """Looks while this process is the writer or somebody follows, and when it is asked to."""

    def __init__(self, pool: Pool, *, kept: Kept, tenure: Tenure, clock: Clock) -> None:
        self._pool = pool
        self._kept = kept
        self._tenure = tenure
        self._clock = clock
        self._lock = asyncio.Lock()
        self._looked = asyncio.Event()
        self._followers = 0
        self._task: asyncio.Task[None] | None = None
        self._latest: Look | None = None
        self._counters: Counters = {}  # as of the latest look
        self._changes = Changes()
        self._owes_full = False  # whether history was changed since the latest full look
        self._next_full = 0.0
        self._next_state = 0.0
        self._owes_state = False  # whether somebody else than the writer may have written
        for name in RULES:
            _broken.labels(name).set(0)

    def begin(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Look no more."""
        await end(self._task)

    async def look(self, *, full: bool = False, in_turn: bool = False) -> Look:
        """Look now. Raises Unavailable.

        `in_turn`: at all accounts and holds only if that is not too soon after the last time.
        """
        async with self._lock:
            before = self._latest
            counters = await self._read_counters()
            self._owes_full |= self._changes.note(counters, await self._read_moving())
            is_full = full or before is None or self._owes_full
            began = self._clock.monotonic()
            after = 0 if is_full or before is None else before.transfer_seq
            if is_full or not in_turn:
                self._next_state = began
            try:
                until, breaches = await self._search(after, is_full=is_full)
            except BaseException:
                self._owes_state = True  # what it found of it is not told
                raise
            self._counters = counters
            seconds = self._clock.monotonic() - began
            if is_full:
                self._owes_full = False
                pause = max(_FULL_PAUSE_SECONDS, seconds * _FULL_PART_OF_TIME)
                self._next_full = self._clock.monotonic() + pause
            self._latest = self._judge(before, breaches, until, is_full=is_full)
            self._looked.set()
            self._looked = asyncio.Event()
            return self._latest

    async def next_look(self) -> Look:
        """The look after this moment."""
        self._followers += 1
        try:
            await self._looked.wait()
        finally:
            self._followers -= 1
        return self._known()

    def _known(self) -> Look:
        if self._latest is None:
            raise AssertionError("no look was made")
        return self._latest

    async def _run(self) -> None:
        while True:
            began = self._clock.monotonic()
            if self._tenure.epoch is not None or self._followers:
                try:
                    if await self._is_due():
                        await self.look(full=began >= self._next_full, in_turn=True)
                except Unavailable:
                    pass
                except Exception:
                    _log.error("look_failed", exc_info=True)
            seconds = self._clock.monotonic() - began
            await self._clock.sleep(max(_PAUSE_SECONDS, seconds * _PART_OF_TIME))

    async def _is_due(self) -> bool:
        """Whether anything was written since the latest look, by whomever."""
        if self._latest is None or (self._owes_state and self._is_time_for_state()):
            return True
        return self._changes.is_moving or await self._read_counters() != self._counters

    async def _read_counters(self) -> Counters:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(invariants.READ_COUNTERS)
            return {row[:2]: row[2:] for row in await cursor.fetchall()}

    async def _read_moving(self) -> Moving:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(invariants.READ_MOVING)
            ((ever, now),) = await cursor.fetchall()
            return Moving(ever, now)

    async def _search(self, after: int, *, is_full: bool) -> tuple[int, Breaches]:
        """The transfer up to which it looked, and what is broken."""
        breaches: Breaches = {rule: list(words) for rule, words in self._changes.breaches.items()}
        async with self._pool.connection() as connection:
            try:
                await self._kept.check(connection)
            except Flaw as flaw:
                breaches["I8"] = [str(flaw)]
            async with connection.transaction():
                await connection.execute(_ONE_MOMENT)
                await connection.execute(_ALL_STAYS)
                until = (await read_end(connection)).transfer_seq
                await _ask(connection, invariants.OF_HEAD, {}, breaches)
                # Where the journal has nothing new: who wrote, if not the writer?
                self._owes_state |= is_full or until == after
                if self._is_time_for_state():
                    await self._ask_state(connection, breaches)
                if not is_full and until > after:
                    await _ask_range(connection, (after, until), breaches, is_full=False)
            if is_full:
                await self._search_history(connection, until, breaches)
        return until, breaches

    def _is_time_for_state(self) -> bool:
        return self._clock.monotonic() >= self._next_state

    async def _ask_state(self, connection: AsyncConnection, breaches: Breaches) -> None:
        """Of all accounts and holds; the time it takes grows with them."""
        began = self._clock.monotonic()
        await _ask(connection, invariants.OF_STATE, {}, breaches)
        if self._owes_state:
            await _ask(connection, invariants.OF_ACCOUNTS, {}, breaches)
            self._owes_state = False
        ended = self._clock.monotonic()
        self._next_state = ended + (ended - began) * _STATE_PART_OF_TIME

    async def _search_history(
        self, connection: AsyncConnection, until: int, breaches: Breaches
    ) -> None:
        """All of it, piece by piece: it does not change meanwhile, and nothing is held up."""
        for after in range(0, until, _TRANSFERS_AT_ONCE):
            bounds = after, min(after + _TRANSFERS_AT_ONCE, until)
            async with connection.transaction():
                await connection.execute(_ONE_MOMENT)
                await connection.execute(_ALL_STAYS)
                await _ask_range(connection, bounds, breaches, is_full=True)
        async with connection.transaction():
            await connection.execute(_ONE_MOMENT)
            await connection.execute(_ALL_STAYS)
            archived = {"archived": (await read_horizon(connection)).seq}
            if archived["archived"]:
                await _ask(connection, invariants.OF_ARCHIVED, archived, breaches)

    def _judge(self, before: Look | None, breaches: Breaches, until: int, *, is_full: bool) -> Look:
        """What is known now. What is broken stays so until a full look finds it whole."""
        now = self._clock.now()
        findings = {}
        for rule in RULES:
            earlier = before.findings[rule] if before is not None else Finding()
            found = dict.fromkeys(breaches.get(rule, ()))
            if not is_full:
                found |= dict.fromkeys(earlier.breaches)
            words = tuple(found)[:_MOST_BREACHES]
            since = (earlier.broken_since or now) if words else None
            if words and words != earlier.breaches:
                _log.error("invariant_broken", invariant=rule, rule=RULES[rule], where=words)
            _broken.labels(rule).set(bool(words))
            findings[rule] = Finding(words, since)
        full_seq = until if is_full or before is None else before.full_transfer_seq
        return Look(
            findings=findings, transfer_seq=until, full_transfer_seq=full_seq, checked_at=now
        )


async def _ask(
    connection: AsyncConnection,
    questions: Mapping[str, Iterable[LiteralString]],
    bounds: Mapping[str, Any],
    breaches: Breaches,
) -> None:
    for rule, queries in questions.items():
        for query in queries:
            cursor = await connection.execute(query, bounds)
            for (words,) in await cursor.fetchall():
                breaches.setdefault(rule, []).append(words)


async def _ask_range(
    connection: AsyncConnection, bounds: tuple[int, int], breaches: Breaches, *, is_full: bool
) -> None:
    """Of transfers above one up to the other; of their entries, as far as they are not archived."""
    after, until = bounds
    of_transfers = {"after": after, "until": until}
    await _ask(connection, invariants.OF_TRANSFERS, of_transfers, breaches)
    await _ask_executions(connection, of_transfers, breaches)
    of_entries = {"after": max(after, (await read_horizon(connection)).seq), "until": until}
    if of_entries["after"] < until:
        await _ask(connection, invariants.IN_RANGE, of_entries, breaches)
        if is_full or await _may_be_amiss(connection, of_entries):
            await _ask(connection, invariants.OF_ENTRIES, of_entries, breaches)


async def _may_be_amiss(connection: AsyncConnection, bounds: Mapping[str, Any]) -> bool:
    """Whether the questions of entries are worth asking; the range is to the journal's end."""
    cursor = await connection.execute(invariants.MAY_BE_AMISS, bounds)
    return await cursor.fetchone() is not None


async def _ask_executions(
    connection: AsyncConnection, bounds: Mapping[str, Any], breaches: Breaches
) -> None:
    """The id follows from the name, and ids are unique: so each is there at most once."""
    cursor = await connection.execute(invariants.LIST_EXECUTIONS, bounds)
    for seq, id_, what, reference in await cursor.fetchall():
        venue, _, own_id = reference.partition("/")
        if id_ != derived(what, venue, own_id):
            breaches.setdefault("I5", []).append(f"transfer {seq} is not booked as {reference}")
