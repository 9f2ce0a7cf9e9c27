"""`up` and `token`."""

import os
import sys
from typing import Annotated

import typer

from services.cli.options import AsJson
from services.cli.settings import settings

_SUPERVISOR = "services.house.main"


def up(context: typer.Context) -> None:
    """Start the house and show a trade; Ctrl-C stops it. Options are handed to the supervisor."""
    os.execv(sys.executable, [sys.executable, "-m", _SUPERVISOR, *context.args])


def token(
    subject: Annotated[
        str, typer.Argument(metavar="[CUSTOMER]", help="Whose; else STOCKBROKER_CUSTOMER.")
    ] = "",
    operator: Annotated[
        str, typer.Option(metavar="NAME", help="An operator's token, under this name.")
    ] = "",
    seconds: Annotated[
        int, typer.Option(min=1, max=86_400, help="How long it is good for.")
    ] = 3600,
    as_json: AsJson = False,
) -> None:
    """Make a token with the development key of the data folder."""
    from services.cli.screen import say, show_json
    from services.cli.tokens import customer_token, operator_token

    if subject and operator:
        raise typer.BadParameter("give a customer or --operator, not both")
    chosen = settings()
    name = operator or subject or chosen.customer
    mint = operator_token if operator else customer_token
    made = mint(chosen, name, seconds)
    if as_json:
        role = "operator" if operator else "customer"
        show_json({"token": made, "subject": name, "role": role, "seconds": seconds})
    else:
        say(made)
