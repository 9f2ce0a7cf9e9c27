"""A batch as it is asked: what is wrong in itself is refused, the rest goes through a lane."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from libs.batcher import Batcher
from libs.refusals import Refusal
from services.exchange_gateway.domain import Reason

Item = TypeVar("Item")
Answer = TypeVar("Answer")


async def answer_each(
    items: Sequence[Item],
    lane: Batcher[Item, Answer],
    *,
    fault_of: Callable[[Item], Reason | None],
    refuse: Callable[[Item, Reason], Answer],
) -> list[Answer]:
    """One answer per item, in the order given. Raises Unavailable or Throttled."""
    faults = [fault_of(item) for item in items]
    sound = [item for item, fault in zip(items, faults, strict=True) if fault is None]
    answers = iter(await lane.submit_all(sound))
    found = []
    for item, fault in zip(items, faults, strict=True):
        answer = next(answers) if fault is None else refuse(item, fault)
        if isinstance(answer, Refusal):
            raise answer
        found.append(answer)
    return found
