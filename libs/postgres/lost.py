"""When a server that goes without a word, as a lost node does, is given up: within 15 seconds."""

from typing import Any, Final

TIMEOUTS: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
