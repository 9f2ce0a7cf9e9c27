"""Are the books right? Asked of the ledger's database directly, past the service under test."""

import psycopg

_CLAIMS = {
    "the sum of every asset over all accounts is zero": """
        SELECT asset, sum(posted) FROM account GROUP BY asset HAVING sum(posted) <> 0""",
    "no customer's balance was ever below what is held, nor below zero": """
        SELECT a.name, e.* FROM entry e JOIN account a ON a.id = e.account_id
        WHERE a.has_floor AND (e.balance_after < coalesce(e.held_after, 0))""",
    "an account stands where its last entry left it": """
        SELECT a.name, a.asset FROM account a
        LEFT JOIN entry e ON e.account_id = a.id AND e.version = a.version
        WHERE (a.posted, a.held) IS DISTINCT FROM (e.balance_after, coalesce(e.held_after, 0))""",
    "each entry follows from the one before": """
        SELECT * FROM (
            SELECT account_id, version, amount, balance_after,
                lag(version, 1, 0::bigint) OVER w AS version_before,
                lag(balance_after, 1, 0::bigint) OVER w AS balance_before
            FROM entry WINDOW w AS (PARTITION BY account_id ORDER BY version)
        ) AS step
        WHERE version <> version_before + 1 OR balance_after <> balance_before + amount""",
    "what is held of an account is what its open holds have left": """
        SELECT a.name, a.asset, a.held, coalesce(h.remaining, 0) FROM account a
        LEFT JOIN (SELECT account_id, sum(remaining) AS remaining FROM hold GROUP BY 1) AS h
            ON h.account_id = a.id
        WHERE a.held <> coalesce(h.remaining, 0)""",
}


def check(ledger_url: str) -> None:
    """AssertionError naming the claim that does not hold, with rows that show it."""
    with psycopg.connect(ledger_url) as connection:
        for claim, exceptions in _CLAIMS.items():
            found = connection.execute(f"{exceptions} LIMIT 5".encode()).fetchall()
            assert not found, f"it is not so that {claim}: {found}"
        row = connection.execute(b"SELECT count(*) FROM entry").fetchone()
        assert row is not None
        assert row[0] > 0, "the books are empty: nothing was checked"
