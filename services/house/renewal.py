"""New tokens for the services, long before the old ones are over."""

from collections.abc import Callable
from datetime import timedelta

from libs.clock import Clock
from libs.embedded import CannotRun
from services.house.folder import DataFolder
from services.house.ports import SERVICES

_RENEW_AFTER = timedelta(hours=1)
# What a pause is measured by stands still while the machine sleeps; tokens go on getting old.
_LOOK_SECONDS = 60.0


async def renew_tokens(folder: DataFolder, *, clock: Clock, tell: Callable[[str], None]) -> None:
    """Every hour, for ever. What cannot be done, on a full disk for example, has a day to be."""
    renewed_at = clock.now()
    while True:
        await clock.sleep(_LOOK_SECONDS)
        if clock.now() - renewed_at < _RENEW_AFTER:
            continue
        renewed_at = clock.now()
        try:
            folder.write_tokens(SERVICES)
        except (CannotRun, OSError) as error:
            tell(f"  the services' tokens could not be renewed: {error}")
