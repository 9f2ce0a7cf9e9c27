"""For drills of faults: other ways between the parts than the straight ones.

Whoever breaks connections on purpose stands between the parts with a proxy, and tells the house in
a file of JSON where each part is to listen and by which way which process is to reach it:

    {"ports": {"order": 20001}, "ways": {"execution": {"order": "127.0.0.1:20002"}}}
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from libs.embedded import CannotRun


class Routes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`ports`: part -> port; `ways`: process -> part -> host:port. What is not named stays."""

    ports: Mapping[str, int] = {}
    ways: Mapping[str, Mapping[str, str]] = {}

    def way(self, process: str, part: str, address: str) -> str:
        """Where `process` finds `part`, which listens on `address`."""
        return self.ways.get(process, {}).get(part, address)


def read_routes(path: str) -> Routes:
    """The routes of a file; none when there is no path. Raises CannotRun."""
    if not path:
        return Routes()
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Routes)
    except OSError as error:
        raise CannotRun(f"the routes {path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise CannotRun(f"the routes {path} are not what they must be: {error}") from None
