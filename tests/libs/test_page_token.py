"""A page token opens for the list it was made for, and for nothing else."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.page_token import PageTokens
from libs.refusals import Invalid
from stockbroker.common.v1.reason_pb2 import Reason

TOKENS = PageTokens(b"a key of at least 16 bytes")


def refuses(scope: str, token: str) -> None:
    with pytest.raises(Invalid) as caught:
        TOKENS.open(scope, token)
    assert caught.value.reason == Reason.REASON_INVALID_PAGE_TOKEN


@given(scope=st.text(), position=st.text(max_size=200))
def test_a_token_opens_to_the_position_it_was_sealed_with(scope: str, position: str) -> None:
    assert TOKENS.open(scope, TOKENS.seal(scope, position)) == position


@given(position=st.text(max_size=20), at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_token_with_one_bit_flipped_is_refused(position: str, at: int, bit: int) -> None:
    token = TOKENS.seal("entries", position)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[at % len(raw)] ^= 1 << bit
    refuses("entries", base64.urlsafe_b64encode(raw).decode().rstrip("="))


def test_a_token_of_another_list_is_refused() -> None:
    refuses("entries/bob", TOKENS.seal("entries/alice", "17"))


def test_scope_and_position_cannot_be_shifted_into_each_other() -> None:
    refuses("entries/alice1", TOKENS.seal("entries/alice", "17"))
    refuses("entries/alice", TOKENS.seal("entries/alice1", "7"))


def test_a_token_sealed_with_another_key_is_refused() -> None:
    refuses("entries", PageTokens(b"another key of 16 bytes").seal("entries", "17"))


@pytest.mark.parametrize(
    "token",
    ["", "17", "A", "====", "not base64!", "\x00", "é" * 30, "A" * 1_000_000, "A" * 22],
    ids=lambda token: f"{token[:8]!r} x{len(token)}",
)
def test_what_was_never_sealed_is_refused(token: str) -> None:
    refuses("entries", token)


def test_a_position_has_one_spelling() -> None:
    token = TOKENS.seal("entries", "1")
    refuses("entries", token + "=")
    refuses("entries", token + "\n")
    refuses("entries", token[:-1] + chr(ord(token[-1]) + 1))


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        PageTokens(b"short")
