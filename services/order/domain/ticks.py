"""The smallest step of a price, by the day: Rule 612 of Regulation NMS (17 CFR 242.612).

A later rule becomes one more entry of RULES; an order is checked by the rule of its day.
"""

from datetime import date

import msgspec

DOLLAR_MICROS = 1_000_000


class TickRule(msgspec.Struct, frozen=True):
    """In force from a day on. `steps`: from which price on, multiples of what; dearest first."""

    since: date
    steps: tuple[tuple[int, int], ...]


# The first has no rule before it: it holds for all days before, too.
RULES = (TickRule(date(2006, 1, 31), ((DOLLAR_MICROS, 10_000), (0, 100))),)


def rule_on(day: date, rules: tuple[TickRule, ...] = RULES) -> TickRule:
    """The rule of that day; `rules`: oldest first.

    >>> rule_on(date(2026, 11, 20)).since
    datetime.date(2006, 1, 31)
    """
    return next((rule for rule in reversed(rules) if rule.since <= day), rules[0])


def tick_micros_at(price_micros: int, day: date, rules: tuple[TickRule, ...] = RULES) -> int:
    """What a price of that size must be a multiple of on that day; micros of a dollar.

    >>> day = date(2026, 11, 20)
    >>> tick_micros_at(1_000_000, day), tick_micros_at(999_900, day), tick_micros_at(0, day)
    (10000, 100, 100)
    """
    steps = rule_on(day, rules).steps
    return next(tick for least, tick in steps if price_micros >= least)
