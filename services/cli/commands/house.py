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
        str, typer.Argument(metavar="[CUSTOMER]", help="Whose; else STOCKBROKER_CUSTOMER.")
    ] = "",
    operator: Annotated[
        str, typer.Option(metavar="NAME", help="An operator's token, under this name.")
    ] = "",
    back_end: Annotated[
        str, typer.Option(metavar="NAME", help="A back-end's, to place for any customer.")
    ] = "",
    seconds: Annotated[
        int, typer.Option(min=1, max=86_400, help="How long it is good for.")
    ] = 3600,
    as_json: AsJson = False,
) -> None:
    """Make a token with the development key of the data folder."""
    from services.cli.screen import say, show_json
    from services.cli.tokens import make_token

    if sum(map(bool, (subject, operator, back_end))) > 1:
        raise typer.BadParameter("give one of a customer, --operator and --back-end")
    chosen = settings()
    name = operator or back_end or subject or chosen.customer
    role = "operator" if operator else "back-end" if back_end else "customer"
    made = make_token(chosen, name, role, seconds)
    if as_json:
        show_json({"token": made, "subject": name, "role": role, "seconds": seconds})
    else:
        say(made)
