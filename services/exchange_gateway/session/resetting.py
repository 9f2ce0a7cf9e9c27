"""An operator agrees to go on from the venue's own numbers."""

import psycopg
import structlog

from libs.postgres import Lane
from libs.refusals import Refused
from services.exchange_gateway.domain.numbers import Numbers
from services.exchange_gateway.domain.operators import Deed, Signature
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.store.operators import Action, OperatorStore
from services.exchange_gateway.store.progress import Step
from services.exchange_gateway.store.reports import ReportStore
from stockbroker.common.v1.reason_pb2 import Reason

_log = structlog.get_logger()


class Resetting:
    """Good for the very numbers that were agreed to, and until the next logon that gives them."""

    def __init__(self, floor: Floor, lane: Lane) -> None:
        self._floor = floor
        self._lane = lane

    async def agree(self, theirs: Numbers, signature: Signature) -> None:
        """Let the session go on from there. Raises Refused, Unavailable."""
        board = self._floor.board
        if board.theirs != theirs:
            stands = f"by the exchange {board.theirs.words}" if board.theirs else "it is in step"
            raise Refused(
                Reason.REASON_INVALID_SEQUENCE, f"the session does not stand there: {stands}"
            )
        if board.agreed == theirs:
            return
        detail = f"commands from {theirs.next_command_seq}, reports from {theirs.next_report_seq}"
        action = Action(Deed.RESET_SESSION, signature, detail=f"{detail}: {board.trouble}")
        seat = self._floor.seat

        async def record(connection: psycopg.AsyncConnection) -> None:
            await ReportStore(connection, seat).lock(Step.STORED)
            await OperatorStore(connection, seat.session_id).record(action)

        await self._lane.run(record)
        board.agreed = theirs
        _log.warning("session_reset_agreed", detail=detail)
