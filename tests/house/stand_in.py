"""A part for tests of the supervisor: a small process that listens on a port, or does not.

python -m tests.house.stand_in PORT [MISDEED]
"""

import errno
import os
import signal
import socket
import sys
import time
from pathlib import Path

from libs.embedded import CannotRun, Child, free_port

DIES = "dies"  # says why and ends before it is ready
DEAF = "deaf"  # does not end when asked
SLOW = "slow"  # never gets ready


class StandIn:
    """A part that does nothing but run."""

    stop_with = signal.SIGTERM

    def __init__(self, name: str, folder: Path, *, misdeed: str = "") -> None:
        self.name = name
        self.misdeed = misdeed
        self.is_hindered = False
        self.cannot_be_spawned = False
        self._port = free_port()
        command = [sys.executable, "-m", "tests.house.stand_in", str(self._port), misdeed]
        self.child = Child(command, log=folder / f"{name}.log")

    def prepare(self) -> None:
        if self.is_hindered:
            raise CannotRun(f"port {self._port}, wanted by {self.name}, is in use")

    def spawn(self) -> None:
        if self.cannot_be_spawned:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.child.start()

    def is_ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        return True

    def settle(self) -> None:
        """Nothing."""


def main(port: int, misdeed: str) -> None:
    if misdeed == DIES:
        sys.exit("the disk is full of eels")
    if misdeed == DEAF:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if misdeed == SLOW:
        time.sleep(1000)
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            server.accept()[0].close()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
