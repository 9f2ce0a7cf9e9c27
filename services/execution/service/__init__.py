"""gRPC in."""

from services.execution.service.door import ExecutionService

__all__ = ["ExecutionService"]
