"""What a call costs on its way to the code that answers it: the same one by ever longer ways.

gRPC alone; behind the door of every service of ours, which wants a token, counts and traces;
through Envoy; through Envoy with TLS. What the door does of it is told apart by leaving it out, in
a process where nothing else happens.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import uvloop
from rich.progress import Progress

from bench.cpu import seconds_of
from bench.doorkeeping import parts_of_the_door
from bench.echo import add_echo, call_often
from bench.entrance import certificate, entrance, running
from bench.report import Row
from bench.scale import Scale
from libs.auth import Role, Signer, Verifier, make_key
from libs.rpc import RpcServer

ALONE, BEHIND = "a call: gRPC alone", "behind a service's door"
THROUGH, SECURE = "through Envoy", "through Envoy with TLS"
_CHANNELS = 4
_METHOD = "/stockbroker.order.v1.OrderService/PlaceTrade"


async def rounds(scale: Scale, progress: Progress) -> AsyncGenerator[list[Row], None]:
    """The rows of one round after the other."""
    task = progress.add_task("all ways", total=5 * scale.rounds)
    with ExitStack() as stack:
        place = tempfile.TemporaryDirectory(prefix="stockbroker-bench-")
        folder = Path(stack.enter_context(place))
        key_file, jwks_file = folder / "signing.pem", folder / "jwks.json"
        make_key(key_file, jwks_file)
        token = Signer(key_file).mint("b000001", Role.CUSTOMER)
        load = _Load(scale, (("authorization", f"Bearer {token}"),))
        ways = {
            ALONE: stack.enter_context(_served("alone", jwks_file)),
            BEHIND: stack.enter_context(_served("behind", jwks_file)),
            THROUGH: stack.enter_context(_through_envoy(folder, jwks_file, is_secure=False)),
            SECURE: stack.enter_context(_through_envoy(folder, jwks_file, is_secure=True)),
        }
        for _ in range(scale.rounds):
            rows: list[Row] = []
            for name, way in ways.items():
                progress.update(task, advance=1, description=name)
                rows.append(await load.row(name, way, rows))
            progress.update(task, advance=1, description="the door apart")
            rows += await asyncio.to_thread(parts_of_the_door, jwks_file, token)
            yield rows


class Way:
    """Where to call, and whose CPU it takes. `trusted`: the certificate there, if there is one."""

    def __init__(self, address: str, pids: list[int], trusted: bytes | None = None) -> None:
        self.address = address
        self.pids = pids
        self.trusted = trusted

    def channel(self) -> grpc.aio.Channel:
        """A connection of its own."""
        own = [("grpc.use_local_subchannel_pool", 1)]
        if self.trusted is None:
            return grpc.aio.insecure_channel(self.address, options=own)
        credentials = grpc.ssl_channel_credentials(self.trusted)
        return grpc.aio.secure_channel(self.address, credentials, options=own)

    def cpu(self) -> float:
        """Seconds so far, the caller's included."""
        return time.process_time() + sum(map(seconds_of, self.pids))


class _Load:
    """The same callers on every way."""

    def __init__(self, scale: Scale, metadata: Any) -> None:
        self._scale = scale
        self._metadata = metadata

    async def row(self, name: str, way: Way, before: list[Row]) -> Row:
        """Calls a second; the ratio is to the first of the rows before."""
        channels = [way.channel() for _ in range(_CHANNELS)]
        callers, seconds = self._scale.callers, self._scale.seconds
        await call_often(channels, callers=callers, seconds=0.2, metadata=self._metadata)
        began, cpu = time.perf_counter(), way.cpu()
        done = await call_often(channels, callers=callers, seconds=seconds, metadata=self._metadata)
        took, cpu = time.perf_counter() - began, way.cpu() - cpu
        for channel in channels:
            await channel.close()
        rate = done / took
        return Row(
            name=name,
            value=rate,
            unit="1/s",
            cpu_us=1e6 * cpu / done,
            floor=ALONE if before else "",
            ratio=rate / before[0].value if before else None,
            note=f"{callers} callers; CPU of the caller, the server and what is between",
        )


@contextmanager
def _served(how: str, jwks_file: Path) -> Iterator[Way]:
    """A server as a process of its own."""
    with running([sys.executable, "-m", "bench.ways", how, str(jwks_file)]) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Way(f"127.0.0.1:{port}", [process.pid])


@contextmanager
def _through_envoy(folder: Path, jwks_file: Path, *, is_secure: bool) -> Iterator[Way]:
    """Our edge before a server that has our door."""
    with _served("behind", jwks_file) as way:
        files = certificate(folder) if is_secure else None
        with entrance(folder, jwks_file, way.address, files) as (address, pid):
            trusted = files[0].read_bytes() if files else None
            yield Way(address, [*way.pids, pid], trusted)


async def _serve(how: str, jwks_file: str) -> None:
    if how == "alone":
        server = grpc.aio.server()
        add_echo(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
    else:
        allow = {_METHOD: frozenset({Role.CUSTOMER})}
        own = RpcServer(
            listen="127.0.0.1:0",
            allow=allow,
            quiet=frozenset(allow),
            verifier=Verifier(jwks_file),
        )
        add_echo(own.server)
        own.serves("stockbroker.order.v1.OrderService")
        await own.start()
        await own.set_ready(True)
        port = own.port
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(*sys.argv[1:]))
