"""What a person is told who asked for a house and its demonstration."""

import argparse
import asyncio
import time
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.house import main
from services.house.demo.tour import Tour, TourFailed
from services.house.folder import DataFolder
from services.house.screen import Screen
from services.house.settings import Settings


async def test_what_to_paste_is_told_also_when_the_demonstration_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(tour: Tour) -> None:
        raise TourFailed("a trade has not ended")

    monkeypatch.setattr(Tour, "run", fail)
    told, folder = StringIO(), DataFolder(tmp_path / "data")
    with folder.locked():
        folder.make_keys()
        options = argparse.Namespace(no_demo=False, exit_after_demo=False, began_at=time.time())
        run = main._Run(Settings(), folder, Screen(told), options)
        house: Any = SimpleNamespace(ports=SimpleNamespace(address=lambda name: f"{name}:1"))
        serving = asyncio.create_task(run._serve(house))
        async with asyncio.timeout(30):
            while "Ctrl-C stops the house" not in told.getvalue():
                assert not serving.done()
                await asyncio.sleep(0)
        run._stop.set()
        assert await serving == 0
    failed, pasted = map(told.getvalue().index, ("a trade has not ended.", "What to paste next"))
    assert failed < pasted
    assert "public:1" in told.getvalue()
