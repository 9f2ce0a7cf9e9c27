"""What shares cost, by average cost, in whole micros."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.ledger.domain.operations import leg
from tests.ledger.memory import (
    CLEARING,
    DONE,
    SHARES,
    Books,
    group,
    opened,
    paid_in,
    paid_out,
)


def test_average_cost_is_rounded_down_and_the_last_share_takes_the_rest() -> None:
    books = opened(paid_in(3, SHARES, cost=100))
    costs = []
    for number in range(3):
        assert books.reasons(paid_out(1, SHARES, called=str(number))) == [DONE]
        costs.append(books.accounts[SHARES].cost_micros)
    assert costs == [67, 34, 0]


def test_no_more_cost_is_given_than_is_left() -> None:
    books = opened(paid_in(10, SHARES, cost=100))
    dear = replace(leg(4, "AAPL", source=SHARES.name, target=CLEARING), cost_given_micros=150)
    assert books.reasons(group(dear)) == [DONE]
    assert books.accounts[SHARES].cost_micros == 0


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(1, 1000), st.integers(0, 10**9)),
            st.tuples(st.integers(-1000, -1), st.just(0)),
        ),
        max_size=30,
    )
)
def test_cost_stays_within_a_micro_per_sale_of_the_exact_average(
    moves: list[tuple[int, int]],
) -> None:
    books, owned, exact, slack = Books(), 0, Fraction(0), 0
    for number, (quantity, cost) in enumerate(moves):
        if quantity > 0:
            books.take(paid_in(quantity, SHARES, called=str(number), cost=cost))
            owned, exact = owned + quantity, exact + cost
        elif owned >= -quantity:
            books.take(paid_out(-quantity, SHARES, called=str(number)))
            exact -= exact * -quantity / owned
            owned, slack = owned + quantity, slack + 1
    if owned:
        account = books.accounts[SHARES]
        assert account.posted == owned
        assert abs(account.cost_micros - exact) <= slack
    elif SHARES in books.accounts:
        assert books.accounts[SHARES].cost_micros == 0
