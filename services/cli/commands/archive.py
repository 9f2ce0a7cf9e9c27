"""`archive`: old months of a service's largest table, out of the database and into files."""

import os
import sys
from enum import Enum
from typing import Annotated

import typer

from services.cli.settings import settings


class Service(Enum):
    """Whose months."""

    ORDER = "order"
    LEDGER = "ledger"


def archive(
    context: typer.Context,
    service: Annotated[Service, typer.Argument(help="The service whose months they are.")],
) -> None:
    """Move old months of a running house out of its database, into files.

    The options are those of the service's own command: --before 2026-08, --into DIR, --dry-run,
    --drop, --check.
    """
    from services.cli.failures import ExitCode, Failure
    from services.cli.house_file import read_house

    url = read_house(settings()).databases.get(service.value)
    if url is None:
        raise Failure(f"this house has no database {service.value}", ExitCode.FAULT)
    command = [sys.executable, "-m", f"services.{service.value}.archive", *context.args]
    os.execve(sys.executable, command, os.environ | {"STOCKBROKER_DATABASE_URL": url})
