"""Things done again and again."""

from collections.abc import Awaitable, Callable

import structlog

from libs.clock import Clock
from libs.refusals import Refusal

_FAILED_SECONDS = 0.5

_log = structlog.get_logger()


async def every(
    seconds: float, do: Callable[[], Awaitable[None]], *, clock: Clock, name: str
) -> None:
    """Do it, wait `seconds`, do it again, for ever; wait longer after a failure.

    A refusal is logged once until it passes.
    """
    is_failing = False
    while True:
        wait = seconds
        try:
            await do()
            is_failing = False
        except Refusal as error:
            if not is_failing:
                _log.warning("step_waits", step=name, error=error.text)
            is_failing = True
            wait = max(seconds, _FAILED_SECONDS)
        except Exception:
            _log.exception("step_failed", step=name)
            wait = max(seconds, _FAILED_SECONDS)
        await clock.sleep(wait)
