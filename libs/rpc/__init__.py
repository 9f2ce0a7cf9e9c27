"""gRPC as this house speaks it: one way to serve, one way to call."""

from libs.rpc.client import connect
from libs.rpc.doorkeeper import Context
from libs.rpc.server import RpcServer

__all__ = ["Context", "RpcServer", "connect"]
