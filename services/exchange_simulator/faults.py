"""An operator's script of what goes wrong, drawn from a seed so that a run can be repeated."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.exchange_simulator.domain import Ending, RejectReason

Report = TypeVar("Report")


@dataclass(frozen=True, slots=True)
class Script:
    """Chances in thousandths, and the milliseconds reports wait. Fields as in the contract."""

    duplicate_report_permille: int = 0
    reorder_report_permille: int = 0
    reject_order_permille: int = 0
    lose_acknowledge_permille: int = 0
    delay_report_ms: int = 0
    delay_report_permille: int = 0
    unanswered_order_permille: int = 0
    halted_order_permille: int = 0
    hang_up_permille: int = 0


class Faults:
    """The script in force."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.script = Script()

    def begin(self, script: Script, *, seed: int = 0) -> None:
        """Play `script` from now on; 0: the draws go on where they were."""
        self.script = script
        if seed:
            self._random.seed(seed)

    def leaves_unanswered(self) -> bool:
        """Whether the next order is never answered."""
        return self._strikes(self.script.unanswered_order_permille)

    def objection(self) -> Ending | None:
        """Why the next order is refused; None: the script has nothing against it."""
        if self._strikes(self.script.halted_order_permille):
            return Ending(RejectReason.HALTED, "halted by the operator's script of faults")
        if self._strikes(self.script.reject_order_permille):
            return Ending(RejectReason.OTHER, "refused by the operator's script of faults")
        return None

    def hangs_up(self) -> bool:
        """Whether the next message of reports is lost with its connection."""
        return self._strikes(self.script.hang_up_permille)

    def delay_seconds(self) -> float:
        """How long the next message of reports waits."""
        script = self.script
        if not script.delay_report_ms:
            return 0.0
        waits = not script.delay_report_permille or self._strikes(script.delay_report_permille)
        return script.delay_report_ms / 1000 if waits else 0.0

    def loses_acknowledge(self) -> bool:
        """Whether the next acknowledgement is forgotten."""
        return self._strikes(self.script.lose_acknowledge_permille)

    def disturb(self, reports: Sequence[Report]) -> Sequence[Report]:
        """Reports of one message as they are sent: some twice, some swapped with the one after."""
        script = self.script
        if not script.duplicate_report_permille and not script.reorder_report_permille:
            return reports
        sent: list[Report] = []
        for report in reports:
            sent += [report] * (2 if self._strikes(script.duplicate_report_permille) else 1)
        for index in range(len(sent) - 1):
            if self._strikes(script.reorder_report_permille):
                sent[index], sent[index + 1] = sent[index + 1], sent[index]
        return sent

    def _strikes(self, permille: int) -> bool:
        return permille > 0 and self._random.randrange(1000) < permille
