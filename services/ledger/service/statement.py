"""A customer's statement: entries with the proof that they are the journal's."""

import asyncio
from collections.abc import AsyncIterator

from libs.proof.merkle import path_to
from libs.rpc import Context
from services.ledger import journal_wire
from services.ledger.domain import deeds, forms
from services.ledger.domain.books import AccountKey
from services.ledger.service.asking import checked, owner
from services.ledger.store.statements import Opening, Sealed, Statements
from services.ledger.store.stored import StoredTransfer
from stockbroker.ledger.v1 import statement_pb2 as pb


class StatementReading:
    """Makes statements."""

    _statements: Statements
    _public_key: bytes

    async def GetStatement(
        self, request: pb.GetStatementRequest, context: Context
    ) -> AsyncIterator[pb.GetStatementResponse]:
        name = deeds.account_of(owner(request.customer_id))
        key = AccountKey(name, checked(lambda: forms.an_asset(request.asset)))
        start, end = checked(lambda: journal_wire.period_from(request))
        opening = await self._statements.opening(key, start, end)
        yield pb.GetStatementResponse(head=self._head(request, opening))
        told = 0
        async for sealed in self._statements.sealed(opening):
            if sealed.checkpoint.seq > told:
                told = sealed.checkpoint.seq
                checkpoint = journal_wire.checkpoint_to(sealed.checkpoint)
                yield pb.GetStatementResponse(checkpoint=checkpoint)
            for transfer in sealed.transfers:
                part = await asyncio.to_thread(_transfer, transfer, sealed, opening.account_id)
                yield pb.GetStatementResponse(transfer=part)

    def _head(self, request: pb.GetStatementRequest, opening: Opening) -> pb.StatementHead:
        head = pb.StatementHead(
            account=opening.key.name,
            asset=opening.key.asset,
            opening_version=opening.version,
            opening_balance=opening.balance,
            opening_hash=opening.hash,
            public_key=self._public_key,
        )
        journal_wire.copy_period(request, head)
        return head


def _transfer(stored: StoredTransfer, sealed: Sealed, account_id: int) -> pb.StatementTransfer:
    record = stored.record
    index = record.seq - sealed.first_seq
    own = [entry for entry in stored.entries if entry.account_id == account_id]
    return pb.StatementTransfer(
        transfer=journal_wire.transfer_to(stored),
        entries=[journal_wire.entry_to(entry, record.id, record.seq) for entry in own],
        leaves=[
            pb.StatementLeaf(version=entry.entry.version)
            if entry.account_id == account_id
            else pb.StatementLeaf(hash=entry.hash)
            for entry in stored.entries
        ],
        checkpoint_seq=sealed.checkpoint.seq,
        leaf_index=index,
        leaf_count=len(sealed.transfer_hashes),
        path=path_to(sealed.transfer_hashes, index),
    )
