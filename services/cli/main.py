"""The command line `stockbroker`: wires the commands together."""

import sys
from typing import Any

import typer
from typer.exceptions import TyperException

from services.cli.commands import (
    archive,
    books,
    breaks,
    changes,
    chaos,
    controls,
    deposits,
    doubts,
    exchange,
    fills,
    halts,
    house,
    invariants,
    market,
    orders,
    parked,
    place,
    portfolio,
    preview,
    proofs,
    reports,
    restraints,
    reversals,
    status,
    tape,
    trades,
    transfers,
    withdrawals,
)
from services.cli.failures import ExitCode, Failure, plainer
from services.cli.help import Listed

_SHOWN = 60  # characters of what cannot be written


class _Commands(Listed):
    """Turns a failure of any command into its sentence and its exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        if sys.stdout is None:  # `>&-`: nothing is done that could not be told
            _say("standard output is closed")
            sys.exit(ExitCode.FAULT)
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            _say(f"{error.filename or 'this machine'}: {error.strerror or error}")
            sys.exit(ExitCode.FAULT)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Failure as failure:
            _say(failure.text)
            raise typer.Exit(failure.exit_code) from None
        except UnicodeEncodeError as error:  # of an argument, or of a terminal that shows no such
            _say(f"{error.object[:_SHOWN]!r} cannot be written as {error.encoding}")
            raise typer.Exit(ExitCode.USAGE) from None
        except TyperException as error:  # what was typed is wrong
            error.message = plainer(error.message)
            raise


def _say(text: str) -> None:
    from services.cli.screen import note

    note(text)


app = typer.Typer(
    name="stockbroker",
    cls=_Commands,
    help="Place trades, watch what becomes of them, and run the house.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_ANY_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}

app.command(context_settings=_ANY_OPTIONS)(house.up)
app.command(context_settings=_ANY_OPTIONS, add_help_option=False)(chaos.chaos)
app.command(context_settings=_ANY_OPTIONS)(archive.archive)
app.command()(status.status)
app.command()(house.token)
app.command()(place.place)
app.command()(preview.preview)
app.command()(changes.cancel)
app.command()(changes.replace)
app.command()(trades.trades)
app.command()(trades.trade)
app.command()(trades.watch)
app.command()(portfolio.portfolio)
app.command()(portfolio.entries)
app.add_typer(market.app, name="market", cls=Listed)
app.add_typer(fills.app, name="fills", cls=Listed)
app.add_typer(exchange.app, name="exchange", cls=Listed)
app.command()(tape.tape)
app.command()(deposits.deposit)
app.command()(deposits.deposit_shares)
app.command()(withdrawals.withdraw)
app.command()(withdrawals.withdraw_shares)
app.command()(restraints.freeze)
app.command()(restraints.unfreeze)
app.command()(restraints.close)
app.add_typer(reversals.app, name="reversals", cls=Listed)
app.command()(books.balance)
app.command()(books.journal)
app.add_typer(transfers.app, name="transfers", cls=Listed)
app.command()(invariants.invariants)
app.command()(doubts.in_doubt)
app.add_typer(parked.app, name="parked", cls=Listed)
app.add_typer(orders.app, name="orders", cls=Listed)
app.add_typer(reports.app, name="reports", cls=Listed)
app.command()(halts.halt)
app.command()(halts.resume)
app.command()(halts.halts)
app.add_typer(controls.app, name="controls", cls=Listed)
app.command()(controls.explain)
app.add_typer(breaks.app, name="breaks", cls=Listed)
app.command()(breaks.reconciliation)
app.command()(breaks.days)

ledger = typer.Typer(help="The books: what proves them, and what operators do with them.")
ledger.command()(proofs.export)
ledger.command()(proofs.verify)
ledger.command()(proofs.statement)
ledger.command()(proofs.check_statement)
app.add_typer(ledger, name="ledger", cls=Listed)


if __name__ == "__main__":
    sys.exit(app())
