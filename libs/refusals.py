"""How a rule says no: raise a refusal. One interceptor turns it into a google.rpc.Status.

The class chooses the gRPC code, the reason is stable and part of the contract, the text is for a
person, the metadata for a program.
"""

from typing import ClassVar

import grpc

from stockbroker.common.v1.reason_pb2 import Reason

PREFIX = "REASON_"


class Refusal(Exception):
    """A call, or one item of a batch, is refused."""

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        reason: Reason.ValueType,
        text: str,
        *,
        field: str = "",
        retry_after_seconds: float | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.field = field
        self.retry_after_seconds = retry_after_seconds
        self.metadata = metadata

    @property
    def reason_name(self) -> str:
        """The reason as it stands in ErrorInfo, for example TRADE_NOT_FOUND."""
        return Reason.Name(self.reason).removeprefix(PREFIX)


class Invalid(Refusal):
    """What was asked makes no sense; `field` names the part at fault."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(Refusal):
    """What was asked for is not there, or not the caller's."""

    code = grpc.StatusCode.NOT_FOUND


class Archived(Refusal):
    """What was asked for was written to files and taken out of the database."""

    code = grpc.StatusCode.OUT_OF_RANGE


class AlreadyExists(Refusal):
    """The id was used before with other terms."""

    code = grpc.StatusCode.ALREADY_EXISTS


class Refused(Refusal):
    """The state of things forbids it."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Conflict(Refusal):
    """Somebody else was first."""

    code = grpc.StatusCode.ABORTED


class Throttled(Refusal):
    """Too much at once; `retry_after_seconds` says when to come back."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(Refusal):
    """A part that is needed does not answer; trying again is safe."""

    code = grpc.StatusCode.UNAVAILABLE


class Denied(Refusal):
    """The caller is known and may not."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Unauthenticated(Refusal):
    """The caller is not known."""

    code = grpc.StatusCode.UNAUTHENTICATED


class Unimplemented(Refusal):
    """This version does not do that."""

    code = grpc.StatusCode.UNIMPLEMENTED


class Internal(Refusal):
    """A fault of ours; its cause is in the log only."""

    code = grpc.StatusCode.INTERNAL
