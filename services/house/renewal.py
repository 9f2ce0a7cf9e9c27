"""New tokens for the services, long before the old ones are over."""

from collections.abc import Callable

from libs.clock import Clock
from libs.embedded import CannotRun
from services.house.folder import DataFolder
from services.house.ports import SERVICES

_RENEW_SECONDS = 3600.0


async def renew_tokens(folder: DataFolder, *, clock: Clock, tell: Callable[[str], None]) -> None:
    """Every hour, for ever. What cannot be done, on a full disk for example, has a day to be."""
    while True:
        await clock.sleep(_RENEW_SECONDS)
        try:
            folder.write_tokens(SERVICES)
        except (CannotRun, OSError) as error:
            tell(f"  the services' tokens could not be renewed: {error}")
