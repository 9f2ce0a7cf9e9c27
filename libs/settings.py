"""A service's settings: one frozen struct, read from the environment.

A field `listen` is read from `STOCKBROKER_LISTEN`; what is named so is host:port, or empty, and a
`database_url` is one that clients of PostgreSQL understand. Types, bounds and descriptions stand on
the fields (`Annotated[int, msgspec.Meta(ge=1, description="...")]`), so that a test can hold a
README's table equal to them.
"""

import os
import sys
from collections.abc import Mapping
from typing import TypeVar

import msgspec

PREFIX = "STOCKBROKER_"
_LAST_PORT = 65_535

Settings = TypeVar("Settings", bound=msgspec.Struct)


class InvalidSettings(ValueError):
    """A setting is missing or out of range; the text is a sentence for a person."""


def is_address(text: str) -> bool:
    """Whether it is host:port, of a port there is; gRPC takes one above for another."""
    host, _, port = text.rpartition(":")
    is_host = bool(host) and "/" not in host
    return is_host and port.isascii() and port.isdigit() and int(port) <= _LAST_PORT


def load(kind: type[Settings], environment: Mapping[str, str] | None = None) -> Settings:
    """Read `kind` from the environment, or raise InvalidSettings naming the variable at fault."""
    environment = os.environ if environment is None else environment
    found = {
        field.name: environment[PREFIX + field.name.upper()]
        for field in msgspec.structs.fields(kind)
        if PREFIX + field.name.upper() in environment
    }
    try:
        settings = msgspec.convert(found, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidSettings(_sentence(str(error))) from None
    for name, value in found.items():
        if name.endswith("listen") and value and not is_address(value):
            raise InvalidSettings(f"setting {PREFIX}{name.upper()}: {value!r} is not host:port")
        if name == "database_url" and not _is_conninfo(value):
            raise InvalidSettings(f"setting {PREFIX}{name.upper()} is no address of a database")
    return settings


def load_or_exit(kind: type[Settings]) -> Settings:
    """Read `kind` from the environment; end the process with status 2 and a sentence if wrong."""
    try:
        return load(kind)
    except InvalidSettings as error:
        sys.stderr.write(f"stockbroker: {error}\n")
        raise SystemExit(2) from None


def _is_conninfo(text: str) -> bool:
    # Imported where it is used: the command line checks the books without any database.
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        return bool(conninfo_to_dict(text))
    except ProgrammingError:
        return False


def _sentence(fault: str) -> str:
    """`Expected int >= 1 - at $.size` becomes `setting STOCKBROKER_SIZE: Expected int >= 1`."""
    what, _, where = fault.partition(" - at `$.")
    if where:
        return f"setting {PREFIX}{where.rstrip('`').upper()}: {what}"
    name = fault.rsplit("`", 2)[1] if fault.count("`") >= 2 else ""
    return f"setting {PREFIX}{name.upper()} is missing" if name else fault
