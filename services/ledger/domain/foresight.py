"""The books as they will be once a batch is written that was decided but is not committed yet."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from services.ledger.domain.books import Recorded, Result, State, Writes
from services.ledger.domain.chain import Chained
from services.ledger.domain.operations import Operation


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch of operations came to."""

    results: list[Result]
    writes: Writes
    chained: Chained | None  # None: there is nothing to write


def foreseen(state: State, decided: Decided, operations: Sequence[Operation]) -> State:
    """`state`, read while `decided` was being written, as it is thereafter.

    Each row of it may have been read before the commit or after: `decided` says how it is then, and
    what it does not name it did not change. `operations` are those that the state was read for.
    """
    writes, chained = decided.writes, decided.chained
    if chained is None:
        return state
    head = replace(writes.after, batch_seq=chained.batch.seq, batch_hash=chained.batch.hash)
    transfers = {t.result.id: t for t in writes.transfers}
    again = [transfers[o.id] for o in operations if o.id in transfers]
    return State(
        head=head,
        accounts={**state.accounts, **{a.key: a for a in (*writes.opened, *writes.changed)}},
        hashes=chained.accounts,
        database_at=state.database_at,
        holds={**state.holds, **{h.id: h for h in (*writes.placed, *writes.drawn)}},
        recorded={
            **state.recorded,
            **{t.result.id: Recorded(t.fingerprint, t.result) for t in again},
        },
        restraints={**state.restraints, **writes.restraints},
        reversed=state.reversed.union(
            t.reverses
            for t in writes.transfers
            if t.reverses is not None and t.kind.undoes and not t.result.reason
        ),
    )
