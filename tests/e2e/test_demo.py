"""What `make up` shows before a reader's eyes."""

import time

import pytest

from libs.auth import Signer
from services.house.demo.tour import Tour, TourFailed
from services.house.screen import Screen
from tests.support.house import House

pytestmark = pytest.mark.xdist_group("house")


async def test_of_a_trade_that_does_not_end_it_says_where_to_look(house: House) -> None:
    tour = Tour(
        public=house.public_address,
        operators=house.operators_address,
        signer=Signer(house.folder / "keys" / "signing.pem"),
        screen=Screen(),
        began_at=time.time(),
        trade_seconds=0.0,
    )
    with pytest.raises(TourFailed, match=r"not ended within 0 s; .* trades --as alice` shows what"):
        await tour.run()
