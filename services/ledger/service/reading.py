"""For whoever looks at the books: the journal, balances at any time, invariants."""

from collections.abc import AsyncIterator

from libs.fills import columns_of
from libs.reasons import Reason
from libs.refusals import Invalid
from libs.rpc import Context
from services.ledger import bookings_wire, journal_wire
from services.ledger.auditor import Auditor
from services.ledger.domain import forms
from services.ledger.domain.books import AccountKey
from services.ledger.service.asking import checked
from services.ledger.store.bookings import Bookings
from services.ledger.store.history import History
from services.ledger.store.portfolio import Portfolios
from services.ledger.store.stored import End
from stockbroker.ledger.v1 import booked_execution_pb2, invariant_pb2, journal_pb2, posting_pb2

_TRANSFERS_AT_ONCE = 500
_RECORDS_AT_ONCE = 1_000
_LAST_SEQ = 2**63 - 1


class Reading:
    """Shows the books."""

    _history: History
    _portfolios: Portfolios
    _auditor: Auditor
    _bookings: Bookings

    async def GetInvariants(
        self, request: invariant_pb2.GetInvariantsRequest, context: Context
    ) -> AsyncIterator[invariant_pb2.GetInvariantsResponse]:
        yield journal_wire.look_to(await self._auditor.look(full=request.full))
        while request.follow:
            yield journal_wire.look_to(await self._auditor.next_look())

    async def GetBalance(
        self, request: posting_pb2.GetBalanceRequest, context: Context
    ) -> posting_pb2.GetBalanceResponse:
        name = checked(lambda: forms.an_account(request.account, field="account"))
        key = AccountKey(name, checked(lambda: forms.an_asset(request.asset)))
        moment = checked(lambda: journal_wire.moment_from(request))
        account, state = await self._portfolios.balance(key, moment)
        return journal_wire.account_to(account, state)

    async def ListBookedExecutions(
        self, request: booked_execution_pb2.ListBookedExecutionsRequest, context: Context
    ) -> booked_execution_pb2.ListBookedExecutionsResponse:
        after, limit = checked(lambda: bookings_wire.window_from(request))
        until = after + limit
        found = await self._bookings.between(after, until, apart=request.in_columns)
        if request.with_archived and after < found.archived_seq:
            found = await self._bookings.archived(after, until)
        return booked_execution_pb2.ListBookedExecutionsResponse(
            executions=map(bookings_wire.booked_to, found.bookings),
            columns=columns_of(found.venue, found.fills) if request.in_columns else None,
            next_after_seq=min(found.until, found.end),
            reaches_end=found.end <= found.until,
            archived_seq=found.archived_seq,
        )

    async def ListJournal(
        self, request: journal_pb2.ListJournalRequest, context: Context
    ) -> AsyncIterator[journal_pb2.ListJournalResponse]:
        if request.after_seq < 0:
            raise Invalid(
                Reason.REASON_INVALID_SEQUENCE, "after_seq is negative", field="after_seq"
            )
        if request.last < 0:
            raise Invalid(Reason.REASON_INVALID_REQUEST, "last is negative", field="last")
        end = await self._history.end()
        after = request.after_seq
        if request.last:
            after = max(after, end.transfer_seq - request.last)
        while after < end.transfer_seq:
            until = min(after + _TRANSFERS_AT_ONCE, end.transfer_seq)
            if request.only_entries:
                records = await self._entries(after, until)
            else:
                records = await self._records(after, until, end)
            for first in range(0, len(records), _RECORDS_AT_ONCE):
                chunk = records[first : first + _RECORDS_AT_ONCE]
                yield journal_pb2.ListJournalResponse(records=chunk)
            after = until

    async def _entries(self, after: int, until: int) -> list[journal_pb2.JournalRecord]:
        return [
            record
            for transfer in await self._history.range(after, until)
            for record in journal_wire.records_of(transfer)[1:]
        ]

    async def _records(self, after: int, until: int, end: End) -> list[journal_pb2.JournalRecord]:
        """Every kind of row, each where it belongs."""
        batches = {b.last_seq: b for b in await self._history.batches(after, until)}
        # Whatever a checkpoint says, it is told.
        last = until if until < end.transfer_seq else _LAST_SEQ
        checkpoints = await self._history.checkpoints(after, last, newest=end.checkpoint_seq)
        seals = {checkpoint.last_transfer_seq: checkpoint for checkpoint in checkpoints}
        transfers = {t.record.seq: t for t in await self._history.range(after, until)}
        records = []
        for seq in sorted({*transfers, *batches, *seals}):  # each on its own, if rows were removed
            if seq in transfers:
                records += journal_wire.records_of(transfers[seq])
            if seq in batches:
                batch = journal_wire.batch_to(batches[seq])
                records.append(journal_pb2.JournalRecord(batch=batch))
            if seq in seals:
                checkpoint = journal_wire.checkpoint_to(seals[seq])
                records.append(journal_pb2.JournalRecord(checkpoint=checkpoint))
        return records
