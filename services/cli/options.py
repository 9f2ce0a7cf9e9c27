"""Options that several commands share, and the arguments that are amounts."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from services.cli.amounts import Unreadable, parse_dollars, parse_shares, parse_speed

# The largest numbers that the contracts hold.
MOST_32 = 2**31 - 1
MOST_64 = 2**63 - 1


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


def _price(text: str) -> int:
    price = _dollars(text)
    if not price:
        raise typer.BadParameter("a price is more than zero; leave the option out to give none")
    return price


def _new_shares(text: str) -> int:
    quantity = _shares(text)
    if not quantity:
        raise typer.BadParameter("none is no quantity: `stockbroker cancel` ends a trade")
    return quantity


def _speed(text: str) -> int:
    try:
        return parse_speed(text)
    except Unreadable as error:
        raise typer.BadParameter(str(error)) from None


def _account(text: str) -> str:
    return text if "/" in text else f"customer/{text}"


def in_utc(at: datetime | None) -> datetime | None:
    """A time as it was typed."""
    return None if at is None else at.replace(tzinfo=UTC)


AsCustomer = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="CUSTOMER", help="Who calls; else STOCKBROKER_CUSTOMER, else alice."
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON, with the field names of the contracts.")
]
Operator = Annotated[
    str, typer.Option("--operator", metavar="NAME", help="Which operator calls; else operator.")
]
OwnId = Annotated[
    str,
    typer.Option(
        "--id", metavar="UUID", help="Of your own; asking again with it does nothing new."
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]
Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="Whose.")]
Account = Annotated[
    str,
    typer.Argument(
        parser=_account,
        metavar="ACCOUNT",
        help="For example customer/alice or house/fees; alice is customer/alice.",
    ),
]
Source = Annotated[
    str, typer.Argument(parser=_account, metavar="FROM", help="The account that gives.")
]
Target = Annotated[
    str, typer.Argument(parser=_account, metavar="TO", help="The account that gets.")
]
Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="For example AAPL.")]
TIMES = [
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%fZ",
    "%Y-%m-%d %H:%M:%S",
]
AsOf = Annotated[
    datetime | None,
    typer.Option(formats=TIMES, metavar="TIME", help="What was true in the world then; in UTC."),
]
KnownAt = Annotated[
    datetime | None,
    typer.Option(formats=TIMES, metavar="TIME", help="What the ledger knew then; in UTC."),
]
Dollars = Annotated[
    int, typer.Argument(parser=_dollars, metavar="AMOUNT", help="For example 1000 or $1,000.50.")
]
Cost = Annotated[
    int,
    typer.Option("--cost", parser=_dollars, metavar="AMOUNT", help="What the shares cost in all."),
]
Against = Annotated[
    int | None,
    typer.Option("--for", parser=_dollars, metavar="AMOUNT", help="What TO pays FROM for shares."),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        parser=_price,
        metavar="PRICE",
        help="Pay no more, or take no less, a share; else at the market.",
    ),
]
NewLimit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        parser=_price,
        metavar="PRICE",
        help="Pay no more, or take no less, a share; else as it was.",
    ),
]
Stop = Annotated[
    int | None,
    typer.Option(
        "--stop",
        parser=_price,
        metavar="PRICE",
        help="Wait for a trade at this price, or beyond it.",
    ),
]
Price = Annotated[
    int | None,
    typer.Option("--price", parser=_price, metavar="PRICE", help="A share; else as it was."),
]
Shares = Annotated[
    int, typer.Argument(parser=_shares, metavar="QUANTITY", help="Whole shares, for example 300.")
]
NewShares = Annotated[
    int | None,
    typer.Option(
        "--quantity",
        parser=_new_shares,
        metavar="QUANTITY",
        help="Whole shares in all, filled ones included.",
    ),
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
