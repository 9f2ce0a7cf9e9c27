"""What a venue answers to replaces, as far as it can be true."""

import dataclasses
from collections.abc import Mapping

from msgspec.structs import replace

from services.exchange_gateway.domain.orders import State
from services.exchange_gateway.domain.replaces import Asked, Revision
from services.exchange_gateway.domain.reports import Breach, Impossible, Report, Standing


def asked_by(report: Report, asked: Mapping[int, Asked], *, answered: Mapping[str, int]) -> Asked:
    """The replace that a report answers, by the command it names. Raises Impossible.

    `answered`: replaces by id with the report that answered them before.
    """
    found = asked.get(report.command_seq)
    if found is None or found.trade_id != report.trade_id:
        detail = f"command {report.command_seq} asked for no replace of the order"
        raise Impossible(Breach.REPLACE_NOT_ASKED, detail)
    if found.replace_id in answered:
        detail = f"the replace was answered before, by report {answered[found.replace_id]}"
        raise Impossible(Breach.REPLACE_ANSWERED_TWICE, detail)
    return found


def revise(standing: Standing, report: Report, asked: Asked, *, seq: int) -> Standing:
    """How the order stands once it was replaced by report `seq`. Raises Impossible.

    Down to what was filled before, or less, it has ended: nothing of it is left to fill.
    """
    if standing.state == State.DONE:
        raise Impossible(Breach.REPLACED_WHEN_ENDED, "REPLACED after the order had ended")
    told, wanted = report.revision, _wanted(standing, asked.revision)
    if told is not None and not wanted.max_notional_micros:
        told = dataclasses.replace(told, max_notional_micros=0)  # it was kept
    if told is None or told != wanted:
        raise Impossible(Breach.REPLACED_DIFFERENTLY, f"asked for {wanted}, told of {told}")
    quantity = max(told.quantity, standing.filled_quantity)
    stands = standing.filled_quantity - standing.taken_back
    if stands > quantity:
        detail = f"{stands} shares filled, as they were corrected, of {quantity} from now on"
        raise Impossible(Breach.OVER_FILL, detail)
    is_cut = told.quantity <= standing.filled_quantity
    return replace(
        standing,
        state=State.DONE if is_cut else State.ACCEPTED,
        quantity=quantity,
        limit_price_micros=told.limit_price_micros,
        stop_price_micros=told.stop_price_micros,
        exchange_order_id=report.exchange_order_id or standing.exchange_order_id,
        filled_by_seq=seq if is_cut else None,
        is_cut=is_cut,
    )


def _wanted(standing: Standing, asked: Revision) -> Revision:
    """The terms asked for; a price of 0 keeps what there is. An order gets no stop price anew."""
    return Revision(
        asked.quantity,
        asked.limit_price_micros or standing.limit_price_micros,
        standing.stop_price_micros and (asked.stop_price_micros or standing.stop_price_micros),
        asked.max_notional_micros,
    )
