"""gRPC as this house speaks it: one way to serve, one way to call."""

from libs.rpc.client import connect
from libs.rpc.server import RpcServer

__all__ = ["RpcServer", "connect"]
