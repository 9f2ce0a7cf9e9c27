"""One line of JSON per event on standard output."""

import logging
import sys
from contextlib import suppress

import orjson
import structlog


class _Lines(structlog.BytesLogger):
    """What a full disk has no room for is lost, and nobody's work ends by that."""

    def msg(self, message: bytes) -> None:
        with suppress(OSError):
            super().msg(message)

    debug = info = warning = error = critical = msg


def configure(service: str, *, level: str = "info") -> None:
    """Set up structlog for the whole process; every line says which service wrote it."""
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=lambda *_: _Lines(),
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
