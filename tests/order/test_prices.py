"""The last prices as one process knows them."""

from collections.abc import Mapping

from libs.clock import SystemClock
from services.order.prices import Prices


class Hours(SystemClock):
    """Passes when it is told to."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class SlowGateway:
    """Takes three seconds to answer."""

    def __init__(self, clock: Hours) -> None:
        self._clock = clock

    async def last_prices(self) -> Mapping[str, int]:
        self._clock.seconds += 3
        return {"AAPL": 100}


async def test_a_price_is_as_old_as_the_question_for_it() -> None:
    clock = Hours()
    prices = Prices(SlowGateway(clock), clock, refresh_seconds=3600)
    assert prices.market.age_ms == 0
    await prices.need()
    clock.seconds += 2
    assert (prices.market.last_prices, prices.market.age_ms) == ({"AAPL": 100}, 5000)
    await prices.close()
