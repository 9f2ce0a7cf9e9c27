"""Ids of what operators ask for."""

import uuid

from services.cli.screen import note


def own_id(given: str) -> str:
    """`given`, or a new one. That is told at once: should no answer come, it is safe to repeat."""
    if given:
        return given
    made = str(uuid.uuid4())
    note(f"id {made}")
    return made
