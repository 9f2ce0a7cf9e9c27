"""`chaos`: a drill on a house of its own."""

import os
import sys

import typer

_DRILL = "services.chaos.main"


def chaos(context: typer.Context) -> None:
    """Trade through a house of its own while everything in it is killed, stopped and cut off."""
    os.execv(sys.executable, [sys.executable, "-m", _DRILL, *context.args])
