"""Refusals as google.rpc.Status with typed details (AIP-193), and back."""

from typing import cast

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from libs.refusals import Refusal

DOMAIN = "stockbroker"


def to_status(refusal: Refusal) -> grpc.Status:
    """What the caller gets: code, text, ErrorInfo, and BadRequest or RetryInfo where they fit."""
    status = status_pb2.Status(code=refusal.code.value[0], message=refusal.text)
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(
            reason=refusal.reason_name, domain=DOMAIN, metadata=refusal.metadata
        )
    )
    if refusal.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=refusal.field, description=refusal.text, reason=refusal.reason_name
        )
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if refusal.retry_after_seconds is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(refusal.retry_after_seconds * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return rpc_status.to_status(status)


def reason_of(error: grpc.RpcError) -> str:
    """The stable reason in an error a call ended with, for example TRADE_NOT_FOUND; empty: none."""
    return str(_info_of(error).reason)


def metadata_of(error: grpc.RpcError) -> dict[str, str]:
    """What an error a call ended with tells a program beside the reason."""
    return dict(_info_of(error).metadata)


def retry_after(error: grpc.RpcError) -> float:
    """Seconds after which to come back, as an error tells; 0: it does not."""
    status = rpc_status.from_call(cast(grpc.Call, error))
    info = error_details_pb2.RetryInfo()
    told = status is not None and any(detail.Unpack(info) for detail in status.details)
    return float(info.retry_delay.ToTimedelta().total_seconds()) if told else 0.0


def _info_of(error: grpc.RpcError) -> error_details_pb2.ErrorInfo:
    status = rpc_status.from_call(cast(grpc.Call, error))
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info
    return error_details_pb2.ErrorInfo()
