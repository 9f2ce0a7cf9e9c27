"""`up` and `token`."""

import os
import sys
from typing import Annotated

import typer

from services.cli.options import AsJson
from services.cli.settings import settings

_SUPERVISOR = "services.house.main"


def up(context: typer.Context) -> None:
    """Start the house and show trades; Ctrl-C stops it. Options are handed to the supervisor."""
    os.execv(sys.executable, [sys.executable, "-m", _SUPERVISOR, *context.args])


def token(
    subject: Annotated[
        str | None, typer.Argument(metavar="[CUSTOMER]", help="Whose; else STOCKBROKER_CUSTOMER.")
    ] = None,
    operator: Annotated[
        str | None, typer.Option(metavar="NAME", help="An operator's token, under this name.")
    ] = None,
    back_end: Annotated[
        str | None, typer.Option(metavar="NAME", help="A back-end's, to place for any customer.")
    ] = None,
    seconds: Annotated[
        int, typer.Option(min=1, max=86_400, help="How long it is good for.")
    ] = 3600,
    as_json: AsJson = False,
) -> None:
    """Make a token with the development key of the data folder."""
    from services.cli.screen import say, show_json
    from services.cli.tokens import make_token

    chosen = settings()
    given = {"customer": subject, "operator": operator, "back-end": back_end}
    named = [(role, name) for role, name in given.items() if name is not None]
    if len(named) > 1:
        raise typer.BadParameter("give one of a customer, --operator and --back-end")
    ((role, name),) = named or [("customer", chosen.customer)]
    made = make_token(chosen, name, role, seconds)
    if as_json:
        show_json({"token": made, "subject": name, "role": role, "seconds": seconds})
    else:
        say(made)
