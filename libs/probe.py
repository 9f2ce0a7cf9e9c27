"""Asks one server for its health, as a container's health check does.

    python -m libs.probe host:port [service]

Ends with 0 if `service` (default: the server as a whole) is SERVING, else with 1 and one line that
says why; with 2 when asked wrongly. `liveness` tells that the process runs, ready or not.

It stands outside of libs.rpc, whose imports would make every check four times as dear.
"""

import sys
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.direct import DIRECT

_SECONDS = 3.0


def probe(
    address: str,
    service: str = "",
    *,
    timeout_seconds: float = _SECONDS,
    metadata: tuple[tuple[str, str], ...] = (),
) -> str:
    """Why `service` at `address` (host:port) is not serving; empty if it is."""
    with grpc.insecure_channel(address, options=[DIRECT]) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its types name no methods
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            answer = stub.Check(request, timeout=timeout_seconds, metadata=metadata)
        except grpc.RpcError as error:
            return str(error.code().name)
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return ""
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def main(arguments: list[str]) -> None:
    """Do what is asked for."""
    if len(arguments) not in (1, 2):
        sys.stderr.write(f"{__doc__}\n")
        raise SystemExit(2)
    fault = probe(*arguments)
    if fault:
        sys.stderr.write(f"{' '.join(arguments)}: {fault}\n")
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
