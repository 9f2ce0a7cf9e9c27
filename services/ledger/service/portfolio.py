"""For customers: what they own, and how they came to it."""

from libs.page_token import PageTokens
from libs.reasons import Reason
from libs.refusals import Invalid
from libs.rpc import Context
from libs.stamps import set_moment
from services.ledger import journal_wire, wire
from services.ledger.domain import deeds, forms
from services.ledger.service.asking import checked, owner
from services.ledger.service.statement import StatementReading
from services.ledger.store.portfolio import TOP, Place, Portfolios, Wanted
from services.ledger.store.statements import Statements
from stockbroker.ledger.v1 import portfolio_service_pb2 as pb
from stockbroker.ledger.v1.portfolio_service_pb2_grpc import PortfolioServiceServicer

_PAGE_SIZE = 50
_MOST_PAGE_SIZE = 1_000


class PortfolioServicer(StatementReading, PortfolioServiceServicer):
    """Shows what customers own."""

    def __init__(self, portfolios: Portfolios, statements: Statements, public_key: bytes) -> None:
        self._portfolios = portfolios
        self._statements = statements
        self._public_key = public_key
        self._tokens: PageTokens | None = None

    async def GetPortfolio(
        self, request: pb.GetPortfolioRequest, context: Context
    ) -> pb.GetPortfolioResponse:
        name = deeds.account_of(owner(request.customer_id))
        moment = checked(lambda: journal_wire.moment_from(request))
        return wire.portfolio_to(await self._portfolios.accounts(name, moment))

    async def ListEntries(
        self, request: pb.ListEntriesRequest, context: Context
    ) -> pb.ListEntriesResponse:
        name = deeds.account_of(owner(request.customer_id))
        asset = checked(lambda: forms.an_asset(request.asset)) if request.asset else ""
        moment = checked(lambda: journal_wire.moment_from(request))
        size = _page_size(request.page_size)
        tokens, scope = await self._page_tokens(), f"entries/{name}/{asset}/{moment.scope}"
        after = TOP
        if request.page_token:
            numbers = tokens.open(scope, request.page_token).split(".")
            after = Place(*map(int, numbers))
        wanted = Wanted(name=name, asset=asset, moment=moment, after=after, count=size + 1)
        entries, archived_until = await self._portfolios.entries(wanted)
        page = entries[:size]
        token = ""
        if len(entries) > size:
            last = page[-1].place
            token = tokens.seal(scope, f"{last.transfer_seq}.{last.account_id}.{last.version}")
        response = pb.ListEntriesResponse(entries=map(wire.entry_to, page), next_page_token=token)
        if archived_until is not None:
            set_moment(response.archived_until, archived_until)
        return response

    async def _page_tokens(self) -> PageTokens:
        if self._tokens is None:
            self._tokens = PageTokens(await self._portfolios.page_token_key())
        return self._tokens


def _page_size(asked: int) -> int:
    if not 0 <= asked <= _MOST_PAGE_SIZE:
        raise Invalid(
            Reason.REASON_INVALID_PAGE_SIZE,
            f"page_size must be 0 to {_MOST_PAGE_SIZE}",
            field="page_size",
        )
    return asked or _PAGE_SIZE
