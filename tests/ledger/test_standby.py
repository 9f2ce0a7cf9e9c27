"""PostgreSQL with a standby that has every commit before it is answered."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from libs.proof.checkpoint import SigningKey
from libs.proof.export import read_checkpoint
from services.ledger.main import Settings, house
from tests.ledger.cluster import DATABASE
from tests.ledger.desk import Desk
from tests.ledger.proofs import sealed
from tests.ledger.standby import a_pair
from tests.ledger.test_access import refusal
from tests.ledger.test_full_volumes import UNAVAILABLE
from tests.ledger.test_invariants import Watch
from tests.support.keys import Keys
from tests.support.wait import until


@pytest.mark.timeout(300)
async def test_nothing_is_signed_that_the_standby_may_not_have(tmp_path: Path, keys: Keys) -> None:
    SigningKey.new().write(tmp_path / "ledger.pem", tmp_path / "ledger.pub")
    kept = tmp_path / "ledger.checkpoint"
    async with a_pair(tmp_path, DATABASE) as pair:
        settings = Settings(
            database_url=pair.url(DATABASE),
            jwks_file=keys.jwks_file,
            signing_key_file=str(tmp_path / "ledger.pem"),
        )
        async with house(settings) as rpc, Desk(rpc.address, settings.database_url, keys) as desk:
            with pair.killed_by_a_fault():
                await desk.deposit(1)
                await sealed(desk)
                signed = read_checkpoint(kept)

                pair.second.stop()
                unanswered = asyncio.create_task(refusal(desk.deposit(2)))
                await until(lambda: pair.waits("ledger-writer"))
                pair.first.kill()
                assert await unanswered == UNAVAILABLE
                await pair.start_first()  # now what was not answered can be seen, though only here
                await until(lambda: pair.waits("ledger-sealer"))
                assert read_checkpoint(kept) == signed

                with capture_logs() as lines:
                    await pair.fail_over()
                    await until(desk.is_ready)
                    await desk.deposit(3)
                    await sealed(desk)
                assert not [line for line in lines if line["event"] == "seal_refused"]
                look = await Watch(desk).look(full=True)
                assert all(invariant.holds for invariant in look.invariants)
