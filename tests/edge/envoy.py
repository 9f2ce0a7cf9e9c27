"""A real Envoy as `services.edge.main` runs it, in front of a service of the test's own."""

import http.client
import os
import sys
from pathlib import Path

from libs.embedded import Child, free_port
from tests.support.keys import Keys
from tests.support.wait import until

UPSTREAMS = ("order", "ledger", "execution", "gateway", "exchange", "reconciliation")


class Envoy:
    """Both doors on free ports; every upstream is `upstream` (host:port)."""

    def __init__(self, folder: Path, *, keys: Keys, upstream: str, **settings: str) -> None:
        self.public = f"127.0.0.1:{free_port()}"
        self.operators = f"127.0.0.1:{free_port()}"
        self._admin_port = free_port()
        self.settings = {
            "jwks_file": keys.jwks_file,
            "listen": self.public,
            "operators_listen": self.operators,
            "admin_listen": f"127.0.0.1:{self._admin_port}",
            "config_file": str(folder / "envoy.yaml"),
            **{f"{name}_address": upstream for name in UPSTREAMS},
            **settings,
        }
        command = [sys.executable, "-m", "services.edge.main"]
        self._child = Child(command, log=folder / "envoy.log")

    async def start(self) -> None:
        """Start it and wait until it takes calls."""
        own = {f"STOCKBROKER_{name.upper()}": value for name, value in self.settings.items()}
        self._child.start({**os.environ, **own})
        await until(self._is_ready, seconds=90, what=self._child.last_words())

    def stop(self) -> None:
        """kill -9: nothing of it is kept."""
        self._child.kill()

    def log(self) -> str:
        """The end of what it wrote."""
        return self._child.last_words()

    def _is_ready(self) -> bool:
        assert self._child.is_running, self._child.last_words()
        connection = http.client.HTTPConnection("127.0.0.1", self._admin_port, timeout=2)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()
