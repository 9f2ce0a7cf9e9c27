"""What Envoy refuses by itself, said as the services say it.

Left alone, Envoy answers a gRPC-web call with a bare HTTP status, which clients turn into a code by
a table of their own (429 into UNAVAILABLE, which many of them retry at once), and no call
gets details. Here every refusal becomes a gRPC status with ErrorInfo, for gRPC and gRPC-web alike.
"""

import base64
from typing import Any
from urllib.parse import quote

import grpc

from libs.reasons import Reason
from libs.refusals import (
    Denied,
    Invalid,
    Refusal,
    Throttled,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from libs.rpc.status import to_status
from services.edge.malformed import MALFORMED

_BY_HTTP_STATUS: dict[int, Refusal] = {
    400: Invalid(Reason.REASON_INVALID_REQUEST, "the call cannot be read"),
    401: Unauthenticated(
        Reason.REASON_UNAUTHENTICATED,
        "a bearer token is needed; this one is missing, expired or does not verify",
    ),
    403: Denied(
        Reason.REASON_PERMISSION_DENIED, "this token may not call this method through this door"
    ),
    404: Unimplemented(Reason.REASON_NOT_IMPLEMENTED, "there is no such method"),
    429: Throttled(Reason.REASON_OVERLOADED, "too many calls", retry_after_seconds=1.0),
    503: Unavailable(
        Reason.REASON_UNAVAILABLE, "the service does not answer; try again with the same id"
    ),
    504: Unavailable(Reason.REASON_UNAVAILABLE, "the service did not answer in time"),
    **{call.http_status: call.refusal for call in MALFORMED},
}
_NOT_GRPC = "gRPC and gRPC-web are spoken here: content-type application/grpc or -web+proto\n"
# Keeps the content type a call came with: gRPC-web is turned into gRPC on the way.
ASKED_AS_HEADER = "x-asked-as"


def local_replies() -> dict[str, Any]:
    """Envoy's LocalReplyConfig. gRPC-web comes first: its content type begins like gRPC's."""
    mappers = [{"filter": _status(415), "body": {"inline_string": _NOT_GRPC}}]
    for http_status, refusal in _BY_HTTP_STATUS.items():
        mappers.append(_for_grpc_web(http_status, refusal))
        mappers.append(_for_grpc(http_status, refusal))
    return {"mappers": mappers}


def _for_grpc(http_status: int, refusal: Refusal) -> dict[str, Any]:
    """Envoy makes the rest of it itself: HTTP 200, and the body as message."""
    return {
        "filter": _when(http_status, "application/grpc"),
        "body": {"inline_string": refusal.text},
        "headers_to_add": _headers({**_code(refusal), **_details(refusal)}),
    }


def _for_grpc_web(http_status: int, refusal: Refusal) -> dict[str, Any]:
    """An answer of headers alone, which gRPC-web clients read like trailers."""
    message = {"grpc-message": quote(refusal.text, safe=" ,;:/'")}
    return {
        "filter": _when(http_status, "application/grpc-web"),
        "status_code": 200,
        "body": {"inline_string": ""},
        "body_format_override": {
            "text_format_source": {"inline_string": ""},
            "content_type": "application/grpc-web+proto",
        },
        "headers_to_add": _headers({**_code(refusal), **message, **_details(refusal)}),
    }


def _code(refusal: Refusal) -> dict[str, str]:
    return {"grpc-status": str(refusal.code.value[0])}


def _details(refusal: Refusal) -> dict[str, str]:
    """The status with its details, as it travels in a binary header."""
    status: grpc.Status = to_status(refusal)
    return {
        str(name): base64.b64encode(value).decode().rstrip("=")
        for name, value in status.trailing_metadata or ()
        if isinstance(value, bytes)
    }


def _headers(values: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for name, value in values.items()
    ]


def _when(http_status: int, content_type: str) -> dict[str, Any]:
    header = {"name": ASKED_AS_HEADER, "string_match": {"prefix": content_type}}
    filters = [_status(http_status), {"header_filter": {"header": header}}]
    return {"and_filter": {"filters": filters}}


def _status(http_status: int) -> dict[str, Any]:
    comparison = {"op": "EQ", "value": {"default_value": http_status, "runtime_key": "unused"}}
    return {"status_code_filter": {"comparison": comparison}}
