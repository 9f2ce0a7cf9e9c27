"""Python imports this by itself wherever its folder is on the path: see tests/support/later.py.

Sets the clock of the order service, of the ledger and of who archives their months ahead, by as
many seconds as a file says. Tokens are judged by the machine's own time, and the ledger does not
mind that its clock is ahead of its database's.
"""

import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

_MODULES = ("services.order.", "services.ledger.")


def _go_by(file: Path) -> None:
    from libs import auth, clock

    own = clock.SystemClock.now
    verify_by = auth.Verifier.__init__

    class Own(clock.SystemClock):
        """The machine's."""

        now = own

    def now(self: clock.SystemClock) -> datetime:
        return own(self) + timedelta(seconds=int(file.read_text()))

    def begin(
        self: auth.Verifier, jwks_file: Any, clock: Any = None, *, identity: Any = None
    ) -> None:
        verify_by(self, jwks_file, Own(), identity=identity)

    clock.SystemClock.now = now  # type: ignore[method-assign]
    auth.Verifier.__init__ = begin  # type: ignore[method-assign]
    if "services.ledger.main" in sys.orig_argv:
        from services.ledger import tenure

        tenure.MOST_AHEAD = timedelta.max


if "AHEAD_FILE" in os.environ and any(name.startswith(_MODULES) for name in sys.orig_argv):
    _go_by(Path(os.environ["AHEAD_FILE"]))
