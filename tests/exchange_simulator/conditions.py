"""Where the reference data lies; tests that need it skip when it does not."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"
SEED = DATA / "orderflow" / "aapl_0930_0945.seed.csv"
COMMANDS = DATA / "orderflow" / "aapl_0930_0945.commands.csv"
EXCEPTIONS = DATA / "orderflow" / "aapl_0930_0945.exceptions.csv"
CASES = DATA / "matching" / "liquibook_cases.json"
SESSIONS = DATA / "calendar" / "xnys_sessions.csv"

needs_data = pytest.mark.skipif(not DATA.exists(), reason="the reference data is not there")
