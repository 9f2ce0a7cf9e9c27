"""Three NATS servers that keep everything three times: any one of them may die."""

import secrets
from pathlib import Path
from types import TracebackType

from libs.embedded.nats import Nats, Node
from libs.embedded.ports import free_port

SIZE = 3


class NatsCluster:
    """Servers in folders of their own under `folder`, on free ports, the same over restarts."""

    def __init__(self, folder: Path) -> None:
        secret = secrets.token_hex(16)
        ports = tuple(free_port() for _ in range(SIZE))
        self.nodes = tuple(
            Nats(folder / f"node-{number}", node=Node(f"node-{number}", port, ports, secret))
            for number, port in enumerate(ports, start=1)
        )

    def __enter__(self) -> "NatsCluster":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for node in self.nodes:
            node.stop()

    @property
    def url(self) -> str:
        """All servers, for clients."""
        return ",".join(node.url for node in self.nodes)

    def start(self, *, seconds: float = 60.0) -> None:
        """Start all and wait until JetStream answers on each. Raises CannotRun."""
        for node in self.nodes:
            node.prepare()
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            node.wait_ready(seconds=seconds)
