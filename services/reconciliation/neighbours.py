"""The four sources, each read by its own contract and told in one form."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

import grpc

from services.reconciliation import wire
from services.reconciliation.domain.sighting import ORIGIN, Page, Place, Sighting, Source, numbered
from stockbroker.exchange.v1 import drop_copy_pb2
from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2, stored_execution_pb2
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from stockbroker.ledger.v1 import booked_execution_pb2
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from stockbroker.order.v1 import recorded_execution_pb2
from stockbroker.order.v1.order_execution_service_pb2_grpc import OrderExecutionServiceStub

_CALL_SECONDS = 5.0
_GLANCE_SECONDS = 1.0  # while an operator waits


class Away(Exception):
    """A source does not answer."""


class Reader(Protocol):
    """Reads one source."""

    async def read(self, after: Place, *, limit: int, now: datetime) -> Page:
        """What stands behind `after`. Raises Away."""


class VenueReader:
    """The drop copy of the house's session."""

    def __init__(self, channel: grpc.aio.Channel, *, session_id: str) -> None:
        self._exchange: Any = ExchangeServiceStub(channel)
        self._session_id = session_id

    async def read(self, after: Place, *, limit: int, now: datetime) -> Page:
        request = drop_copy_pb2.ListExecutionsRequest(
            session_id=self._session_id, after_seq=after.position, limit=limit
        )
        told = await _ask(self._exchange.ListExecutions, request)
        venue = wire.text(told.venue)
        found = [wire.from_venue(report, venue) for report in told.executions]
        found += [wire.from_venue_correction(each, venue) for each in told.corrections]
        return _numbered_page(Source.VENUE, after, told, found, now=now)


class GatewayReader:
    """Reports as the gateway stored them, and how its session stands."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._gateway: Any = ExchangeGatewayServiceStub(channel)

    async def read(self, after: Place, *, limit: int, now: datetime) -> Page:
        request = stored_execution_pb2.ListExecutionsRequest(
            after_seq=after.position, limit=limit, in_columns=True
        )
        told = await _ask(self._gateway.ListExecutions, request)
        found = _in_columns(Source.GATEWAY, told)
        found += map(wire.from_gateway, told.executions)
        found += map(wire.from_gateway_amendment, told.amendments)
        return _numbered_page(Source.GATEWAY, after, told, found, now=now)

    async def in_doubt_and_parked(self) -> tuple[int, int]:
        """Orders without an answer, and reports kept for an operator. Raises Away."""
        request = exchange_gateway_service_pb2.GetSessionRequest()
        session = await _ask(self._gateway.GetSession, request, seconds=_GLANCE_SECONDS)
        return session.pending_orders, session.parked_reports


class OrderReader:
    """Fills and amendments as the order service recorded them."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._order: Any = OrderExecutionServiceStub(channel)

    async def read(self, after: Place, *, limit: int, now: datetime) -> Page:
        place = None
        if after != ORIGIN:
            place = recorded_execution_pb2.ExecutionPlace(
                transaction_id=after.position, venue=after.venue, execution_id=after.execution_id
            )
        request = recorded_execution_pb2.ListExecutionsRequest(
            after=place, limit=limit, in_columns=True
        )
        told = await _ask(self._order.ListExecutions, request)
        return Page(
            source=Source.ORDER,
            after=after,
            next=Place(told.next.transaction_id, told.next.venue, told.next.execution_id),
            reaches_end=told.reaches_end,
            began_at=now,
            sightings=(
                *_in_columns(Source.ORDER, told),
                *map(wire.from_order, told.executions),
                *map(wire.from_order_amendment, told.amendments),
            ),
        )


class LedgerReader:
    """Bookings of fills and what corrects them, amendments among it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._ledger: Any = LedgerServiceStub(channel)

    async def read(self, after: Place, *, limit: int, now: datetime) -> Page:
        request = booked_execution_pb2.ListBookedExecutionsRequest(
            after_seq=after.position, limit=limit, in_columns=True, with_archived=True
        )
        told = await _ask(self._ledger.ListBookedExecutions, request)
        found = _in_columns(Source.LEDGER, told)
        found += [each for booked in told.executions for each in wire.from_ledger(booked)]
        return _numbered_page(Source.LEDGER, after, told, found, now=now)


async def _ask(method: Any, request: Any, *, seconds: float = _CALL_SECONDS) -> Any:
    try:
        return await method(request, timeout=seconds)
    except grpc.aio.AioRpcError as error:
        raise Away(f"{error.code().name}: {error.details()}") from error


def _in_columns(source: Source, told: Any) -> list[Sighting]:
    """Fills that a source told so. Raises Away when they make no sense."""
    try:
        return wire.from_columns(source, told.columns)
    except ValueError as error:
        raise Away(f"its columns make no sense: {error}") from error


def _numbered_page(
    source: Source, after: Place, told: Any, found: Iterable[Sighting], *, now: datetime
) -> Page:
    return Page(
        source=source,
        after=after,
        next=numbered(told.next_after_seq),
        reaches_end=told.reaches_end,
        began_at=now,
        sightings=tuple(found),
    )
