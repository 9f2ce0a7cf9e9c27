"""How a simulated call ends, and what a handler sees of it."""

from typing import Any

import grpc


class Failed(Exception):
    """A call ends with this status."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: Any = ()) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.trailing = trailing

    def as_seen(self) -> grpc.aio.AioRpcError:
        """As the caller sees it."""
        trailing = grpc.aio.Metadata(*self.trailing)
        return grpc.aio.AioRpcError(self.code, grpc.aio.Metadata(), trailing, details=self.details)


class ServerContext:
    """As grpc.aio.ServicerContext, as far as the house uses it."""

    def __init__(self, metadata: Any) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> Any:
        """What the caller sent along."""
        return self._metadata

    async def abort_with_status(self, status: Any) -> None:
        """End the call. Raises."""
        raise Failed(status.code, status.details, status.trailing_metadata or ())
