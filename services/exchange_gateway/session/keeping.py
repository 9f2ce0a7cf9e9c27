"""Keeps the session with the venue up: logs on, sends, hears, and comes back for ever."""

from typing import NoReturn

import structlog
from prometheus_client import Counter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from libs.postgres import Pool
from services.exchange_gateway.domain import Command
from services.exchange_gateway.domain.numbers import Numbers, out_of_step
from services.exchange_gateway.session.comparing import Comparing
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.session.lapsing import Lapsing
from services.exchange_gateway.session.reporting import Reporting
from services.exchange_gateway.session.submission import Submission
from services.exchange_gateway.session.together import together
from services.exchange_gateway.store.session import SessionStore
from services.exchange_gateway.venues import (
    CommandsKept,
    LoggedOn,
    ReportsHeard,
    VenueAway,
    VenueOutOfStep,
    VenueStream,
    VenueUnheard,
)

_MOST = 500
_STEADY_SECONDS = 1.0
_sent = Counter("gateway_commands_sent", "Commands sent, repeats after a logon counted again")
_logons = Counter("gateway_session_logons", "Logons the venue answered")
_log = structlog.get_logger()


class Keeping:
    """The one connection to the venue."""

    def __init__(  # noqa: PLR0913 - its parts
        self,
        floor: Floor,
        pool: Pool,
        reporting: Reporting,
        submission: Submission,
        *,
        lapsing: Lapsing,
        comparing: Comparing,
    ) -> None:
        self._floor = floor
        self._pool = pool
        self._reporting = reporting
        self._submission = submission
        self._lapsing = lapsing
        self._comparing = comparing

    async def run(self) -> NoReturn:
        """Work for ever: a session that held comes back at once, one that did not with backoff."""
        while True:
            await AsyncRetrying(
                retry=retry_if_exception_type(VenueAway),
                wait=wait_exponential(multiplier=0.05, max=self._floor.rhythm.retry_most_seconds),
                sleep=self._floor.clock.sleep,
                before_sleep=_tell,
            )(self._hold)

    async def _hold(self) -> None:
        """One connection from logon to its end. Raises VenueAway when it did not hold for long.

        A logon ends the session's older connection: a process that lost the session must not.
        """
        async with self._pool.connection() as connection:
            await SessionStore(connection, self._floor.seat.session_id).check(self._floor.seat)
        await self._reporting.start_over()
        began = self._floor.clock.monotonic()
        try:
            async with self._floor.venue.log_on(self._first_wanted()) as stream:
                await self._compare(stream.logged_on)
                await self._lapsing.never_got(stream.logged_on.next_command_seq)
                self._floor.board.connected(is_connected=True)
                await self._converse(stream)
        except VenueOutOfStep as error:
            self._floor.board.out_of_step(error.theirs, str(error))
            raise
        except VenueUnheard as error:
            self._floor.board.cannot_hear(str(error))
            raise
        except VenueAway as lost:
            if self._floor.clock.monotonic() - began < _STEADY_SECONDS:
                raise
            _log.warning("session_lost", error=str(lost))
        finally:
            self._floor.board.connected(is_connected=False)

    def _first_wanted(self) -> int:
        """The first report that is missing here, or that the venue will number anew."""
        ours, agreed = self._reporting.sequence.next_venue_seq, self._floor.board.agreed
        return min(ours, agreed.next_report_seq) if agreed else ours

    async def _compare(self, said: LoggedOn) -> None:
        """Hold what the venue has against what is stored here. Raises VenueOutOfStep.

        Numbers that no message under way explains are not guessed at: until an operator has agreed
        to the very numbers the venue gives, nothing is sent and nothing is taken.
        """
        sequence, commands, board = (
            self._reporting.sequence,
            self._floor.commands,
            self._floor.board,
        )
        _logons.inc()
        _log.info(
            "session_logged_on",
            venue=said.venue,
            venue_next_command=said.next_command_seq,
            next_command=commands.head,
            venue_next_report=said.next_report_seq,
            next_report=sequence.next_venue_seq,
        )
        why = out_of_step(Numbers(commands.head, sequence.next_venue_seq), said.numbers)
        if why and said.numbers != board.agreed:
            raise VenueOutOfStep(said.numbers, why)
        if said.next_command_seq <= board.kept_seq:
            _log.error("venue_lost_commands", kept=board.kept_seq)
        board.kept_seq = said.next_command_seq - 1
        if said.next_command_seq > commands.head:
            await self._submission.skip_to(said.next_command_seq)
        await self._remember(said)
        board.in_step()

    async def _remember(self, said: LoggedOn) -> None:
        """Keep how the venue's numbers relate to ours, which a report of the house's own moves."""
        seat, self._floor.board.venue_name = self._floor.seat, said.venue
        async with self._reporting.paused() as sequence, self._pool.connection() as connection:
            if said.next_report_seq < sequence.next_venue_seq:
                sequence.renumber(said.next_report_seq)
            store = SessionStore(connection, seat.session_id)
            await store.remember(seat, venue=said.venue, report_offset=sequence.offset)

    async def _converse(self, stream: VenueStream) -> None:
        """Send and hear until the connection ends. Raises VenueAway."""
        await together(
            self._send(stream),
            self._hear(stream),
            self._acknowledge(stream),
            self._heed(),
            self._comparing.run(stream.logged_on),
        )

    async def _send(self, stream: VenueStream) -> None:
        """Everything the venue lacks, then everything new."""
        next_seq = stream.logged_on.next_command_seq
        while True:
            commands = await self._floor.commands.read(next_seq, _MOST)
            await stream.send([self._sendable(command) for command in commands])
            next_seq = commands[-1].seq + 1
            _sent.inc(len(commands))

    def _sendable(self, command: Command) -> Command:
        """The command, or one that orders nothing when what became of the order is known.

        Only a venue that lost its memory lacks such a command, unless the house ended the order
        without the venue; to send it would execute it twice, or too late.
        """
        is_withdrawn = command.trade_id in self._floor.board.withdrawn
        if not command.is_answered and not is_withdrawn:
            return command
        tell = _log.info if is_withdrawn else _log.error
        tell("answered_order_not_sent", trade_id=command.trade_id, seq=command.seq)
        return Command(command.seq, command.trade_id, self._floor.venue.encode_nothing(command.seq))

    async def _hear(self, stream: VenueStream) -> NoReturn:
        async for said in stream.hear():
            self._floor.board.heard_at = self._floor.clock.monotonic()
            match said:
                case CommandsKept(command_seq=seq):
                    self._floor.board.kept_seq = max(seq, self._floor.board.kept_seq)
                case ReportsHeard(reports=reports):
                    self._floor.board.hears()
                    await self._reporting.take(reports)
        raise VenueAway("the venue ended the session")

    async def _acknowledge(self, stream: VenueStream) -> None:
        """Tell the venue what is stored: first of all everything, then whenever there is more."""
        stored, told = self._floor.board.stored, 1
        while True:
            told = await stored.beyond(told)
            await stream.acknowledge(told - 1 - self._reporting.sequence.offset)

    async def _heed(self) -> NoReturn:
        """End the connection when a part of this service asks for a new logon."""
        await self._floor.board.wants_logon.wait()
        raise VenueAway("a new logon was asked for")


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("venue_away", attempts=state.attempt_number, error=str(error))
