"""Options that several commands share, and the arguments that are amounts."""

from typing import Annotated

import typer

from services.cli.amounts import Unreadable, parse_dollars, parse_shares, parse_speed


def _dollars(text: str) -> int:
    try:
        return parse_dollars(text)
    except Unreadable as error:
        raise typer.BadParameter(str(error)) from None


def _shares(text: str) -> int:
    try:
        return parse_shares(text)
    except Unreadable as error:
        raise typer.BadParameter(str(error)) from None


def _speed(text: str) -> int:
    try:
        return parse_speed(text)
    except Unreadable as error:
        raise typer.BadParameter(str(error)) from None


AsCustomer = Annotated[
    str,
    typer.Option(
        "--as", metavar="CUSTOMER", help="Who calls; else STOCKBROKER_CUSTOMER, else alice."
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON, with the field names of the contracts.")
]
Dollars = Annotated[
    int, typer.Argument(parser=_dollars, metavar="AMOUNT", help="For example 1000 or $1,000.50.")
]
Cost = Annotated[
    int,
    typer.Option("--cost", parser=_dollars, metavar="AMOUNT", help="What the shares cost in all."),
]
Shares = Annotated[
    int, typer.Argument(parser=_shares, metavar="QUANTITY", help="Whole shares, for example 300.")
]
Speed = Annotated[
    int,
    typer.Option(
        "--speed",
        parser=_speed,
        metavar="SPEED",
        help="1 for real time, 10 for ten times that, or max.",
    ),
]
