"""Old months archived, as an operator's command does it."""

from libs.archive import Archiving, Manifest
from libs.months import Month


async def archive(archiving: Archiving, before: Month) -> list[Manifest]:
    """All that can go."""
    written = []
    for candidate in await archiving.candidates(before):
        if not candidate.obstacle:
            partition = await archiving.partition_of(candidate)
            written.append(await archiving.archive(partition, lambda rows: None))
    return written
