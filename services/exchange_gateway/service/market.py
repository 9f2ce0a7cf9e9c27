"""The market, asked of the venue just now: for the house's own checks and previews."""

from typing import Any

import grpc

from libs.refusals import Invalid, Unavailable
from services.exchange_gateway import market_wire
from services.exchange_gateway.session.listing import Listing
from services.exchange_gateway.venues import VenueAway
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import market_pb2 as pb

_MOST_LEVELS = 1000
Context = grpc.aio.ServicerContext[Any, Any]


class Market:
    """See the contract for each method."""

    _listing: Listing

    async def ListQuotes(
        self, request: pb.ListQuotesRequest, context: Context
    ) -> pb.ListQuotesResponse:
        """Passed on."""
        try:
            quotes = await self._listing.venue.list_quotes()
        except VenueAway as error:
            raise _away(error) from error
        return pb.ListQuotesResponse(quotes=map(market_wire.quote_to, quotes))

    async def GetBook(self, request: pb.GetBookRequest, context: Context) -> pb.GetBookResponse:
        """Passed on."""
        if not 1 <= request.depth <= _MOST_LEVELS:
            raise Invalid(
                Reason.REASON_INVALID_REQUEST, f"depth must be 1 to {_MOST_LEVELS}", field="depth"
            )
        try:
            book = await self._listing.venue.get_book(request.symbol, request.depth)
        except VenueAway as error:
            raise _away(error) from error
        return market_wire.book_to(book)


def _away(error: VenueAway) -> Unavailable:
    return Unavailable(Reason.REASON_UNAVAILABLE, f"the venue: {error}")
