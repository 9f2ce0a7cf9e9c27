"""Is what clients saw of a ledger strictly serializable? A checker in the manner of Elle.

Every answer names accounts with their versions, so what happened can be recovered and need not be
searched for: the journal says who wrote which version of which account, and from that follows who
came before whom. A history is strictly serializable if all of that, and the order of what did not
overlap in time, can be put into one line: if there is no cycle.

    ww  who wrote version v of an account comes before who wrote v + 1
    wr  who wrote version v comes before who saw it
    rw  who saw version v comes before who wrote v + 1
    rt  what returned before something else was called comes before it
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple


class Seen(NamedTuple):
    """An account as an answer names it."""

    account: str
    version: int  # 0: it was not there
    balance: int


class Op(NamedTuple):
    """What a client asked, however many calls it took, and what it was told.

    A refused write reads the accounts it names. Times are of one clock that never stands still.
    """

    id: str  # of a write that of its transfer; of a read any that nobody else has
    invoked: int  # when it was called first
    returned: int | None  # when it was answered; None: nobody knows what came of it
    seen: tuple[Seen, ...] = ()
    is_write: bool = True
    reason: int = 0


class Step(NamedTuple):
    """One entry of the journal."""

    account: str
    version: int
    amount: int
    balance: int


class Record(NamedTuple):
    """One transfer of the journal, refused ones included."""

    id: str
    reason: int
    steps: tuple[Step, ...]


Node = str | int  # an op by its id, or a barrier by its number
Edges = dict[Node, dict[Node, str]]
MOST_NAMED = 10


def faults_of(ops: Sequence[Op], journal: Sequence[Record]) -> list[str]:
    """What is wrong, in words; nothing, if clients saw what one ledger in one order would say."""
    told = [
        *_doubles(journal),
        *_broken_chains(journal),
        *_wrong_answers(ops, journal),
        *_wrong_sights(ops, journal),
    ]
    cycle = _cycle(_edges(ops, journal))
    if cycle:
        told.append("no order fits: " + " ".join(cycle))
    return told


def _doubles(journal: Sequence[Record]) -> Iterator[str]:
    for id_, count in Counter(record.id for record in journal).items():
        if count > 1:
            yield f"{id_} was applied {count} times"


def _broken_chains(journal: Sequence[Record]) -> Iterator[str]:
    """Versions with a gap or a fork, and balances that do not follow: something was overwritten."""
    steps: dict[str, list[Step]] = defaultdict(list)
    for record in journal:
        for step in record.steps:
            steps[step.account].append(step)
    for account, mine in steps.items():
        before = Step(account, 0, 0, 0)
        for step in sorted(mine, key=lambda s: s.version):
            if step.version != before.version + 1 or step.balance != before.balance + step.amount:
                yield f"{account}: version {step.version} does not follow {before.version}"
            before = step


def _wrong_answers(ops: Sequence[Op], journal: Sequence[Record]) -> Iterator[str]:
    reasons = {record.id: record.reason for record in journal}
    for op in ops:
        if op.is_write and op.returned is not None:
            if op.id not in reasons:
                yield f"{op.id} was acknowledged and is not there"
            elif op.reason != reasons[op.id]:
                yield f"{op.id} was answered {op.reason} and is recorded as {reasons[op.id]}"


def _wrong_sights(ops: Sequence[Op], journal: Sequence[Record]) -> Iterator[str]:
    balances = {(s.account, s.version): s.balance for r in journal for s in r.steps}
    for op in ops:
        for seen in op.seen:
            if balances.get(seen[:2], 0 if seen.version == 0 else None) != seen.balance:
                yield f"{op.id} saw {seen}, which never was"


def _edges(ops: Sequence[Op], journal: Sequence[Record]) -> Edges:
    """Who comes before whom, and why."""
    edges: Edges = defaultdict(dict)
    writers = {(s.account, s.version): r.id for r in journal for s in r.steps}
    for (account, version), writer in writers.items():
        _add(edges, writer, writers.get((account, version + 1)), f"ww {account} {version}")
    for op in ops:
        for account, version, _ in op.seen:
            _add(edges, writers.get((account, version)), op.id, f"wr {account} {version}")
            _add(edges, op.id, writers.get((account, version + 1)), f"rw {account} {version}")
    _add_time(edges, ops, known={record.id for record in journal})
    return edges


def _add(edges: Edges, before: Node | None, after: Node | None, why: str) -> None:
    if before is not None and after is not None and before != after:
        edges[before].setdefault(after, why)


def _add_time(edges: Edges, ops: Sequence[Op], known: set[str]) -> None:
    """A chain of barriers, one per return: so that edges are as many as ops, not as pairs of them.

    What nobody knows the end of has a beginning all the same, if it is on record.
    """
    moments = [(op.invoked, 0, op.id) for op in ops if op.returned is not None or op.id in known]
    moments += [(op.returned, 1, op.id) for op in ops if op.returned is not None]
    barrier = 0
    for _, is_return, id_ in sorted(moments):
        if is_return:
            _add(edges, barrier, barrier + 1, "rt")
            barrier += 1
            _add(edges, id_, barrier, "rt")
        else:
            _add(edges, barrier, id_, "rt")


def _cycle(edges: Edges) -> list[str]:
    """A way round, if there is one: what is left when whoever has nobody before is gone."""
    open_ = Counter(after for afters in edges.values() for after in afters)
    free = [node for node in edges if not open_[node]]
    gone = set(free)
    while free:
        for after in edges.get(free.pop(), ()):
            open_[after] -= 1
            if not open_[after]:
                gone.add(after)
                free.append(after)
    left = {node: [a for a in afters if a not in gone] for node, afters in edges.items()}
    left = {node: afters for node, afters in left.items() if node not in gone and afters}
    return _named(edges, _way_round(left)) if left else []


def _way_round(left: dict[Node, list[Node]]) -> list[Node]:
    """Back from any node to where one came by before: each that is left has one left before it."""
    before = {after: node for node, afters in left.items() for after in afters}
    way, node = [next(iter(left))], before[next(iter(left))]
    while node not in way:
        way.append(node)
        node = before[node]
    return [*way[way.index(node) :], node][::-1]


def _named(edges: Edges, way: Sequence[Node]) -> list[str]:
    """Ops and why each comes before the next; barriers are not worth a word."""
    words = [str(way[0])] if isinstance(way[0], str) else []
    for node, after in pairwise(way):
        if isinstance(after, str):
            words += [f"-({edges[node][after]})->", after]
    return words[: 2 * MOST_NAMED]
