"""A NATS server of a test's own, to be killed, stopped and wiped at will."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from libs.embedded import free_port

_START_SECONDS = 60.0


class NatsServer:
    """nats-server on a free port, the same over restarts, with its store in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()

    @property
    def url(self) -> str:
        """nats://host:port, also while it is down."""
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        binary = Path(sys.executable).with_name("nats-server")
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "server.log"
        config = self._folder / "server.conf"
        store = self._folder / "store"
        config.write_text(
            f'listen: "127.0.0.1:{self._port}"\n'
            f'jetstream {{ store_dir: "{store}", sync_interval: always }}\n'
        )
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [str(binary), "-c", str(config)], stdout=out, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise TimeoutError(f"nats-server did not start: {log.read_text()[-2000:]}")

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Lose everything it stored; only while it is down."""
        assert self._process is None
        shutil.rmtree(self._folder / "store", ignore_errors=True)
