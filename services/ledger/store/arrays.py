"""Columns as arrays in PostgreSQL's binary form.

A batch has thousands of values. Packed like this they cost a fraction of what it takes to adapt
each of them here, or to parse their text there.
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEAD = Struct(">5i").pack  # dimensions, has NULLs, type of the elements, count, first index
_EMPTY = Struct(">3i").pack
_NULL = b"\xff\xff\xff\xff"
_LENGTHS = [length.to_bytes(4, "big") for length in range(512)]
_RUN = 64


class Array:
    """One packed column; the class says of what."""

    __slots__ = ("packed",)

    def __init__(self, packed: bytes) -> None:
        self.packed = packed


class Bigints(Array):
    """bigint[]"""


class Integers(Array):
    """integer[]"""


class Byteas(Array):
    """bytea[]"""


class Texts(Array):
    """text[]"""


class Uuids(Array):
    """uuid[]"""


class _Packed(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> bytes:
        return obj.packed


class _Bigints(_Packed):
    oid = 1016


class _Integers(_Packed):
    oid = 1007


class _Byteas(_Packed):
    oid = 1001


class _Texts(_Packed):
    oid = 1009


class _Uuids(_Packed):
    oid = 2951


psycopg.adapters.register_dumper(Bigints, _Bigints)
psycopg.adapters.register_dumper(Integers, _Integers)
psycopg.adapters.register_dumper(Byteas, _Byteas)
psycopg.adapters.register_dumper(Texts, _Texts)
psycopg.adapters.register_dumper(Uuids, _Uuids)


def bigints(values: Sequence[int]) -> Bigints:
    """None of them NULL."""
    return Bigints(_numbers(values, oid=20, width=8))


def integers(values: Sequence[int]) -> Integers:
    """None of them NULL."""
    return Integers(_numbers(values, oid=23, width=4))


def byteas(values: Sequence[bytes | None]) -> Byteas:
    """All that are not NULL of the same length."""
    return Byteas(_of_one_length(17, values))


def uuids(values: Sequence[str | None]) -> Uuids:
    """Of UUIDs in their canonical spelling."""
    there = bytes.fromhex("".join(filter(None, values)).replace("-", ""))
    found: list[bytes | None] = [there[at : at + 16] for at in range(0, len(there), 16)]
    if len(found) < len(values):
        rest = iter(found)
        found = [None if value is None else next(rest) for value in values]
    return Uuids(_of_one_length(2950, found))


def texts(values: Sequence[str | None]) -> Texts:
    """Of any characters but NUL, which no text of PostgreSQL may hold."""
    parts = [_head(25, len(values))]
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            spelled = value.encode()
            length = len(spelled)
            parts.append(_LENGTHS[length] if length < 512 else length.to_bytes(4, "big"))
            parts.append(spelled)
    return Texts(b"".join(parts))


def _numbers(values: Sequence[int], *, oid: int, width: int) -> bytes:
    parts, run = [_head(oid, len(values))], _RUN * 2
    spaced = [width] * (2 * len(values))
    spaced[1::2] = values
    for start in range(0, len(spaced), run):
        part = spaced[start : start + run]
        parts.append(_run(len(part) // 2, width).pack(*part))
    return b"".join(parts)


def _of_one_length(oid: int, values: Sequence[bytes | None]) -> bytes:
    there = [value for value in values if value is not None]
    prefix = _LENGTHS[len(there[0])] if there else b""
    if len(there) == len(values):
        return _head(oid, len(values)) + prefix + prefix.join(there)
    elements = [_NULL if value is None else prefix + value for value in values]
    return _head(oid, len(values)) + b"".join(elements)


def _head(oid: int, count: int) -> bytes:
    return _HEAD(1, 1, oid, count, 1) if count else _EMPTY(0, 0, oid)


@lru_cache(maxsize=2 * _RUN)
def _run(count: int, width: int) -> Struct:
    """Packs a run of numbers, each after its length."""
    return Struct(">" + {4: "ii", 8: "iq"}[width] * count)
