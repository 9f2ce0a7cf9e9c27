"""Runs one service as a process: settings, log, event loop, metrics, graceful end."""

import asyncio
import contextvars
import gc
import os
import resource
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeVar

import msgspec
import structlog
import uvloop
from prometheus_client import start_http_server

from libs import log
from libs.rpc import RpcServer
from libs.settings import InvalidSettings, load_or_exit
from libs.tasks import end

Settings = TypeVar("Settings", bound=msgspec.Struct)

_YOUNG_VALUES = 50_000
_END_SECONDS = 10.0
_log = structlog.get_logger()


def run(
    name: str,
    kind: type[Settings],
    house: Callable[[Settings], AbstractAsyncContextManager[RpcServer]],
) -> None:
    """Run `house` until SIGTERM or SIGINT; it starts what it needs, yields, and stops it again.

    The process ends with 1 when a task fails that the house lives by, and where it cannot start: a
    file that is not there or a port in use is told in a sentence.
    """
    log.configure(name)
    settings = load_or_exit(kind)
    _take_all_files()
    uvloop.run(_serve(settings, house))


def settle_memory() -> None:
    """What was made so far lasts; what is made from now on comes and goes in batches."""
    gc.collect()
    gc.freeze()
    # A batch makes thousands of values that die young: by the default each would be looked at
    # several times before it is dropped.
    gc.set_threshold(_YOUNG_VALUES)


def _take_all_files() -> None:
    """Every connection is a file: containers begin with 1,024, although many more are allowed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(
    settings: Settings, house: Callable[[Settings], AbstractAsyncContextManager[RpcServer]]
) -> None:
    stop = asyncio.Event()
    loop, serving = asyncio.get_running_loop(), asyncio.current_task()
    has_started = has_failed = False

    def leave() -> None:
        """While it starts, at once: what it waits for may never come."""
        if serving is not None and not (has_started or stop.is_set()):
            _end_in_time()
            serving.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    try:
        async with _begun(settings, house) as rpc:
            has_started = True
            settle_memory()
            _log.info("started", listen=rpc.address)
            await _either(stop, rpc.failed)
            _log.info("stopping")
            _end_in_time()
            has_failed = rpc.failed.is_set()
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    _log.info("stopped")
    if has_failed:
        raise SystemExit(1)


@asynccontextmanager
async def _begun(
    settings: Settings, house: Callable[[Settings], AbstractAsyncContextManager[RpcServer]]
) -> AsyncIterator[RpcServer]:
    async with AsyncExitStack() as stack:
        try:
            _serve_metrics(getattr(settings, "metrics_listen", ""))
            rpc = await stack.enter_async_context(house(settings))
        except TimeoutError:  # no sentence of its own: where it was says more
            raise
        except (OSError, InvalidSettings) as error:
            _log.error("not_started", error=str(error))
            raise SystemExit(1) from None
        yield rpc


def _end_in_time() -> None:
    """End the process once it has been ending for long enough, whatever it still waits for.

    A database that stands still answers nothing, and one wait for it may follow another. What ends
    here loses no more than what is killed.
    """

    def give_up() -> None:
        _log.error("not_stopped_in_time", seconds=_END_SECONDS)
        os._exit(1)

    timer = threading.Timer(_END_SECONDS, contextvars.copy_context().run, [give_up])
    timer.daemon = True  # who ends in time does not wait for it
    timer.start()


async def _either(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*waits)


def _serve_metrics(listen: str) -> None:
    if listen:
        host, _, port = listen.rpartition(":")
        try:
            start_http_server(int(port), addr=host)
        except OSError as error:
            raise OSError(f"cannot serve metrics on {listen}: {error.strerror}") from error
