"""One line of JSON per event on standard output."""

import logging
from contextlib import suppress

import orjson
import structlog

_log = structlog.get_logger()


class _Lines(structlog.BytesLogger):
    """What a full disk has no room for is lost, and nobody's work ends by that."""

    def msg(self, message: bytes) -> None:
        with suppress(OSError):
            super().msg(message)

    debug = info = warning = error = critical = msg


class _OfLibraries(logging.Handler):
    """What libraries say becomes a line like any other: asyncio's of a task that failed, too."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            fields = {"library": record.name, "text": text, "exc_info": record.exc_info}
            _log.log(record.levelno, "library_says", **fields)
        except Exception:
            self.handleError(record)


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
    logging.basicConfig(level=logging.WARNING, handlers=[_OfLibraries()])
