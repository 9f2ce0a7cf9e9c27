"""Scripts and plans as they are kept: JSON."""

from collections.abc import Sequence

import msgspec

from services.exchange_simulator.plans import Plan
from services.exchange_simulator.scripts import Script


def plan_to(plan: Plan | None) -> str | None:
    """A plan as it is kept."""
    return None if plan is None else msgspec.json.encode(plan).decode()


def plan_from(kept: str | None) -> Plan | None:
    """A plan that was kept."""
    return None if kept is None else msgspec.json.decode(kept, type=Plan)


def scripts_to(scripts: Sequence[Script] | None) -> str | None:
    """A table as it is kept."""
    return None if scripts is None else msgspec.json.encode(scripts).decode()


def scripts_from(kept: str | None) -> list[Script] | None:
    """A table that was kept."""
    return None if kept is None else msgspec.json.decode(kept, type=list[Script])
