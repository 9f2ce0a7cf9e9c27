"""Calls that are no good gRPC, over gRPC and over gRPC-web: each is told what is wrong."""

import base64
import gzip
import struct
from typing import Any

import grpc
import pytest

from libs.rpc.status import reason_of
from tests.edge import grpc_web
from tests.edge.conftest import ORDER
from tests.edge.envoy import Envoy
from tests.support.keys import Keys, bearer

PLACE = f"{ORDER}/PlaceTrade"
MOST = 4 << 20  # bytes of a message
INVALID = grpc.StatusCode.INVALID_ARGUMENT.value[0]
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED.value[0]


def _is_refused(answer: grpc_web.WebAnswer, words: str) -> None:
    """As a request that breaks a rule, in words that name it."""
    assert (answer.http_status, answer.grpc_status) == (200, INVALID)
    assert answer.reason == "INVALID_REQUEST"
    assert words in answer.grpc_message


async def test_what_cannot_be_read_is_named(envoy: Envoy, keys: Keys) -> None:
    alice = keys.customer("alice")
    for query in ("?symbol=KO", "?"):
        answer = await grpc_web.call(envoy.public, PLACE + query, b"", alice)
        _is_refused(answer, "query")
    for timeout in ("soon", "", "10", "-1S", "1s", "123456789S"):
        answer = await grpc_web.call(envoy.public, PLACE, b"", alice, grpc_timeout=timeout)
        _is_refused(answer, "grpc-timeout")
    for timeout in ("9S", "12345678m", "1H"):
        answer = await grpc_web.call(envoy.public, PLACE, b"", alice, grpc_timeout=timeout)
        assert answer.grpc_status == 0


async def test_an_encoding_that_is_not_spoken_is_not_implemented(envoy: Envoy, keys: Keys) -> None:
    alice = keys.customer("alice")
    for encoding in ("br", "snappy", "GZIP", "", "gzip,identity"):
        answer = await grpc_web.call(envoy.public, PLACE, b"", alice, grpc_encoding=encoding)
        assert (answer.grpc_status, answer.reason) == (UNIMPLEMENTED, "NOT_IMPLEMENTED")
    for encoding in ("identity", "gzip", "deflate"):
        answer = await grpc_web.call(envoy.public, PLACE, b"", alice, grpc_encoding=encoding)
        assert answer.grpc_status == 0


async def test_a_message_that_is_too_large_or_missing_is_told_so(envoy: Envoy, keys: Keys) -> None:
    alice = keys.customer("alice")
    largest = await grpc_web.call(envoy.public, PLACE, b"\0" * MOST, alice)
    assert largest.grpc_message == "the request cannot be read", "the service itself says so"
    # Refused by its head: the rest is not waited for.
    larger = {"content_length": str(5 + MOST + 1)}
    _is_refused(await grpc_web.post(envoy.public, PLACE, bytes(5), alice, **larger), "4 MB")
    for body in (b"", b"\0\0\0\0"):
        _is_refused(await grpc_web.post(envoy.public, PLACE, body, alice), "brings a message")


async def test_a_garbled_message_is_not_taken_for_an_empty_one(envoy: Envoy, keys: Keys) -> None:
    """As which gRPC passes it on; an empty one may mean all trades."""
    alice = keys.customer("alice")
    for body in (b'{"symbol": "KO"}', b"\2\0\0\0\4abcd", b"\2\0\0\0\1a"):
        _is_refused(await grpc_web.post(envoy.public, PLACE, body, alice), "cannot be read")
    packed = gzip.compress(b"")
    empty: list[tuple[bytes, dict[str, str]]] = [
        (bytes(5), {}),
        (base64.b64encode(bytes(5)), {"content_type": "application/grpc-web-text"}),
        (struct.pack(">BI", 1, len(packed)) + packed, {"grpc_encoding": "gzip"}),
    ]
    for body, headers in empty:
        answer = await grpc_web.post(envoy.public, PLACE, body, alice, **headers)
        assert (answer.grpc_status, len(answer.messages)) == (0, 1), headers


async def test_headers_of_no_meaning_to_the_house_do_no_harm(
    envoy: Envoy, public: grpc.aio.Channel, keys: Keys
) -> None:
    """gRPC would end a call for them, though no service looks at one."""
    for name in (
        "x-thing-bin",
        "grpc-tags-bin",
        "grpc-previous-rpc-attempts",
        "grpc-retry-pushback-ms",
        "grpc-internal-encoding-request",
    ):
        answer = await grpc_web.call(
            envoy.public, PLACE, b"", keys.customer("alice"), **{name: "!"}
        )
        assert answer.grpc_status == 0, name
    place: Any = public.unary_unary(PLACE)
    metadata = (*bearer(keys.customer("alice")), ("user_agent", "x"), ("x-thing-bin", b"\0"))
    await place(b"", metadata=metadata, timeout=30)


async def test_a_call_is_a_post(envoy: Envoy, keys: Keys) -> None:
    for verb in ("GET", "PUT", "DELETE"):
        alice = keys.customer("alice")
        _is_refused(await grpc_web.post(envoy.public, PLACE, bytes(5), alice, verb=verb), "POST")


async def test_grpc_over_http_1_is_told_to_speak_grpc_web(envoy: Envoy, keys: Keys) -> None:
    alice = keys.customer("alice")
    kind = {"content_type": "application/grpc"}
    _is_refused(await grpc_web.post(envoy.public, PLACE, bytes(5), alice, **kind), "gRPC-web")


async def test_over_grpc_it_is_said_too(public: grpc.aio.Channel, keys: Keys) -> None:
    ask: Any = public.unary_unary(f"{PLACE}?symbol=KO")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(b"", metadata=bearer(keys.customer("alice")), timeout=30)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(refused.value) == "INVALID_REQUEST"
    assert "query" in str(refused.value.details())


async def test_a_page_can_read_what_was_wrong(envoy: Envoy, keys: Keys) -> None:
    page = {"origin": "http://localhost:5173", "grpc_timeout": "soon"}
    answer = await grpc_web.call(envoy.public, PLACE, b"", keys.customer("alice"), **page)
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert answer.reason == "INVALID_REQUEST"
    headers = {"origin": "http://localhost:5173", "content-type": "application/json"}
    headers |= {"authorization": f"Bearer {keys.customer('alice')}"}
    status, headers = await grpc_web.request(envoy.public, "POST", PLACE, headers)
    assert (status, headers["access-control-allow-origin"]) == (415, "http://localhost:5173")


async def test_who_has_no_token_is_told_that_first(envoy: Envoy) -> None:
    answer = await grpc_web.call(envoy.public, PLACE, b"", grpc_timeout="soon")
    assert answer.reason == "UNAUTHENTICATED"


async def test_text_that_is_no_base64_is_told_so(envoy: Envoy, keys: Keys) -> None:
    alice = keys.customer("alice")
    kind = {"content_type": "application/grpc-web-text"}
    _is_refused(await grpc_web.post(envoy.public, PLACE, b"!!!!!", alice, **kind), "cannot be read")


async def test_what_grpc_itself_refuses_is_said_in_words(
    public: grpc.aio.Channel, keys: Keys
) -> None:
    """Without a reason, as docs/REASONS.md says."""
    place: Any = public.unary_unary(PLACE)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await place(b"\0" * (MOST + 1), metadata=bearer(keys.customer("alice")), timeout=30)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in str(refused.value.details())
