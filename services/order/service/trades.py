"""OrderService: where customers place trades and watch what becomes of them."""

from collections.abc import AsyncIterator

from libs.auth import Principal, Role, caller
from libs.page_token import PageTokens
from libs.refusals import Refused
from libs.rpc import Context
from services.order import refusals, wire
from services.order.domain.asking import (
    check_filters,
    check_page_size,
    check_revision,
    check_trade_id,
)
from services.order.domain.canceling import Cancellation
from services.order.domain.placing import check_client_order_id, check_symbol
from services.order.domain.replacing import Replacement
from services.order.domain.trade import Trade, TradeStatus
from services.order.service.desk import Desk
from services.order.service.explaining import ExplainingService
from services.order.service.placing import PlacingService
from services.order.service.previewing import PreviewingService
from services.order.store.instruments import page_token_key
from services.order.store.lists import Lists
from services.order.store.resting import Resting
from services.order.store.trades import Trades
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceServicer

_LAST_SEQ = 2**63 - 1
_AT_ONCE = 500  # cancels in one transaction


class TradesService(PlacingService, PreviewingService, ExplainingService, OrderServiceServicer):
    """See the contract for each method."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._page_tokens: PageTokens | None = None

    async def GetTrade(self, request: pb.GetTradeRequest, context: Context) -> pb.GetTradeResponse:
        if request.WhichOneof("id") == "client_order_id":
            trade = await self._find_by_client_order_id(request.client_order_id)
        else:
            trade = await self._find(request.trade_id)
        return pb.GetTradeResponse(trade=wire.trade_to(trade))

    async def ListTrades(
        self, request: pb.ListTradesRequest, context: Context
    ) -> pb.ListTradesResponse:
        customer_id = caller().subject
        filters = check_filters(request.statuses, request.symbol)
        size = check_page_size(request.page_size)
        scope = f"trades/{customer_id}/{filters.label}"
        page_tokens = await self._tokens()
        before_seq = _LAST_SEQ
        if request.page_token:
            before_seq = int(page_tokens.open(scope, request.page_token))
        async with self._desk.database.connection() as connection:
            trades = await Lists(connection).page(
                customer_id, filters, before_seq=before_seq, limit=size + 1
            )
        response = pb.ListTradesResponse(trades=map(wire.trade_to, trades[:size]))
        if len(trades) > size:
            position = str(trades[size - 1].placed_seq)
            response.next_page_token = page_tokens.seal(scope, position)
        return response

    async def _tokens(self) -> PageTokens:
        """Made with the key all processes of this service share."""
        if self._page_tokens is None:
            async with self._desk.database.connection() as connection:
                self._page_tokens = PageTokens(await page_token_key(connection))
        return self._page_tokens

    async def CancelTrade(
        self, request: pb.CancelTradeRequest, context: Context
    ) -> pb.CancelTradeResponse:
        check_trade_id(request.trade_id)
        customer_id = "" if caller().role is Role.OPERATOR else caller().subject
        cancellation = Cancellation(request.trade_id, customer_id)
        trade = await self._desk.canceler.submit(cancellation)
        return pb.CancelTradeResponse(trade=wire.trade_to(trade))

    async def CancelAllTrades(
        self, request: pb.CancelAllTradesRequest, context: Context
    ) -> pb.CancelAllTradesResponse:
        if request.symbol:
            check_symbol(request.symbol)
        customer_id = caller().subject
        async with self._desk.database.connection() as connection:
            trade_ids = await Resting(connection).open_trades(customer_id, request.symbol)
        response = pb.CancelAllTradesResponse()
        for start in range(0, len(trade_ids), _AT_ONCE):
            asked = [
                Cancellation(each, customer_id) for each in trade_ids[start : start + _AT_ONCE]
            ]
            for answer in await self._desk.canceler.outcomes(asked):
                status = _status_of(answer)
                response.canceled += status is TradeStatus.CANCELED
                response.pending += status is TradeStatus.PENDING_CANCEL
        return response

    async def ReplaceTrade(
        self, request: pb.ReplaceTradeRequest, context: Context
    ) -> pb.ReplaceTradeResponse:
        asked = wire.revision_from(request)
        check_revision(request.client_order_id, asked)
        check_trade_id(request.trade_id)
        replacement = Replacement(
            replace_id=self._desk.ids.new(),
            trade_id=request.trade_id,
            client_order_id=request.client_order_id or self._desk.ids.new(),
            customer_id=caller().subject,
            asked=asked,
        )
        trade = await self._desk.replacer.submit(replacement)
        return pb.ReplaceTradeResponse(trade=wire.trade_to(trade))

    async def WatchTrades(
        self, request: pb.WatchTradesRequest, context: Context
    ) -> AsyncIterator[pb.WatchTradesResponse]:
        async for item in self._desk.feed.follow(caller().subject, request.after_seq):
            yield wire.watched_to(item)

    async def ListTradeEvents(
        self, request: pb.ListTradeEventsRequest, context: Context
    ) -> pb.ListTradeEventsResponse:
        trade = await self._find(request.trade_id)
        async with self._desk.database.connection() as connection:
            events = await Lists(connection).story(request.trade_id)
        archived_through_seq = events[0].previous_seq if events else trade.seq
        if archived_through_seq and not request.partial:
            raise refusals.history_archived(archived_through_seq)
        return pb.ListTradeEventsResponse(
            events=map(wire.event_to, events), archived_through_seq=archived_through_seq
        )

    async def _find(self, trade_id: str) -> Trade:
        """The trade, if the caller may see it. Raises Invalid or NotFound."""
        check_trade_id(trade_id)
        async with self._desk.database.connection() as connection:
            trades = await Trades(connection).by_ids([trade_id])
        trade = trades.get(trade_id)
        if trade is None or not _may_see(caller(), trade):
            raise refusals.no_such_trade()
        return trade

    async def _find_by_client_order_id(self, client_order_id: str) -> Trade:
        """The caller's trade. Raises Invalid or NotFound."""
        if caller().role is Role.OPERATOR:
            raise refusals.operators_name_trades_by_trade_id()
        check_client_order_id(client_order_id)
        key = caller().subject, client_order_id
        async with self._desk.database.connection() as connection:
            trades = await Trades(connection).by_client_order_ids([key])
        if key not in trades:
            raise refusals.no_such_trade()
        return trades[key]


def _status_of(answer: Trade | Exception) -> TradeStatus | None:
    """Where a trade stands that was asked to be canceled; None: it had ended before.

    Raises what says that it is not known whether it is canceled.
    """
    if isinstance(answer, Trade):
        return answer.status
    if isinstance(answer, Refused):
        return None
    raise answer


def _may_see(principal: Principal, trade: Trade) -> bool:
    """Customers see their own trades, operators all."""
    return principal.role is Role.OPERATOR or trade.customer_id == principal.subject
