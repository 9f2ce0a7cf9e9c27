"""The books prove themselves: the journal is exported and verified as any operator would do it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from services.chaos.domain.verdict import Claim, Violation

_MOST_SECONDS = 120.0


async def unproven(data_folder: Path, *, public_key: str, export: Path) -> list[Violation]:
    """What is broken in an export of the house with that data folder, which is kept in `export`."""
    for command in (
        ("export", str(export)),
        ("verify", str(export), "--key", public_key),
    ):
        try:
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "services.cli.main", "ledger", *command],
                cwd=Path(__file__).parents[2],
                env=os.environ | {"STOCKBROKER_DATA_FOLDER": str(data_folder)},
                capture_output=True,
                text=True,
                check=False,
                timeout=_MOST_SECONDS,
            )
        except subprocess.TimeoutExpired:
            words = f"{command[0]} did not end in {_MOST_SECONDS:.0f} s"
            return [Violation(Claim.BOOKS, "journal", words)]
        if done.returncode:
            words = f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}"
            return [Violation(Claim.BOOKS, "journal", words)]
    return []
