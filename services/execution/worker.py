"""What the rooms of one worker share."""

import os
import socket
from dataclasses import dataclass, field
from datetime import datetime

from libs.clock import Clock
from services.execution.domain.attention import Attention
from services.execution.domain.ring import Leads
from services.execution.halts import HaltBoard


@dataclass(slots=True)
class Tally:
    """Counts since the start, for operators."""

    claimed: int = 0
    swept: int = 0
    reports_applied: int = 0


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker: its name, what it leads, whom it works for, what is halted."""

    name: str
    clock: Clock
    attention: Attention
    board: HaltBoard
    started_at: datetime
    leads: Leads = field(default_factory=Leads)
    tally: Tally = field(default_factory=Tally)


def default_name() -> str:
    """Host name and process id: unique among workers unless containers share both."""
    return f"{socket.gethostname()}-{os.getpid()}"
