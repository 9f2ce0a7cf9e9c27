"""When a server that goes without a word, as a lost node does, is given up: within 15 seconds."""

from typing import Any, Final

import psycopg

# What passes when the server, or the one that takes over from it, is there again; that one takes no
# changes at first.
AWAY: Final = (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction)
TIMEOUTS: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
# One that is reached, and says nothing for so long, does not answer.
SILENT_SECONDS: Final = 5.0
