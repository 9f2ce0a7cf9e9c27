"""What may be asked of a ledger, at random: few names and ids, so that deeds meet each other."""

import operator
from itertools import zip_longest
from typing import NamedTuple

from hypothesis import strategies as st

from tests.ledger.words import CLEARING, MOST, MOST_BROUGHT_IN, Asked, Move


def an_id(number: int) -> str:
    return f"01935f00-0000-7000-8000-{number:012d}"


class Trade(NamedTuple):
    id: str
    who: str
    side: str
    symbol: str


ALICE, BOB, SHOP, WORLD, FEES = "customer/alice", "customer/bob", "shop/till", "world", "house/fees"
IDS = [an_id(number) for number in range(1, 41)]
BEGINNING = [
    Asked("deposit", an_id(91), ALICE, "USD", 300),
    Asked("deposit", an_id(92), BOB, "USD", 100),
    Asked("deposit", an_id(93), ALICE, "AAPL", 30, 1000),
    # Refused, and done: both come up too rarely else.
    *[Asked("close", an_id(94), ALICE), Asked("close", an_id(95), "customer/carol")],
]

# Who gives and who gets; the last cannot be.
WAYS = [
    *[(FEES, ALICE), (FEES, SHOP), (CLEARING, BOB), (WORLD, SHOP), (WORLD, ALICE), (WORLD, FEES)],
    *[(ALICE, BOB), (ALICE, SHOP), (ALICE, WORLD), (BOB, FEES), (SHOP, ALICE), (SHOP, BOB)],
    (ALICE, ALICE),
]

customers = st.sampled_from([ALICE, BOB])
symbols = st.sampled_from(["AAPL", "MSFT"])
changes, large = st.integers(-9, 9), st.integers(300, 500)
few, many, small = st.integers(1, 4), st.integers(4, 9), st.integers(1, 9)
some = st.integers(1, 99)
edges = st.sampled_from([0, -1, -MOST - 1, MOST, MOST - 300, MOST + 1])
trade_ids = st.sampled_from(IDS[:5])
other_ids = st.sampled_from(IDS[4:16])  # one of them is the id of a trade
executions = st.sampled_from([f"E{number}" for number in range(24)])
correction_ids = st.sampled_from([f"C{number}" for number in range(30)])
some_trade = st.builds(Trade, st.just(""), customers, st.sampled_from(["BUY", "SELL"]), symbols)
fresh_trades = st.one_of(st.none(), some_trade, some_trade)
LATEST, FIRST = "the latest", "the first"  # of the corrections that the fill has, if it has any
afters = st.sampled_from([LATEST] * 8 + [FIRST, "", "none"])
busts = st.builds(lambda id_, after: Asked("bust", id_, after=after), correction_ids, afters)
other_terms = st.builds(
    lambda id_, after, quantity, price: Asked(
        "correct", id_, amount=quantity, price=price, after=after
    ),
    correction_ids,
    afters,
    st.one_of(small, small, st.integers(20, 60)),
    st.one_of(small, small, st.integers(50, 150)),
)
corrections = st.one_of(busts, other_terms, other_terms)
trades = st.one_of(
    # Most deeds are about the same few trades, so that they meet.
    st.sampled_from(
        [
            Trade(IDS[0], ALICE, "BUY", "AAPL"),
            Trade(IDS[1], ALICE, "SELL", "AAPL"),
            Trade(IDS[2], ALICE, "BUY", "MSFT"),
            Trade(IDS[3], BOB, "BUY", "AAPL"),
        ]
    ),
    st.builds(Trade, trade_ids, customers, st.sampled_from(["BUY", "SELL"]), symbols),
)


def a_hold(trade: Trade, amount: int) -> Asked:
    asset = "USD" if trade.side == "BUY" else trade.symbol
    return Asked("hold", trade.id, trade.who, asset, amount)


def an_adjustment(id_: str, trade_id: str, amount: int) -> Asked:
    return Asked("adjust", id_, hold=trade_id, amount=amount)


def a_fill(
    execution: str, trade: Trade, quantity: int, price: int, last: bool, saved: int = 0
) -> Asked:
    return Asked(
        "fill",
        execution,
        trade.who,
        trade.symbol,
        quantity,
        price,
        side=trade.side,
        hold=trade.id,
        last=last,
        saved=saved,
    )


def a_whole_trade(trade: Trade, number: int) -> list[Asked]:
    """What it takes, and its one fill; under ids that follow from `number`."""
    asset = "USD" if trade.side == "BUY" else trade.symbol
    trade = trade._replace(id=an_id(10 * number))
    return [
        Asked("deposit", an_id(10 * number + 1), trade.who, asset, 12),
        a_hold(trade, 12),
        a_fill(f"F{number}", trade, 3, 4, True),
    ]


def a_release(trade_id: str) -> Asked:
    return Asked("release", "", hold=trade_id)


def a_transfer(id_: str, moves: list[Move], draws: str, terms: tuple[str, bool]) -> Asked:
    """`draws`: a trade's id with `!` where the rest of its hold is freed; empty: none. `terms`: who
    may go below zero, and whether the moves are left as they are, whatever their hold."""
    below_zero, is_as_drawn = terms
    if not draws:
        moves = [move._replace(from_hold=False) for move in moves]
    elif not is_as_drawn:
        owner, asset = (BOB if draws.startswith(IDS[3]) else ALICE), "USD"
        asset = "AAPL" if draws.startswith(IDS[1]) else "USD"
        moves = [
            Move(owner, SHOP, asset, move.amount, from_hold=True, cost=move.cost)
            if move.from_hold or (move is moves[0] and not draws.endswith("!"))
            else move
            for move in moves
        ]
    return Asked(
        "transfer",
        id_,
        hold=draws.rstrip("!"),
        last=draws.endswith("!"),
        moves=tuple(moves),
        floorless=(below_zero,) if below_zero else (),
    )


holds = st.builds(a_hold, trades, st.one_of(st.integers(0, 40), st.integers(10, 80), edges))
adjustments = st.builds(
    an_adjustment,
    other_ids,
    trade_ids,
    st.one_of(
        small, small.map(operator.neg), small.map(operator.neg), st.integers(200, 500), edges
    ),
)
fills = st.builds(
    a_fill,
    executions,
    trades,
    st.one_of(small, small, small, edges),
    st.one_of(small, small, small, st.just(2**53), edges),
    st.booleans(),
    st.one_of(st.just(0), st.just(0), small, edges),
)
releases = st.builds(a_release, trade_ids)
brought = st.one_of(some, some, st.sampled_from([0, -1, MOST_BROUGHT_IN, MOST_BROUGHT_IN + 1]))
cash = st.builds(
    lambda id_, who, amount: Asked("deposit", id_, who, "USD", amount),
    other_ids,
    customers,
    brought,
)
shares = st.builds(
    lambda id_, who, symbol, amount, cost: Asked("deposit", id_, who, symbol, amount, cost),
    other_ids,
    customers,
    symbols,
    small,
    st.one_of(st.integers(0, 99), st.integers(0, 99), st.sampled_from([-1, MOST_BROUGHT_IN])),
)
withdrawals = st.builds(
    lambda id_, who, asset, amount: Asked("withdraw", id_, who, asset, amount),
    other_ids,
    customers,
    st.sampled_from(["USD", "AAPL", "MSFT"]),
    st.one_of(small, some, edges),
)
moves = st.builds(
    lambda ends, *terms: Move(*ends, *terms),
    st.sampled_from(WAYS),
    st.sampled_from(["USD", "USD", "AAPL"]),
    st.one_of(small, small, small, small, some, some, edges),
    st.booleans(),
    st.sampled_from([0] * 9 + [7] * 6 + [MOST_BROUGHT_IN, MOST_BROUGHT_IN + 1, -1]),
)
held = st.sampled_from([f"{id_}{end}" for id_ in IDS[:4] for end in ("", "!")])
movings = st.builds(
    a_transfer,
    # One is what a release of a trade goes by.
    st.sampled_from([a_release(IDS[0]).recorded_id] * 3 + IDS[16:]),
    st.one_of(st.lists(moves, min_size=1, max_size=3), st.lists(moves, min_size=2, max_size=3)),
    st.one_of(st.just(""), st.just(""), st.just(""), held),
    st.tuples(
        st.sampled_from([""] * 5 + [WORLD] * 5 + [SHOP, SHOP, BOB]),
        st.sampled_from([False] * 5 + [True]),
    ),
)
rests = st.builds(
    lambda id_, draws: a_transfer(id_, [], draws, ("", True)),
    other_ids,
    st.sampled_from([f"{id_}!" for id_ in IDS[:4]] + [IDS[0]]),
)
restraints = st.builds(
    lambda deed, id_, who: Asked(deed, id_, who),
    st.sampled_from(["freeze", "unfreeze", "unfreeze", "close"]),
    other_ids,
    st.sampled_from([ALICE, BOB, BOB, SHOP]),
)
asks = st.one_of(
    *[holds, holds, adjustments, fills, fills, fills, releases, cash, shares, withdrawals],
    *[movings, movings, movings, rests, restraints],
)
Fill = tuple[int, int, int]
Change = tuple[str, int]


def a_story(
    trade: Trade, amount: int, numbers: list[str], fills: list[Fill], terms: tuple[bool, Change]
) -> list[Asked]:
    """A trade from end to end, its hold adjusted amid it, last fill and release both."""
    is_filled, (adjustment_id, change) = terms
    story = [a_hold(trade, amount)]
    for number, (quantity, price, saved) in zip(numbers, fills, strict=True):
        is_last = is_filled and number == numbers[-1]
        saved = saved if trade.side == "BUY" else 0
        story.append(a_fill(number, trade, quantity, price, is_last, saved))
        story.append(an_adjustment(adjustment_id, trade.id, change))
    return [*story, a_release(trade.id)]


def stories(
    amount: st.SearchStrategy[int], figure: st.SearchStrategy[int]
) -> st.SearchStrategy[list[Asked]]:
    return st.builds(
        a_story,
        trades,
        amount,
        st.lists(executions, min_size=2, max_size=2, unique=True),
        st.lists(st.tuples(figure, figure, st.integers(0, 4)), min_size=2, max_size=2),
        st.tuples(st.booleans(), st.tuples(other_ids, st.one_of(changes, changes, large))),
    )


def interleaved(one: list[Asked], other: list[Asked]) -> list[Asked]:
    """Both in their order, in turns."""
    both = zip_longest(one, other)
    return [asked for pair in both for asked in pair if asked is not None]


lists = st.lists(asks, min_size=1, max_size=12)
right = stories(st.integers(10, 30), few)
too_much = stories(small, many)  # fills that are more than what was held
batches = st.one_of(
    lists,
    right,
    too_much,
    st.builds(interleaved, st.one_of(right, too_much), lists),
    st.builds(interleaved, right, right),
)
