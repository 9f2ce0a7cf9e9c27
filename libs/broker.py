"""One connection to NATS that is made in the background and comes back for ever.

Nobody waits for the broker: what cannot be sent now is dropped or refused at once, and the database
says later what was to be done.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from libs.clock import Clock, SystemClock
from libs.tasks import end

_RETRY_SECONDS = 0.2
_CLOSE_SECONDS = 2.0
_log = structlog.get_logger()


class BrokerAway(ConnectionError):
    """There is no connection to NATS now."""


class Broker:
    """A client of one or more NATS servers (`url`: comma-separated).

    Subscriptions are kept over every reconnect. `on_connected` callbacks run after each connect,
    the first included: whatever the broker may have forgotten is set up again there.
    """

    def __init__(self, url: str, *, name: str, clock: Clock | None = None) -> None:
        self._servers = [part.strip() for part in url.split(",")]
        self._name = name
        self._clock = clock or SystemClock()
        self._client: Client | None = None
        self._upkeep: asyncio.Task[None] | None = None
        self._subscriptions: list[tuple[str, Callable[[Msg], Awaitable[None]]]] = []
        self._greetings: list[Callable[[], None]] = []
        self._is_known_away = False

    def start(self) -> None:
        """Begin to connect. Returns at once, whether NATS is there or not."""
        if self._upkeep is None:
            self._upkeep = asyncio.create_task(self._keep(), name=f"broker-{self._name}")

    async def close(self) -> None:
        """Disconnect for good, within seconds."""
        await end(self._upkeep)
        client, self._client = self._client, None
        if client is not None:
            await _close(client)

    @property
    def is_connected(self) -> bool:
        """Whether a request can be sent now."""
        return self._client is not None and self._client.is_connected

    def on_connected(self, greet: Callable[[], None]) -> None:
        """Call `greet` after each connect; it must not block."""
        self._greetings.append(greet)

    async def subscribe(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> None:
        """Hear `subject` whenever there is a connection. Messages sent meanwhile are lost."""
        self._subscriptions.append((subject, callback))
        if self._client is not None:
            await self._client.subscribe(subject, cb=callback)

    async def publish(self, subject: str, payload: bytes = b"", reply: str = "") -> None:
        """Send without waiting for anybody. Raises BrokerAway."""
        try:
            await self._connected().publish(subject, payload, reply=reply)
        except NatsError as error:
            raise BrokerAway(str(error)) from error

    async def request(self, subject: str, payload: bytes = b"", *, timeout_seconds: float) -> Msg:
        """Send and wait for one answer. Raises BrokerAway, also when nobody answers in time."""
        try:
            return await self._connected().request(subject, payload, timeout=timeout_seconds)
        except (NatsError, TimeoutError) as error:
            raise BrokerAway(f"no answer on {subject}: {error}") from error

    def _connected(self) -> Client:
        if self._client is None or not self._client.is_connected:
            raise BrokerAway("not connected to NATS")
        return self._client

    async def _keep(self) -> None:
        """Connect; the client reconnects by itself; when it gives up all the same, start afresh."""
        while True:
            closed = asyncio.Event()
            client = Client()
            try:
                await self._connect(client, closed)
                await closed.wait()
                _log.warning("broker_connection_closed")
            except (NatsError, OSError, TimeoutError) as error:
                _log.warning("broker_connect_failed", error=str(error))
            except asyncio.CancelledError:
                await _close(client)
                raise
            self._client = None
            await _close(client)
            await self._clock.sleep(_RETRY_SECONDS)

    async def _connect(self, client: Client, closed: asyncio.Event) -> None:
        async def is_closed() -> None:
            closed.set()

        async def is_back() -> None:
            self._greet()

        await client.connect(
            servers=self._servers,
            name=self._name,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RETRY_SECONDS,  # type: ignore[arg-type]  # any number will do
            ping_interval=2,
            error_cb=self._tell_away,
            disconnected_cb=_tell_lost,
            reconnected_cb=is_back,
            closed_cb=is_closed,
        )
        for subject, callback in self._subscriptions:
            await client.subscribe(subject, cb=callback)
        self._client = client
        self._greet()

    async def _tell_away(self, error: Exception) -> None:
        """Each failed attempt to connect ends here; the first says why."""
        if not self._is_known_away:
            _log.warning("broker_away", client=self._name, error=str(error))
        self._is_known_away = True

    def _greet(self) -> None:
        self._is_known_away = False
        _log.info("broker_connected", client=self._name)
        for greet in self._greetings:
            greet()


async def _tell_lost() -> None:
    _log.warning("broker_connection_lost")


async def _close(client: Client) -> None:
    with contextlib.suppress(Exception):
        await asyncio.wait_for(client.close(), _CLOSE_SECONDS)
