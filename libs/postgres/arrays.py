"""Columns of a batch as binary PostgreSQL arrays.

The type never depends on the values (psycopg's own choice does), so that each statement is prepared
once; and packing costs a third.
"""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_BOOL, _BYTEA, _INT8, _TEXT, _TIMESTAMPTZ = 16, 17, 20, 25, 1184
# Dimensions, whether there are nulls, type of the elements, length, lower bound.
_HEADER = struct.Struct(">iiiii")
_size = lru_cache(1024)(struct.Struct(">i").pack)
_ASCII_SIZES = ["\0\0\0" + chr(size) for size in range(128)]
_NULL = struct.pack(">i", -1)
_moment = struct.Struct(">iq").pack
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_FLAGS = {True: b"\0\0\0\1\1", False: b"\0\0\0\1\0"}


class Packed:
    """An array as it goes to the server."""

    __slots__ = ("packed",)
    packed: bytes


class Bigints(Packed):
    """A bigint[]."""

    __slots__ = ()

    def __init__(self, values: Sequence[int]) -> None:
        count = len(values)
        sized = [8] * (2 * count)
        sized[1::2] = values
        self.packed = _HEADER.pack(1, 0, _INT8, count, 1) + struct.pack(">" + "iq" * count, *sized)


class Octets(Packed):
    """A bytea[]."""

    __slots__ = ()

    def __init__(self, values: Sequence[bytes]) -> None:
        self.packed = _of_octets(_BYTEA, values)


class Texts(Packed):
    """A text[]."""

    __slots__ = ()

    def __init__(self, values: Sequence[str]) -> None:
        header = _HEADER.pack(1, 0, _TEXT, len(values), 1)
        text = _sized(values)
        if text is not None:
            self.packed = header + text.encode()
        else:
            self.packed = _of_octets(_TEXT, [value.encode() for value in values])


class Flags(Packed):
    """A boolean[]."""

    __slots__ = ()

    def __init__(self, values: Sequence[bool]) -> None:
        header = _HEADER.pack(1, 0, _BOOL, len(values), 1)
        self.packed = header + b"".join(map(_FLAGS.__getitem__, values))


class Moments(Packed):
    """A timestamptz[]; None is null."""

    __slots__ = ()

    def __init__(self, values: Sequence[datetime | None]) -> None:
        parts = [_HEADER.pack(1, 1, _TIMESTAMPTZ, len(values), 1)]
        parts += [_NULL if value is None else _moment(8, _micros(value)) for value in values]
        self.packed = b"".join(parts)


def _sized(values: Sequence[str]) -> str | None:
    """Each behind its size, as ASCII, made as one text; None when some are long or not ASCII."""
    parts = [""] * (2 * len(values))
    parts[1::2] = values
    try:
        parts[::2] = map(_ASCII_SIZES.__getitem__, map(len, values))
    except IndexError:
        return None
    text = "".join(parts)
    return text if text.isascii() else None


def _of_octets(oid: int, values: Sequence[bytes]) -> bytes:
    parts = [_HEADER.pack(1, 0, oid, len(values), 1)]
    for octets in values:
        parts += (_size(len(octets)), octets)
    return b"".join(parts)


def _micros(value: datetime) -> int:
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Packed) -> Buffer:
        return obj.packed


def _register(kind: type[Packed], element: str) -> None:
    array_oid = psycopg.adapters.types[element].array_oid
    dumper = type(f"{kind.__name__}Dumper", (_ArrayDumper,), {"oid": array_oid})
    psycopg.adapters.register_dumper(kind, dumper)


_register(Bigints, "int8")
_register(Octets, "bytea")
_register(Texts, "text")
_register(Flags, "bool")
_register(Moments, "timestamptz")
