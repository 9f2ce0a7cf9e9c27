"""OrderControlService: where operators say what is looked at before a trade is let through."""

from libs.auth import caller
from libs.clock import Clock
from libs.rpc import Context
from services.order import controls_wire as wire
from services.order import refusals
from services.order.database import Change, Connection, Database
from services.order.domain.controls.changing import check_change, check_scope
from services.order.domain.controls.setting import Scope, Setting
from services.order.guard import Guard
from stockbroker.order.v1 import order_control_service_pb2 as pb
from stockbroker.order.v1.order_control_service_pb2_grpc import OrderControlServiceServicer

_DEFAULT_PAGE = 100
_MAX_PAGE = 1000


class ControlsService(OrderControlServiceServicer):
    """See the contract for each method."""

    def __init__(self, database: Database, guard: Guard, clock: Clock) -> None:
        self._database = database
        self._guard = guard
        self._clock = clock

    async def SetControl(
        self, request: pb.SetControlRequest, context: Context
    ) -> pb.SetControlResponse:
        asked = wire.change_from(request, actor=caller().subject, at=self._clock.now())
        change = check_change(asked)

        async def record(connection: Connection) -> Setting:
            return await self._guard.record(connection, change)

        setting = await self._database.run(Change.APPLY, record)
        await self._refresh()
        return pb.SetControlResponse(setting=wire.setting_to(setting))

    async def ListControls(
        self, request: pb.ListControlsRequest, context: Context
    ) -> pb.ListControlsResponse:
        check_scope(Scope(request.customer_id, request.symbol))
        control = wire.control_from(request.control) if request.control else None
        size = _page(request.page_size)
        await self._refresh()
        book = self._guard.book
        found = book.standing(self._clock.now())
        if request.history:
            before = request.before_version or book.version + 1
            found = [each for each in reversed(book.settings) if each.version < before]
        asked = [
            each
            for each in found
            if control in (None, each.terms.control)
            and request.customer_id in ("", each.terms.scope.customer_id)
            and request.symbol in ("", each.terms.scope.symbol)
        ]
        settings = asked[:size] if request.history else asked
        return pb.ListControlsResponse(
            settings=map(wire.setting_to, settings), version=book.version
        )

    async def _refresh(self) -> None:
        async with self._database.connection() as connection:
            await self._guard.refresh(connection)


def _page(size: int) -> int:
    """How many are meant. Raises Invalid."""
    if not 0 <= size <= _MAX_PAGE:
        raise refusals.invalid_page_size()
    return size or _DEFAULT_PAGE
