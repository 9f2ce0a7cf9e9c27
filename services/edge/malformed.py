"""Calls that are no gRPC, or are by their content type and cannot be read as such.

gRPC itself would end them with a bare status, or leave them without an answer.
"""

from dataclasses import dataclass
from typing import Any

from libs.reasons import Reason
from libs.refusals import Invalid, Refusal, Unimplemented
from services.edge.filters import refused

_FRAME_BYTES = 5  # before each message
_MESSAGE_BYTES = 4 << 20  # as `libs.rpc` takes them
_ANY_LENGTH = 1 << 62
_GRPC = r"application/grpc([+;].*|-web(-text)?(\+proto)?)?"  # what Envoy and gRPC can read
_PLAIN_GRPC = r"application/grpc([+;].*)?"
_POST = {"name": ":method", "string_match": {"exact": "POST"}}
# A preflight of CORS finds its answer by the route of the call that it is for.
_NEITHER_POST_NOR_PREFLIGHT = {
    "name": ":method",
    "string_match": {"safe_regex": {"regex": "POST|OPTIONS"}},
    "invert_match": True,
}


@dataclass(frozen=True, slots=True)
class Malformed:
    """A call with all of these headers is refused; the HTTP status is known inside Envoy only."""

    http_status: int
    headers: list[dict[str, Any]]
    refusal: Refusal


def _lacks(name: str, regex: str, **when: Any) -> dict[str, Any]:
    return {
        "name": name,
        "string_match": {"safe_regex": {"regex": regex}},
        "invert_match": True,
        **when,
    }


def _length(least: int, less_than: int) -> dict[str, Any]:
    """Told beforehand by all that speak HTTP/1.1, and by browsers."""
    return {"name": "content-length", "range_match": {"start": least, "end": less_than}}


def _invalid(text: str) -> Invalid:
    return Invalid(Reason.REASON_INVALID_REQUEST, text)


MALFORMED = (
    Malformed(460, [_NEITHER_POST_NOR_PREFLIGHT], _invalid("a call is a POST")),
    Malformed(
        461,
        [_POST, {"name": ":path", "string_match": {"contains": "?"}}],
        _invalid("a call has no query in its path"),
    ),
    Malformed(
        462,
        [_POST, _lacks("grpc-timeout", "[0-9]{1,8}[HMSmun]")],
        _invalid("grpc-timeout is up to eight digits and one of H M S m u n"),
    ),
    Malformed(
        463,
        [_POST, _lacks("grpc-encoding", "identity|gzip|deflate")],
        Unimplemented(
            Reason.REASON_NOT_IMPLEMENTED, "grpc-encoding is one of identity, gzip and deflate"
        ),
    ),
    Malformed(
        464,
        [_POST, _length(0, _FRAME_BYTES)],
        _invalid("a call brings a message, behind the five bytes that tell its length"),
    ),
    Malformed(
        465,
        [_POST, _length(_FRAME_BYTES + _MESSAGE_BYTES + 1, _ANY_LENGTH)],
        _invalid("a message is 4 MB at most"),
    ),
    Malformed(
        466,
        [
            _POST,
            {"name": "content-type", "string_match": {"safe_regex": {"regex": _PLAIN_GRPC}}},
            _lacks("te", "trailers", treat_missing_header_as_empty=True),
        ],
        _invalid("gRPC comes by HTTP/2, with te: trailers; speak gRPC-web over HTTP/1.1"),
    ),
)


def turned_away(cluster: str) -> list[dict[str, Any]]:
    """The routes of calls that no service is to see."""
    away = [(415, _not_grpc()), *((call.http_status, call.headers) for call in MALFORMED)]
    return [
        {
            "match": {"prefix": "/", "headers": headers},
            # Never reached. A direct response would lack what lets a page read it (CORS).
            "route": {"cluster": cluster},
            "typed_per_filter_config": refused(http_status),
        }
        for http_status, headers in away
    ]


def _not_grpc() -> list[dict[str, Any]]:
    """A service would reset such a call, and Envoy would say that the service is away."""
    return [
        # No preflight of CORS, which finds its answer by the route.
        {"name": ":method", "string_match": {"exact": "OPTIONS"}, "invert_match": True},
        {
            "name": "content-type",
            "string_match": {"safe_regex": {"regex": _GRPC}},
            "invert_match": True,
            "treat_missing_header_as_empty": True,
        },
    ]
