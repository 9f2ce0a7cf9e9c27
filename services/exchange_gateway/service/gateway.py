"""ExchangeGatewayService."""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from libs.postgres import Pool
from libs.refusals import Invalid, Unavailable
from services.exchange_gateway import executions_wire, wire
from services.exchange_gateway.domain import TRADE_ID, Kind, Report, State, told_by
from services.exchange_gateway.service.market import Market
from services.exchange_gateway.service.operators import Operators
from services.exchange_gateway.session.enquiring import ask
from services.exchange_gateway.session.listing import Listing
from services.exchange_gateway.session.tenure import Tenure
from services.exchange_gateway.store.executions import Executions
from services.exchange_gateway.store.session import SessionStore, StoredOrder
from services.exchange_gateway.venues import VenueAway
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.exchange_gateway.v1 import stored_execution_pb2 as stored_pb
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceServicer,
)

_MOST = 1000
Context = grpc.aio.ServicerContext[Any, Any]


class GatewayService(Operators, Market, ExchangeGatewayServiceServicer):
    """The house's one door to the exchange."""

    def __init__(
        self,
        tenure: Tenure,
        listing: Listing,
        executions: Executions,
        pool: Pool,
        *,
        session_id: str,
    ) -> None:
        self._tenure = tenure
        self._listing = listing
        self._executions = executions
        self._pool = pool
        self._session_id = session_id

    async def SubmitOrders(
        self, request: pb.SubmitOrdersRequest, context: Context
    ) -> pb.SubmitOrdersResponse:
        """Store, answer; the sender does the rest."""
        session = self._tenure.held()
        orders = [wire.order_from(order) for order in request.orders]
        results = await session.submission.submit(orders)
        return wire.submits_to(results, is_brief=request.is_brief)

    async def CancelOrders(
        self, request: pb.CancelOrdersRequest, context: Context
    ) -> pb.CancelOrdersResponse:
        """Store, answer; the sender does the rest."""
        session = self._tenure.held()
        cancels = [wire.cancel_from(cancel) for cancel in request.cancels]
        results = await session.canceling.cancel(cancels)
        return pb.CancelOrdersResponse(results=[wire.cancel_taken_to(r) for r in results])

    async def ReplaceOrders(
        self, request: pb.ReplaceOrdersRequest, context: Context
    ) -> pb.ReplaceOrdersResponse:
        """Store, answer; the sender does the rest."""
        session = self._tenure.held()
        replaces = [wire.replace_from(replace) for replace in request.replaces]
        results = await session.replacing.replace(replaces)
        return pb.ReplaceOrdersResponse(results=[wire.replace_taken_to(r) for r in results])

    async def GetOrders(
        self, request: pb.GetOrdersRequest, context: Context
    ) -> pb.GetOrdersResponse:
        """From the books; what the venue has not answered there, by asking it."""
        trade_ids = list(request.trade_ids)
        _check_ids(trade_ids)
        session = self._tenure.held()
        async with self._pool.connection() as connection:
            stored = await SessionStore(connection, self._session_id).find_orders(trade_ids)
        open_ids = [i for i in trade_ids if i not in stored or stored[i].state == State.PENDING]
        try:
            told = await ask(session.floor, open_ids)
        except VenueAway:
            if not stored.keys() >= set(trade_ids):
                raise Unavailable(
                    Reason.REASON_UNAVAILABLE, "the venue cannot be asked for an unknown order"
                ) from None
            told = {}
        orders = [_status(trade_id, stored, told) for trade_id in trade_ids]
        for status in orders:
            held = stored[status.trade_id].held if status.trade_id in stored else None
            if held is not None:
                status.held_stop.CopyFrom(wire.held_stop_to(held))
        return pb.GetOrdersResponse(orders=orders)

    async def GetSession(
        self, request: pb.GetSessionRequest, context: Context
    ) -> pb.GetSessionResponse:
        """From the books, and from the session if this process holds it."""
        async with self._pool.connection() as connection:
            summary = await SessionStore(connection, self._session_id).summarise()
        response = pb.GetSessionResponse(
            session_id=self._session_id,
            next_command_seq=summary.next_command_seq,
            next_report_seq=summary.next_report_seq,
            pending_orders=summary.pending_orders,
            unapplied_reports=summary.next_report_seq
            - summary.next_delivery_seq
            + summary.waiting_reports,
            waiting_reports=summary.waiting_reports,
            order_breaks=summary.order_breaks,
            parked_reports=summary.parked_reports,
            held_stops=summary.held_stops,
        )
        if summary.waiting_since is not None:
            response.waiting_since.FromDatetime(summary.waiting_since)
        session = self._tenure.session
        if session is not None:
            board = session.floor.board
            response.is_connected = board.is_connected
            response.changed_at.FromDatetime(board.changed_at)
            response.trouble = board.trouble or board.unheard
            if board.theirs is not None:
                response.exchange_next_command_seq = board.theirs.next_command_seq
                response.exchange_next_report_seq = board.theirs.next_report_seq
        return response

    async def ListInstruments(
        self, request: pb.ListInstrumentsRequest, context: Context
    ) -> pb.ListInstrumentsResponse:
        """As last heard from the venue."""
        instruments = await self._listing.list()
        return pb.ListInstrumentsResponse(
            instruments=[wire.instrument_to(instrument) for instrument in instruments]
        )

    async def ListExecutions(
        self, request: stored_pb.ListExecutionsRequest, context: Context
    ) -> stored_pb.ListExecutionsResponse:
        """From the books, whoever holds the session."""
        after, limit = executions_wire.window_from(request)
        found, last = await self._executions.between(after, after + limit)
        response = executions_wire.stored_to(found, in_columns=request.in_columns)
        response.next_after_seq = min(after + limit, last)
        response.reaches_end = last <= after + limit
        return response


def _check_ids(trade_ids: Sequence[str]) -> None:
    if len(trade_ids) > _MOST:
        text = f"at most {_MOST} trades can be asked for at once"
        raise Invalid(Reason.REASON_INVALID_REQUEST, text, field="trade_ids")
    for trade_id in trade_ids:
        if not TRADE_ID.fullmatch(trade_id):
            raise Invalid(
                Reason.REASON_INVALID_ID, "a trade id is a UUID in lower case", field="trade_ids"
            )


def _status(
    trade_id: str,
    stored: Mapping[str, StoredOrder],
    told: Mapping[str, Sequence[Report] | None],
) -> pb.OrderStatus:
    """What is known here, or what the venue says where that is more."""
    order = stored.get(trade_id)
    reports = told.get(trade_id)
    if reports is None or not reports:
        if order is None:
            known = State.UNKNOWN if reports is None else State.PENDING
            return wire.order_status_to(trade_id, known)
        return wire.order_status_to(
            trade_id,
            order.state,
            exchange_order_id=order.exchange_order_id,
            filled_quantity=order.filled_quantity,
            created_at=order.created_at,
        )
    return wire.order_status_to(
        trade_id,
        told_by(reports),
        exchange_order_id=reports[-1].exchange_order_id,
        filled_quantity=sum(r.quantity for r in reports if r.kind == Kind.FILLED),
        created_at=order.created_at if order else None,
    )
