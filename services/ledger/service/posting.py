"""For services and operators: the one general operation, and what became of it."""

from libs.auth import caller
from libs.reasons import Reason
from libs.refusals import Invalid
from libs.rpc import Context
from services.ledger import journal_wire
from services.ledger.domain import forms
from services.ledger.domain.forms import Malformed
from services.ledger.service.asking import checked, take_all
from services.ledger.store.history import History
from services.ledger.writer import Writer
from stockbroker.ledger.v1 import posting_pb2 as pb

_MOST_IDS = 1_000


class Posting:
    """Moves anything between any accounts."""

    _writer: Writer
    _history: History

    async def PostTransfers(
        self, request: pb.PostTransfersRequest, context: Context
    ) -> pb.PostTransfersResponse:
        actor = caller().subject
        asked = list(request.transfers)
        results = await take_all(
            self._writer, asked, lambda t: journal_wire.transfer_from(t, actor=actor)
        )
        return pb.PostTransfersResponse(
            results=[
                journal_wire.malformed_to(item.transfer_id, result)
                if isinstance(result, Malformed)
                else journal_wire.result_to(result)
                for item, result in zip(asked, results, strict=True)
            ]
        )

    async def GetTransfers(
        self, request: pb.GetTransfersRequest, context: Context
    ) -> pb.GetTransfersResponse:
        asked = request.transfer_ids
        if not 1 <= len(asked) <= _MOST_IDS:
            raise Invalid(Reason.REASON_INVALID_REQUEST, f"a call takes 1 to {_MOST_IDS} ids")
        ids = checked(lambda: [forms.an_id(id_, field="transfer_ids") for id_ in asked])
        found = await self._history.transfers(ids)
        return pb.GetTransfersResponse(
            transfers=[journal_wire.recorded_to(found[id_]) for id_ in ids if id_ in found]
        )
