"""The halts as this worker knows them: read from the database every half second, shared by all."""

from libs.clock import Clock
from services.execution.domain.halts import Halt, HaltEvent, Halts, Scope
from services.execution.store import Store


class HaltBoard:
    """Halts in force. While the database is away, the ones last read stay in force."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.current = Halts()

    async def refresh(self) -> None:
        """Read them again. Raises Unavailable."""
        self.current = await self._store.halts()

    async def events(self, *, before_id: int, limit: int) -> list[HaltEvent]:
        """What was asked for, newest first. Raises Unavailable."""
        return await self._store.halt_events(before_id=before_id, limit=limit)

    async def halt(self, scope: Scope, *, reason_text: str, actor: str) -> Halt:
        """Put a halt in force, here at once and at the other workers within a second."""
        halt = await self._store.halt(Halt(scope, reason_text, actor, self._clock.now()))
        await self.refresh()
        return halt

    async def resume(self, scope: Scope, *, reason_text: str, actor: str) -> bool:
        """End a halt; the sweep takes up what waited. False if there was none."""
        ended = await self._store.resume(Halt(scope, reason_text, actor, self._clock.now()))
        await self.refresh()
        return ended
