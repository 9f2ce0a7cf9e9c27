"""Amounts are read and printed exactly, or refused."""

import doctest
from decimal import Decimal
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs import money
from libs.money import format_dollars
from services.cli import amounts
from services.cli.amounts import (
    LARGEST,
    Unreadable,
    format_shares,
    parse_dollars,
    parse_shares,
    parse_speed,
)


@pytest.mark.parametrize("module", [amounts, money])
def test_the_examples_hold(module: ModuleType) -> None:
    failed, attempted = doctest.testmod(module)
    assert (failed, attempted > 0) == (0, True)


@given(st.integers(0, LARGEST))
def test_what_is_printed_reads_back_to_the_micro(micros: int) -> None:
    assert parse_dollars(format_dollars(micros)) == micros


@given(st.integers(-LARGEST, LARGEST))
def test_shares_that_are_printed_read_back(quantity: int) -> None:
    assert parse_shares(format_shares(quantity)) == quantity


@given(st.decimals(0, 10**9, places=9))
def test_an_amount_is_read_exactly_or_refused(amount: Decimal) -> None:
    text = f"{amount:f}"
    micros = amount * 1_000_000
    if micros == int(micros):
        assert parse_dollars(text) == int(micros)
    else:
        with pytest.raises(Unreadable, match="is not exact"):
            parse_dollars(text)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("$1,000.50", 1_000_500_000),
        (" 1000.5 ", 1_000_500_000),
        (".5", 500_000),
        ("0", 0),
        ("1.500000000", 1_500_000),
        ("9,007,199,254.740992", LARGEST),
    ],
)
def test_dollars_are_read_as_people_write_them(text: str, micros: int) -> None:
    assert parse_dollars(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        *("", "$", ".", "-1", "1e3", "1,00", "1,0000", "1.000,50", "1_000", "nan", "١", "0x10"),
        *("1.", "$ 1", "9,007,199,254.740993", "0.0000001", "1" * 5000),
    ],
)
def test_what_is_no_exact_amount_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_dollars(text)


@pytest.mark.parametrize("text", ["", "1.5", "1.0", "1,00", "ten", "--1", "9007199254740993"])
def test_what_is_no_number_of_shares_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_shares(text)


@pytest.mark.parametrize(("text", "millis"), [("1", 1000), ("0.001", 1), ("max", 0), ("60", 60000)])
def test_a_speed_is_read(text: str, millis: int) -> None:
    assert parse_speed(text) == millis


@pytest.mark.parametrize("text", ["0", "-1", "0.0001", "fast", "", "1x"])
def test_what_is_no_speed_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_speed(text)
