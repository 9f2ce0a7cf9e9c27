"""TCP ports of this machine."""

import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
_LOWEST = 10_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")

# One per port given out: names in a space of the kernel's own, gone when this process ends.
_claims: list[socket.socket] = []


def free_port() -> int:
    """A port nobody listens on, that no other process using this function gets while we live.

    Below those the kernel gives to outgoing connections: any of these may be taken at any moment.
    """
    highest = int(_EPHEMERAL.read_text().split()[0])
    while True:
        port = random.randrange(_LOWEST, max(highest, _LOWEST + 1_000))
        if _claim(port) and is_free(port):
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        # As servers do it: connections of the last run that linger are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_taken(port: int, *, seconds: float = 1.0) -> bool:
    """Whether somebody takes connections on `port` now. Unlike `is_free` it is in nobody's way."""
    try:
        socket.create_connection((HOST, port), timeout=seconds).close()
    except OSError:
        return False
    return True


def _claim(port: int) -> bool:
    """Whether the port is ours to give out: nobody else has its name."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0stockbroker-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True
