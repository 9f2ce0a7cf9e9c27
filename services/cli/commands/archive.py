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
    service: Annotated[
        Service, typer.Argument(metavar="order|ledger", help="The service whose months they are.")
    ],
) -> None:
    """Move old months of a running house out of its database, into files.

    The options are those of the service's own command:

    \b
    --before 2026-08  the months before this one
    --into DIR        the folder of the files, one for each database
    --dry-run         say what would go, and why not
    --drop            also drop what was taken out, where its file holds it whole
    --check           only compare the files with their manifests
    """
    from libs.archive.command import TYPED
    from services.cli.failures import ExitCode, Failure
    from services.cli.house_file import read_house

    url = read_house(settings()).databases.get(service.value)
    if url is None:
        raise Failure(f"this house has no database {service.value}", ExitCode.FAULT)
    command = [sys.executable, "-m", f"services.{service.value}.archive", *context.args]
    told = {"STOCKBROKER_DATABASE_URL": url, TYPED: f"stockbroker archive {service.value}"}
    os.execve(sys.executable, command, os.environ | told)
