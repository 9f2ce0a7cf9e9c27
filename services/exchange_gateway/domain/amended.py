"""Busts and corrections of executions, as far as they can be true."""

from collections.abc import Mapping

from msgspec.structs import replace

from services.exchange_gateway.domain.reports import (
    Breach,
    Fill,
    Impossible,
    Kind,
    Report,
    Standing,
)

Fills = Mapping[tuple[str, str], Fill]


def amended_by(report: Report, fills: Fills) -> Fill:
    """The fill that a report busts or corrects, among those of orders, as it stands.

    A fill that was corrected goes by the name of its latest correction. Raises Impossible.
    """
    fill = fills.get((report.trade_id, report.amends))
    if fill is None:
        detail = f"execution {report.amends!r} of this order was never told"
        raise Impossible(Breach.UNKNOWN_EXECUTION, detail)
    if fill.amended_by_seq is not None:
        detail = f"it was amended before, by report {fill.amended_by_seq}"
        raise Impossible(Breach.AMENDED_TWICE, detail)
    if fill.is_busted:
        detail = f"{report.amends!r} said that execution {fill.first_id!r} never was"
        raise Impossible(Breach.AMENDED_WHEN_BUSTED, detail)
    return fill


def as_amended(report: Report, fill: Fill) -> Fill:
    """What the fill is by that report."""
    is_busted = report.kind == Kind.BUSTED
    first_id = fill.first_id or report.amends
    return Fill(report.quantity, report.price_micros, first_id=first_id, is_busted=is_busted)


def amend(standing: Standing, report: Report, fill: Fill) -> Standing:
    """How the order stands after that. Raises Impossible.

    Where it stands stays as it is, and no share gets back to work: what is taken back is counted
    beside what was filled.
    """
    if report.quantity < 1 or report.price_micros < 1 or not report.execution_id:
        detail = f"an amendment to {report.quantity} at {report.price_micros} micros"
        raise Impossible(Breach.NOT_A_FILL, detail)
    told, was = (report.quantity, report.price_micros), (fill.quantity, fill.price_micros)
    if report.kind == Kind.BUSTED and told != was:
        detail = f"a bust of {told}, and the fill was {was}: shares, micros"
        raise Impossible(Breach.AMENDED_DIFFERENTLY, detail)
    left = 0 if report.kind == Kind.BUSTED else report.quantity
    taken_back = standing.taken_back + fill.quantity - left
    if standing.filled_quantity - taken_back > standing.quantity:
        detail = f"{standing.filled_quantity - taken_back} shares of {standing.quantity} ordered"
        raise Impossible(Breach.OVER_FILL, detail)
    return replace(standing, taken_back=taken_back)
