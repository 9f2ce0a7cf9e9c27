"""A service's settings: one frozen struct, read from the environment.

A field `listen` is read from `STOCKBROKER_LISTEN`. Types, bounds and descriptions stand on the
fields (`Annotated[int, msgspec.Meta(ge=1, description="...")]`), so that a test can hold
a README's table equal to them.
"""

import os
import sys
from collections.abc import Mapping
from typing import TypeVar

import msgspec

PREFIX = "STOCKBROKER_"

Settings = TypeVar("Settings", bound=msgspec.Struct)


class InvalidSettings(ValueError):
    """A setting is missing or out of range; the text is a sentence for a person."""


def load(kind: type[Settings], environment: Mapping[str, str] | None = None) -> Settings:
    """Read `kind` from the environment, or raise InvalidSettings naming the variable at fault."""
    environment = os.environ if environment is None else environment
    found = {
        field.name: environment[PREFIX + field.name.upper()]
        for field in msgspec.structs.fields(kind)
        if PREFIX + field.name.upper() in environment
    }
    try:
        return msgspec.convert(found, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidSettings(_sentence(str(error))) from None


def load_or_exit(kind: type[Settings]) -> Settings:
    """Read `kind` from the environment; end the process with status 2 and a sentence if wrong."""
    try:
        return load(kind)
    except InvalidSettings as error:
        sys.stderr.write(f"stockbroker: {error}\n")
        raise SystemExit(2) from None


def _sentence(fault: str) -> str:
    """`Expected int >= 1 - at $.size` becomes `setting STOCKBROKER_SIZE: Expected int >= 1`."""
    what, _, where = fault.partition(" - at `$.")
    if where:
        return f"setting {PREFIX}{where.rstrip('`').upper()}: {what}"
    name = fault.rsplit("`", 2)[1] if fault.count("`") >= 2 else ""
    return f"setting {PREFIX}{name.upper()} is missing" if name else fault
