"""How the command line lists its commands: each with its whole first sentence, and in sections."""

from typing import Any

from typer.core import TyperGroup

_UNLIMITED = 1_000

# The first list of commands anyone sees; a command that is not here comes under "More".
SECTIONS = {
    "The house": ("up", "status", "token", "archive", "chaos"),
    "A customer's trades": (
        *("place", "preview", "cancel", "replace", "trades", "trade", "watch", "explain"),
        *("portfolio", "entries"),
    ),
    "The market": ("market", "exchange", "fills", "tape"),
    "Operators, of trades": (
        *("halt", "resume", "halts", "controls", "in-doubt", "parked", "orders", "reports"),
        *("breaks", "reconciliation", "days"),
    ),
    "Operators, of money and shares": (
        *("deposit", "deposit-shares", "withdraw", "withdraw-shares", "freeze", "unfreeze"),
        *("close", "reversals", "balance", "journal", "transfers", "invariants", "ledger"),
    ),
}


class Listed(TyperGroup):
    """Lists its commands as `SECTIONS` has them, and those of a subject under one heading."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        names = self.list_commands(ctx)
        sections = SECTIONS if ctx.parent is None else {}
        left = [name for name in names if not any(name in each for each in sections.values())]
        shown = sections | {"More" if sections else "Commands": tuple(left)}
        width = max(map(len, names))
        for title, members in shown.items():
            rows = [
                (f"{name:<{width}}", command.get_short_help_str(_UNLIMITED))
                for name in members
                if (command := self.get_command(ctx, name)) is not None
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
