"""The decision about a trade; pure."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from libs.reasons import Reason
from libs.refusals import Throttled
from services.order.domain.controls.checks import Outcome
from services.order.domain.controls.decision import ORDER, decide, explanation
from services.order.domain.controls.facts import Facts, Kept, case_of, pack, unpack
from services.order.domain.controls.gate import Gate, Market, Recent, Resting, likeness
from services.order.domain.controls.rates import Rates, spend
from services.order.domain.controls.setting import Action, Book, Control, Scope, Setting
from services.order.domain.controls.setting import Terms as ControlTerms
from services.order.domain.placing import Placement, place
from services.order.domain.terms import OrderType, Revision, Side, Terms, TimeInForce
from services.order.domain.trade import Replace, Standing, Trade

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
DOLLAR = 1_000_000
IDS = [f"019aa000-0000-7000-8000-00000000000{n}" for n in range(4)]


def setting(version: int, terms: ControlTerms, *, effective_at: datetime = AT) -> Setting:
    """As an operator recorded it."""
    return Setting(
        version=version,
        terms=terms,
        effective_at=effective_at,
        actor="operator",
        reason_text="a test",
        recorded_at=AT,
    )


def a_book(*terms: ControlTerms) -> Book:
    """All in force."""
    return Book(setting(number, each) for number, each in enumerate(terms, start=1))


def buy(**changes: object) -> Terms:
    """Buy 100 AAPL at $10 at most."""
    terms = {
        "symbol": "AAPL",
        "side": Side.BUY,
        "quantity": 100,
        "order_type": OrderType.LIMIT,
        "limit_price_micros": 10 * DOLLAR,
    }
    return Terms(**{**terms, **changes})  # type: ignore[arg-type]


MARKET = {"order_type": OrderType.MARKET, "limit_price_micros": 0}
COLLAR = ControlTerms(control=Control.PRICE_COLLAR, limit=500, seconds=60)
NOTIONAL = ControlTerms(control=Control.MAX_NOTIONAL, limit=1000 * DOLLAR, seconds=60)


def said(control: Control, terms: Terms, book: Book, facts: Facts = Facts()) -> Outcome:  # noqa: B008
    """What one control says."""
    decision = decide(case_of("alice", terms, book, AT, facts))
    return next(each.outcome for each in decision.checks if each.control is control)


@pytest.mark.parametrize(
    ("cents", "outcome"),
    [(950, Outcome.PASSED), (1050, Outcome.PASSED), (949, Outcome.FAILED), (1051, Outcome.FAILED)],
)
def test_a_limit_price_stays_within_the_collar_on_either_side(cents: int, outcome: Outcome) -> None:
    facts = Facts(last_price_micros=10 * DOLLAR, price_age_ms=60_000)
    terms = buy(limit_price_micros=cents * 10_000)
    assert said(Control.PRICE_COLLAR, terms, a_book(COLLAR), facts) is outcome


@pytest.mark.parametrize("terms", [buy(), buy(**MARKET)])
@pytest.mark.parametrize(
    "facts", [Facts(), Facts(last_price_micros=10 * DOLLAR, price_age_ms=60_001)]
)
def test_without_a_fresh_price_the_setting_says_what_happens(terms: Terms, facts: Facts) -> None:
    control = Control.PRICE_COLLAR if terms.limit_price_micros else Control.MAX_NOTIONAL
    strict, lenient = (
        ControlTerms(control=control, limit=500, seconds=60, passes_without_price=passes)
        for passes in (False, True)
    )
    assert said(control, terms, a_book(strict), facts) is Outcome.FAILED
    assert said(control, terms, a_book(lenient), facts) is Outcome.PASSED_WITHOUT_PRICE


def test_a_market_order_is_worth_the_last_price_and_has_no_collar() -> None:
    facts = Facts(last_price_micros=10 * DOLLAR + 1)
    book = a_book(NOTIONAL, COLLAR)
    assert said(Control.MAX_NOTIONAL, buy(**MARKET), book, facts) is Outcome.FAILED
    assert said(Control.PRICE_COLLAR, buy(**MARKET), book, facts) is Outcome.NOT_APPLICABLE
    assert said(Control.MAX_NOTIONAL, buy(), book, Facts()) is Outcome.PASSED


def test_a_setting_is_in_force_from_its_time_until_the_next_one() -> None:
    later = AT + timedelta(hours=1)
    first = ControlTerms(control=Control.MAX_QUANTITY, limit=1)
    second = ControlTerms(control=Control.MAX_QUANTITY, limit=2)
    book = Book([setting(1, second, effective_at=later), setting(2, first)])

    def limit_at(at: datetime) -> int:
        found = book.in_force("alice", "AAPL", at).get(Control.MAX_QUANTITY)
        return found.terms.limit if found else 0

    moments = (AT - timedelta(seconds=1), AT, later - timedelta(microseconds=1), later)
    assert [limit_at(at) for at in moments] == [0, 1, 1, 2]


def test_a_bucket_fills_evenly_and_no_fuller_than_full() -> None:
    rates, now = Rates(), 0
    rate = setting(1, ControlTerms(control=Control.CUSTOMER_RATE, limit=4, seconds=2))
    assert [rates.take([(rate, "alice")], now) for _ in range(4)] == [[3], [2], [1], [0]]
    assert rates.left(rate, "alice", now) == -1
    assert rates.take([(rate, "alice")], now + 500_000_000) == [0]
    assert rates.left(rate, "alice", now + 900_000_000_000) == 3


def test_a_token_costs_no_more_where_many_customers_have_spent_some() -> None:
    rates, rate = (
        Rates(),
        setting(1, ControlTerms(control=Control.CUSTOMER_RATE, limit=1, seconds=9)),
    )

    def cost(first: int) -> float:
        began = time.process_time()
        for number in range(first, first + 5_000):
            rates.take([(rate, f"customer-{number}")], 0)
        return time.process_time() - began

    few = cost(0)
    cost(5_000)
    assert cost(10_000) < 20 * few


def test_a_bucket_that_is_full_again_is_forgotten() -> None:
    rates, rate = (
        Rates(),
        setting(1, ControlTerms(control=Control.CUSTOMER_RATE, limit=1, seconds=9)),
    )
    for number in range(100_000):
        rates.take([(rate, f"customer-{number}")], number * 1_000_000_000)
    assert len(rates) < 20_000


@given(
    limit=st.integers(1, 50),
    seconds=st.integers(1, 50),
    gaps=st.lists(st.integers(0, 10**9), max_size=80),
)
def test_no_more_go_through_than_a_full_bucket_and_what_came_since(
    limit: int, seconds: int, gaps: list[int]
) -> None:
    full_at = now = taken = 0
    for gap in gaps:
        now += gap
        then, left = spend(full_at, now, limit=limit, seconds=seconds)
        if left >= 0:
            full_at, taken = then, taken + 1
        assert taken <= limit + now * limit // (seconds * 10**9) + 1


def test_one_rate_that_is_spent_takes_no_token_of_the_other() -> None:
    book = a_book(
        ControlTerms(control=Control.CUSTOMER_RATE, limit=5, seconds=60),
        ControlTerms(control=Control.SYMBOL_RATE, limit=1, seconds=60),
    )
    gate = Gate(book, Market(), Rates(), at=AT, nanos=0)
    gate.judge("alice", buy())
    with pytest.raises(Throttled):
        gate.judge("alice", buy())
    kept = gate.judge("alice", buy(symbol="MSFT")).kept
    assert (kept.facts.customer_rate_left, kept.facts.symbol_rate_left) == (3, 0)


def test_what_was_let_through_just_before_is_met_too() -> None:
    book = a_book(
        ControlTerms(control=Control.DUPLICATE_ORDER, seconds=60),
        ControlTerms(control=Control.SELF_TRADE),
    )
    wanted = [
        buy(),
        buy(),
        buy(side=Side.SELL),
        buy(side=Side.SELL, limit_price_micros=11 * DOLLAR),
    ]
    batch = [
        Placement(
            trade_id=trade_id, client_order_id=f"c-{trade_id}", customer_id="alice", terms=terms
        )
        for trade_id, terms in zip(IDS, wanted, strict=True)
    ]

    placing = place(batch, {}, {"alice": 0}, Gate(book, Market(), Rates(), at=AT, nanos=0))

    reasons = [each.standing.reason for each in placing.answers if isinstance(each, Trade)]
    assert reasons == [0, Reason.REASON_DUPLICATE_ORDER, Reason.REASON_SELF_TRADE, 0]


@pytest.mark.parametrize(
    ("ago", "is_duplicate"),
    [
        (timedelta(0), True),
        (timedelta(seconds=60, microseconds=-1), True),
        (timedelta(seconds=60), False),
    ],
)
def test_the_same_order_is_a_duplicate_until_the_time_is_over(
    ago: timedelta, is_duplicate: bool
) -> None:
    book = a_book(ControlTerms(control=Control.DUPLICATE_ORDER, seconds=60))
    gate = Gate(book, Market(), Rates(), at=AT, nanos=0)
    gate.known.recents[likeness("alice", buy())] = Recent(IDS[0], AT - ago)
    assert (gate.judge("alice", buy()).failed is not None) is is_duplicate


def test_what_was_replaced_is_met_at_its_new_limit_alone_and_until_then_at_both() -> None:
    gate = Gate(a_book(ControlTerms(control=Control.SELF_TRADE)), Market(), Rates(), at=AT, nanos=0)
    gate.known.resting["alice", "AAPL"] = [Resting(IDS[0], Side.BUY, 10 * DOLLAR)]

    def met() -> list[int]:
        """Which limits of an order to sell meet it."""
        sells = {n: buy(side=Side.SELL, limit_price_micros=n * DOLLAR) for n in (9, 10, 11, 12)}
        return [n for n, terms in sells.items() if gate.preview("alice", terms).failed is not None]

    wanted = Replace(
        replace_id=IDS[1],
        client_order_id="c-2",
        orig_client_order_id="c-1",
        asked=Revision(0, 11 * DOLLAR, 0),
        old=Revision(100, 10 * DOLLAR, 0),
        old_filled_quantity=0,
        new=Revision(100, 11 * DOLLAR, 0),
    )
    trade = Trade(
        trade_id=IDS[0],
        client_order_id="c-1",
        customer_id="alice",
        terms=buy(),
        placed_seq=1,
        created_at=AT,
        standing=Standing(replace=wanted),
        seq=2,
        updated_at=AT,
    )
    assert met() == [9, 10]
    gate.revise(trade)
    assert met() == [9, 10, 11]
    gate.revise(
        structs.replace(trade, terms=buy(limit_price_micros=9 * DOLLAR), standing=Standing())
    )
    assert met() == [9]


scopes = st.builds(Scope, st.sampled_from(["", "alice", "bob"]), st.sampled_from(["", "AAPL"]))
any_terms = st.one_of(
    st.builds(
        ControlTerms,
        control=st.sampled_from(Control),
        scope=scopes,
        action=st.sampled_from(Action),
        limit=st.integers(1, 2_000),
        seconds=st.integers(1, 100),
        passes_without_price=st.booleans(),
    ),
    st.builds(
        ControlTerms,
        control=st.just(Control.MAX_NOTIONAL),
        limit=st.integers(1, 2_000 * DOLLAR),
        seconds=st.integers(1, 100),
    ),
)
books = st.lists(any_terms, max_size=10).map(lambda terms: a_book(*terms))
wanted = st.builds(
    buy,
    side=st.sampled_from(Side),
    quantity=st.integers(1, 200),
    order_type=st.just(OrderType.LIMIT),
    limit_price_micros=st.sampled_from([9, 10, 11]).map(lambda dollars: dollars * DOLLAR),
    time_in_force=st.sampled_from(TimeInForce),
) | st.builds(buy, quantity=st.integers(1, 200), **{k: st.just(v) for k, v in MARKET.items()})
markets = st.builds(
    Market,
    st.sampled_from([{}, {"AAPL": 10 * DOLLAR}]),
    st.integers(0, 120_000),
)


@st.composite
def gates(draw: st.DrawFn) -> tuple[Gate, Terms]:
    """A gate that knows of other orders, and what is wanted of it."""
    terms = draw(wanted)
    gate = Gate(draw(books), draw(markets), Rates(), at=AT, nanos=0)
    age = draw(st.none() | st.integers(0, 100))
    if age is not None:
        recent = Recent(IDS[0], AT - timedelta(seconds=age))
        gate.known.recents[likeness("alice", terms)] = recent
    resting = st.builds(
        Resting, st.just(IDS[1]), st.sampled_from(Side), st.sampled_from([9, 10 * DOLLAR])
    )
    gate.known.resting["alice", "AAPL"] = draw(st.lists(resting, max_size=2))
    for _ in range(draw(st.integers(0, 3))):
        try:
            gate.judge("alice", terms)
        except Throttled:
            break
    return gate, terms


@given(gates())
def test_a_preview_says_what_the_placement_will(asked: tuple[Gate, Terms]) -> None:
    gate, terms = asked
    before, again = gate.preview("alice", terms), gate.preview("alice", terms)
    assert before == again
    rates = (Control.CUSTOMER_RATE, Control.SYMBOL_RATE)
    if before.failed is not None and before.failed.control in rates:
        with pytest.raises(Throttled):
            gate.judge("alice", terms)
    else:
        placed = gate.judge("alice", terms)
        assert placed.failed == before.failed
        assert placed == before or gate.book.version == 0


@given(gates())
def test_what_is_kept_explains_the_decision_whatever_is_set_later(
    asked: tuple[Gate, Terms],
) -> None:
    gate, terms = asked
    decision = gate.preview("alice", terms)
    trade = Trade(
        trade_id=IDS[2],
        client_order_id="c-1",
        customer_id="alice",
        terms=terms,
        placed_seq=1,
        created_at=AT,
        standing=Standing(),
        seq=1,
        updated_at=AT,
    )
    stricter = ControlTerms(control=Control.MAX_QUANTITY, limit=1)
    later = Book([*gate.book.settings, setting(gate.book.version + 1, stricter)])

    assert explanation(trade, later, pack(decision.kept)) == decision


@given(
    st.builds(
        Kept,
        st.integers(0, 2**40),
        st.integers(0, 2**9 - 1),
        st.builds(
            Facts,
            last_price_micros=st.integers(0, 2**53),
            price_age_ms=st.integers(0, 2**31),
            duplicate_of=st.sampled_from(["", IDS[0]]),
            crosses=st.sampled_from(["", IDS[1]]),
            customer_rate_left=st.integers(-1, 10**6),
            symbol_rate_left=st.integers(-1, 10**6),
        ),
    )
)
def test_what_is_packed_is_unpacked(kept: Kept) -> None:
    assert unpack(pack(kept)) == kept


def test_a_decision_takes_two_bytes_until_there_is_something_to_say() -> None:
    plain = Kept(version=12)
    priced = Kept(version=12, facts=Facts(last_price_micros=250_420_000, price_age_ms=850))
    assert [len(pack(each)) for each in (Kept(), plain, priced)] == [0, 2, 11]


def test_every_control_is_looked_at_once() -> None:
    assert sorted(ORDER) == sorted(Control)
