"""How operations fall into batches makes no difference."""

from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain.books import AccountKey
from services.ledger.domain.operations import Operation, Post
from tests.ledger.memory import ALICE, SHARES, Books, drawn, group, held, paid_in, released


def a_draw(amount: int, key: AccountKey, called: str, hold: str, rest: bool) -> Post:
    return group(drawn(amount, key), called=called, hold=hold, rest=rest)


operations_ = st.one_of(
    st.builds(
        paid_in,
        st.integers(1, 9),
        st.sampled_from([ALICE, SHARES]),
        called=st.sampled_from("abc"),
        cost=st.just(0),
    ),
    st.builds(
        held, st.integers(0, 9), st.sampled_from([ALICE, SHARES]), called=st.sampled_from("hi")
    ),
    st.builds(released, st.sampled_from("hi"), called=st.sampled_from("rs")),
    st.builds(
        a_draw,
        st.integers(1, 9),
        st.sampled_from([ALICE, SHARES]),
        st.sampled_from("def"),
        st.sampled_from("hi"),
        st.booleans(),
    ),
)


@given(st.lists(operations_, max_size=25), st.data())
def test_a_batch_comes_to_the_same_as_its_operations_one_by_one(
    operations: list[Operation], data: st.DataObject
) -> None:
    singly = Books()
    expected = [singly.take(operation)[0] for operation in operations]

    batched, results, rest = Books(), [], operations
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        results += batched.take(*rest[:size])
        rest = rest[size:]

    assert results == expected
    assert (batched.head, batched.accounts) == (singly.head, singly.accounts)
    assert (batched.holds, batched.recorded) == (singly.holds, singly.recorded)
    entries = [entry for writes in batched.writes for entry in writes.entries]
    assert entries == [entry for writes in singly.writes for entry in writes.entries]
