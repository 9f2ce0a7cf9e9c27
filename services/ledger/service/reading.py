"""For whoever looks at the books: the journal, balances at any time, invariants."""

from collections.abc import AsyncIterator

from libs.reasons import Reason
from libs.refusals import Invalid
from libs.rpc import Context
from services.ledger import journal_wire
from services.ledger.domain import forms
from services.ledger.domain.books import AccountKey
from services.ledger.service.asking import checked
from services.ledger.store.history import History
from services.ledger.store.portfolio import Portfolios
from stockbroker.ledger.v1 import journal_pb2, posting_pb2

_TRANSFERS_AT_ONCE = 500
_RECORDS_AT_ONCE = 1_000


class Reading:
    """Shows the books."""

    _history: History
    _portfolios: Portfolios

    async def GetBalance(
        self, request: posting_pb2.GetBalanceRequest, context: Context
    ) -> posting_pb2.GetBalanceResponse:
        name = checked(lambda: forms.an_account(request.account, field="account"))
        key = AccountKey(name, checked(lambda: forms.an_asset(request.asset)))
        moment = checked(lambda: journal_wire.moment_from(request))
        account, state = await self._portfolios.balance(key, moment)
        return journal_wire.account_to(account, state)

    async def ListJournal(
        self, request: journal_pb2.ListJournalRequest, context: Context
    ) -> AsyncIterator[journal_pb2.ListJournalResponse]:
        if request.after_seq < 0:
            raise Invalid(
                Reason.REASON_INVALID_SEQUENCE, "after_seq is negative", field="after_seq"
            )
        after, end = request.after_seq, await self._history.head()
        while after < end:
            until = min(after + _TRANSFERS_AT_ONCE, end)
            if request.only_entries:
                records = await self._entries(after, until)
            else:
                records = await self._records(after, until)
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

    async def _records(self, after: int, until: int) -> list[journal_pb2.JournalRecord]:
        """Every kind of row, each where it belongs."""
        batches = {b.last_seq: b for b in await self._history.batches(after, until)}
        seals = {c.last_transfer_seq: c for c in await self._history.checkpoints(after, until)}
        records = []
        for transfer in await self._history.range(after, until):
            records += journal_wire.records_of(transfer)
            batch, seal = batches.get(transfer.record.seq), seals.get(transfer.record.seq)
            if batch is not None:
                row = journal_wire.batch_to(batch)
                records.append(journal_pb2.JournalRecord(batch=row))
            if seal is not None:
                signed = journal_wire.checkpoint_to(seal)
                records.append(journal_pb2.JournalRecord(checkpoint=signed))
        return records
