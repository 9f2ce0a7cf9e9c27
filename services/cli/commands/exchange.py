"""`exchange`: an operator's hand on the simulated exchange."""

import typer

from services.cli.commands import clock, days_of_exchange, halts_at_exchange, scripts

app = typer.Typer(help="What operators tell the simulated exchange.", no_args_is_help=True)
app.add_typer(scripts.app, name="scripts")
app.add_typer(clock.app, name="clock")
app.command()(days_of_exchange.day)
app.command()(halts_at_exchange.halt)
app.command()(halts_at_exchange.resume)
