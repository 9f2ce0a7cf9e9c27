"""Columns of a batch as binary PostgreSQL arrays.

The type never depends on the values (psycopg's own choice does), so that each statement is prepared
once; and packing costs a third.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_BYTEA, _INT8, _TEXT = 17, 20, 25
# Dimensions, no nulls, type of the elements, length, lower bound.
_HEADER = struct.Struct(">iiiii")
_size = lru_cache(1024)(struct.Struct(">i").pack)


class Bigints:
    """A bigint[]."""

    __slots__ = ("packed",)

    def __init__(self, values: Sequence[int]) -> None:
        count = len(values)
        sized = [8] * (2 * count)
        sized[1::2] = values
        self.packed = _HEADER.pack(1, 0, _INT8, count, 1) + struct.pack(">" + "iq" * count, *sized)


class Texts:
    """A text[]."""

    __slots__ = ("packed",)

    def __init__(self, values: Sequence[str]) -> None:
        self.packed = _pack(_TEXT, [value.encode() for value in values])


class Octets:
    """A bytea[]."""

    __slots__ = ("packed",)

    def __init__(self, values: Sequence[bytes]) -> None:
        self.packed = _pack(_BYTEA, values)


def _pack(element: int, values: Sequence[bytes]) -> bytes:
    parts = [_HEADER.pack(1, 0, element, len(values), 1)]
    for octets in values:
        parts += (_size(len(octets)), octets)
    return b"".join(parts)


class _BigintsDumper(Dumper):
    format = Format.BINARY
    oid = psycopg.adapters.types["int8"].array_oid

    def dump(self, obj: Bigints) -> Buffer:
        return obj.packed


class _TextsDumper(Dumper):
    format = Format.BINARY
    oid = psycopg.adapters.types["text"].array_oid

    def dump(self, obj: Texts) -> Buffer:
        return obj.packed


class _OctetsDumper(Dumper):
    format = Format.BINARY
    oid = psycopg.adapters.types["bytea"].array_oid

    def dump(self, obj: Octets) -> Buffer:
        return obj.packed


psycopg.adapters.register_dumper(Bigints, _BigintsDumper)
psycopg.adapters.register_dumper(Texts, _TextsDumper)
psycopg.adapters.register_dumper(Octets, _OctetsDumper)
