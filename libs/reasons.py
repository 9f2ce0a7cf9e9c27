"""The house's one list of reasons, for rules that may not know the contracts' stubs."""

from stockbroker.common.v1.reason_pb2 import Reason

__all__ = ["Reason"]
