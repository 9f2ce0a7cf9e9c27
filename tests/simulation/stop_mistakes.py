"""Mistakes about stops that the house holds, to plant one at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import services.exchange_gateway.domain.held as held
import services.exchange_gateway.session.holding as holding
from services.exchange_gateway.domain.held import Decision, HeldStop
from services.exchange_gateway.store.held import HeldStore


@contextmanager
def sent_as_it_is() -> Iterator[None]:
    """What was triggered goes to the exchange as the stop it was."""

    def stop_still(stop: HeldStop) -> Any:
        return stop.order

    with mock.patch.object(holding, "_sent", stop_still):
        yield


@contextmanager
def triggered_by_any_price() -> Iterator[None]:
    """Whatever trades meets it."""
    with mock.patch.object(held, "is_met", return_value=True):
        yield


@contextmanager
def canceled_in_vain() -> Iterator[None]:
    """A stop that is canceled waits on."""

    def deaf(stop: HeldStop, *told: Any, **more: Any) -> Decision | None:
        return held.decide(replace(stop, is_canceled=False), *told, **more)

    with mock.patch.object(holding, "decide", deaf):
        yield


@contextmanager
def sent_unrecorded() -> Iterator[None]:
    """What was triggered is sent, and nobody wrote down that it was to be."""

    async def forget(_: HeldStore, commands: Sequence[Any]) -> None:
        pass

    with mock.patch.object(HeldStore, "send", forget):
        yield


# By which promises each is found.
MISTAKES: Mapping[Callable[[], AbstractContextManager[None]], tuple[str, ...]] = {
    sent_as_it_is: ("I19",),
    triggered_by_any_price: ("I19",),
    canceled_in_vain: ("I9", "I14"),
    sent_unrecorded: ("I5", "I8", "I9", "I12"),
}
