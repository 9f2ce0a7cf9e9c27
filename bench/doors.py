"""A ledger as a process of its own, called through its public contract."""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import grpc

from bench.books import SEEDED
from bench.loads import ASSET, Loads
from bench.proving import rules_hold
from bench.report import Row
from bench.scale import Scale
from libs.auth import Role, Signer, make_key
from libs.embedded.ports import HOST, free_port
from libs.proof.checkpoint import SigningKey
from stockbroker.ledger.v1 import posting_pb2 as pb
from stockbroker.ledger.v1.invariant_pb2 import GetInvariantsRequest
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

_CALLERS, _CALL_ITEMS = 4, 250
_START_SECONDS = 120.0
_LOOK_SECONDS = 300.0
_DEADLINE_SECONDS = 30.0


class Doors:
    """The process, and an operator's connection to it."""

    def __init__(self, database_url: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="stockbroker-bench-ledger-")
        folder = Path(self._folder.name)
        make_key(folder / "signing.pem", folder / "jwks.json")
        SigningKey.new().write(folder / "ledger.pem", folder / "ledger.pub")
        token = Signer(folder / "signing.pem").mint("olivia", Role.OPERATOR, 3_600)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._address = f"{HOST}:{free_port()}"
        self._settings = {
            "STOCKBROKER_DATABASE_URL": database_url,
            "STOCKBROKER_JWKS_FILE": str(folder / "jwks.json"),
            "STOCKBROKER_SIGNING_KEY_FILE": str(folder / "ledger.pem"),
            "STOCKBROKER_LISTEN": self._address,
        }

    async def __aenter__(self) -> "Doors":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.ledger.main",
            env=os.environ | self._settings,
            stdout=asyncio.subprocess.DEVNULL,
        )
        self._channel = grpc.aio.insecure_channel(self._address)
        self._ledger = LedgerServiceStub(self._channel)
        try:
            await self._is_writer()
            await self._has_looked()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._channel.close()
        self._process.terminate()
        await self._process.wait()
        self._folder.cleanup()

    async def rate(self, scale: Scale) -> Row:
        """Transfers per second, by calls of many. Raises NotTrue."""
        loads = Loads(scale.accounts)
        began = time.perf_counter()
        until = began + scale.seconds
        done = await asyncio.gather(*(self._call(loads, until) for _ in range(_CALLERS)))
        took = time.perf_counter() - began
        await self._has_looked()
        return Row(
            name="transfers, spread, through gRPC",
            value=sum(done) / took,
            unit="1/s",
            note=f"PostTransfers, {_CALLERS} callers x {_CALL_ITEMS}",
        )

    async def _call(self, loads: Loads, until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            request = pb.PostTransfersRequest(
                transfers=[_message(*loads.pair()) for _ in range(_CALL_ITEMS)]
            )
            response = await self._ledger.PostTransfers(
                request, metadata=self._metadata, timeout=_DEADLINE_SECONDS
            )
            if refused := [result for result in response.results if result.reason]:
                raise RuntimeError(f"refused: {refused[0]}")
            done += len(response.results)
        return done

    async def _is_writer(self) -> None:
        """Wait until it takes transfers."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                await self._ledger.PostTransfers(
                    pb.PostTransfersRequest(),
                    metadata=self._metadata,
                    timeout=_START_SECONDS,
                    wait_for_ready=True,
                )
                return
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.05)

    async def _has_looked(self) -> None:
        """Wait until it has looked at all there is, and broke nothing. Raises NotTrue."""
        looks = self._ledger.GetInvariants(
            GetInvariantsRequest(), metadata=self._metadata, timeout=_LOOK_SECONDS
        )
        await rules_hold(looks, but=SEEDED)


def _message(id_: str, source: str, target: str) -> pb.PostedTransfer:
    leg = pb.TransferLeg(debit_account=source, credit_account=target, asset=ASSET, amount=1)
    return pb.PostedTransfer(transfer_id=id_, legs=[leg], reference="for a measurement")
