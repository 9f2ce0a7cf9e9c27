"""Columns as arrays arrive in PostgreSQL as they are."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from libs.postgres.arrays import Bigints, Flags, Moments, Octets, Packed, Texts


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        (Bigints, "bigint[]", [0, -1, 2**63 - 1, -(2**63)]),
        (Texts, "text[]", ["", "AAPL", "\N{SNOWMAN}", "a" * 5_000, 'quoted "," {}']),
        (Octets, "bytea[]", [b"", b"\0\1\xff", b"x" * 5_000]),
        (Flags, "boolean[]", [True, False, True]),
        (
            Moments,
            "timestamptz[]",
            [
                None,
                datetime(2026, 11, 20, 14, 30, 0, 123456, UTC),
                datetime(1999, 1, 1, tzinfo=UTC),
            ],
        ),
    ],
)
async def test_a_column_arrives_whole_and_an_empty_one_empty(
    postgres_url: str, column: type[Packed], kind: str, values: list[Any]
) -> None:
    make: Any = column
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await connection.execute("SET timezone = 'UTC'")
        rows = f"unnest(%s::{kind}) WITH ORDINALITY AS i (e, n)"
        query = f"SELECT array_agg(e ORDER BY n) FROM {rows}"
        for sent in (values, []):
            cursor = await connection.execute(query.encode(), [make(sent)], binary=True)
            row = await cursor.fetchone()
            assert row is not None
            assert (row[0] or []) == sent
