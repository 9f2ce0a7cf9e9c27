"""The doors of the ledger: LedgerService for the house, PortfolioService for customers."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from libs.auth import Role, caller
from libs.page_token import PageTokens
from libs.reasons import Reason
from libs.refusals import AlreadyExists, Denied, Invalid, Refused
from libs.rpc import Context
from services.ledger import wire
from services.ledger.domain import deeds, forms
from services.ledger.domain.books import Result
from services.ledger.domain.forms import Malformed
from services.ledger.domain.operations import Operation, Post
from services.ledger.store.portfolio import TOP, Place, Portfolios
from services.ledger.writer import Writer
from stockbroker.ledger.v1 import ledger_service_pb2 as pb
from stockbroker.ledger.v1 import portfolio_service_pb2 as portfolio_pb
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceServicer
from stockbroker.ledger.v1.portfolio_service_pb2_grpc import PortfolioServiceServicer

Item = TypeVar("Item")

LEDGER = "stockbroker.ledger.v1.LedgerService"
PORTFOLIO = "stockbroker.ledger.v1.PortfolioService"
_TRADING = "execution"  # the one service that trades for customers
_INTERNAL = frozenset({Role.SERVICE})
_OPERATORS = frozenset({Role.OPERATOR})
_OWNERS = frozenset({Role.CUSTOMER, Role.OPERATOR})
ALLOW = {
    f"/{LEDGER}/PlaceHolds": _INTERNAL,
    f"/{LEDGER}/ReleaseHolds": _INTERNAL,
    f"/{LEDGER}/PostExecutions": _INTERNAL,
    f"/{LEDGER}/Deposit": _OPERATORS,
    f"/{LEDGER}/DepositShares": _OPERATORS,
    f"/{PORTFOLIO}/GetPortfolio": _OWNERS,
    f"/{PORTFOLIO}/ListEntries": _OWNERS,
}
# The writer logs one line per batch of these.
QUIET = frozenset(method for method, roles in ALLOW.items() if roles is _INTERNAL)

MOST_ITEMS = 5_000
_PAGE_SIZE = 50
_MOST_PAGE_SIZE = 1_000


class LedgerServicer(LedgerServiceServicer):
    """Moves money and shares."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def PlaceHolds(
        self, request: pb.PlaceHoldsRequest, context: Context
    ) -> pb.PlaceHoldsResponse:
        results = await self._take(request.holds, wire.place_hold_from, lambda h: h.hold_id)
        return pb.PlaceHoldsResponse(results=results)

    async def ReleaseHolds(
        self, request: pb.ReleaseHoldsRequest, context: Context
    ) -> pb.ReleaseHoldsResponse:
        results = await self._take(request.releases, wire.release_from, lambda r: r.hold_id)
        return pb.ReleaseHoldsResponse(results=results)

    async def PostExecutions(
        self, request: pb.PostExecutionsRequest, context: Context
    ) -> pb.PostExecutionsResponse:
        results = await self._take(
            request.executions, wire.execution_from, lambda e: e.execution_id
        )
        return pb.PostExecutionsResponse(results=results)

    async def Deposit(self, request: pb.DepositRequest, context: Context) -> pb.DepositResponse:
        post = _checked(lambda: wire.deposit_from(request, operator=caller().subject))
        return pb.DepositResponse(balance=await self._bring_in(post))

    async def DepositShares(
        self, request: pb.DepositSharesRequest, context: Context
    ) -> pb.DepositSharesResponse:
        post = _checked(lambda: wire.deposit_shares_from(request, operator=caller().subject))
        return pb.DepositSharesResponse(balance=await self._bring_in(post))

    async def _take(
        self,
        items: Iterable[Item],
        operation_of: Callable[[Item], Operation],
        id_of: Callable[[Item], str],
    ) -> list[pb.ItemResult]:
        """One result per item, in order; a malformed one is answered and harms no other."""
        if caller().subject != _TRADING:
            raise Denied(Reason.REASON_PERMISSION_DENIED, "this service may not trade")
        asked: list[tuple[str, Operation | Malformed]] = []
        for item in items:
            try:
                asked.append((id_of(item), operation_of(item)))
            except Malformed as fault:
                asked.append((id_of(item), fault))
        if len(asked) > MOST_ITEMS:
            raise Invalid(Reason.REASON_INVALID_REQUEST, f"a call takes at most {MOST_ITEMS} items")
        operations = [what for _, what in asked if not isinstance(what, Malformed)]
        results = iter(await self._writer.take(operations))
        return [
            wire.malformed_to(item_id, what)
            if isinstance(what, Malformed)
            else wire.result_to(item_id, next(results))
            for item_id, what in asked
        ]

    async def _bring_in(self, post: Post) -> pb.Balance:
        """The customer's balance after it. Raises what it is refused for."""
        result = (await self._writer.take([post]))[0]
        if result.reason:
            raise _refusal(result)
        return wire.customer_balances_to(result)[0]


class PortfolioServicer(PortfolioServiceServicer):
    """Shows what customers own."""

    def __init__(self, portfolios: Portfolios) -> None:
        self._portfolios = portfolios
        self._tokens: PageTokens | None = None

    async def GetPortfolio(
        self, request: portfolio_pb.GetPortfolioRequest, context: Context
    ) -> portfolio_pb.GetPortfolioResponse:
        name = deeds.account_of(_owner(request.customer_id))
        return wire.portfolio_to(await self._portfolios.accounts(name))

    async def ListEntries(
        self, request: portfolio_pb.ListEntriesRequest, context: Context
    ) -> portfolio_pb.ListEntriesResponse:
        name = deeds.account_of(_owner(request.customer_id))
        asset = _checked(lambda: forms.an_asset(request.asset)) if request.asset else ""
        size = _page_size(request.page_size)
        tokens, scope = await self._page_tokens(), f"entries/{name}/{asset}"
        after = TOP
        if request.page_token:
            numbers = tokens.open(scope, request.page_token).split(".")
            after = Place(*map(int, numbers))
        entries = await self._portfolios.entries(name, asset=asset, after=after, count=size + 1)
        page = entries[:size]
        token = ""
        if len(entries) > size:
            last = page[-1].place
            token = tokens.seal(scope, f"{last.transfer_seq}.{last.account_id}.{last.version}")
        return portfolio_pb.ListEntriesResponse(
            entries=map(wire.entry_to, page), next_page_token=token
        )

    async def _page_tokens(self) -> PageTokens:
        if self._tokens is None:
            self._tokens = PageTokens(await self._portfolios.page_token_key())
        return self._tokens


def _owner(customer_id: str) -> str:
    """Whose accounts are asked for: the caller's own, or those of the one an operator names."""
    if caller().role is Role.OPERATOR:
        return _checked(lambda: forms.a_customer(customer_id))
    if customer_id:
        raise Denied(Reason.REASON_PERMISSION_DENIED, "only operators may name a customer")
    return caller().subject


def _page_size(asked: int) -> int:
    if not 0 <= asked <= _MOST_PAGE_SIZE:
        raise Invalid(
            Reason.REASON_INVALID_PAGE_SIZE,
            f"page_size must be 0 to {_MOST_PAGE_SIZE}",
            field="page_size",
        )
    return asked or _PAGE_SIZE


Checked = TypeVar("Checked")


def _checked(read: Callable[[], Checked]) -> Checked:
    """What `read` gives; its faults of form as a refusal of the call."""
    try:
        return read()
    except Malformed as fault:
        raise Invalid(fault.reason, fault.text, field=fault.field) from None


def _refusal(result: Result) -> AlreadyExists | Refused:
    """Why the single operation of a call was not done."""
    if result.reason == Reason.REASON_EXISTS_DIFFERENT:
        return AlreadyExists(
            Reason.REASON_EXISTS_DIFFERENT, "deposit_id was used before with other terms"
        )
    if result.reason == Reason.REASON_BALANCE_OVERFLOW:
        return Refused(Reason.REASON_BALANCE_OVERFLOW, "the balance would become too large")
    if result.reason == Reason.REASON_ACCOUNT_NOT_OPEN:
        return Refused(Reason.REASON_ACCOUNT_NOT_OPEN, "the account is frozen or closed")
    raise AssertionError(f"an operation alone gave {Reason.Name(result.reason)}")
