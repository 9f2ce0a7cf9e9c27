"""The reference's deeds in the ledger's own words."""

from collections.abc import Sequence

from services.ledger.domain import deeds, transfers
from services.ledger.domain.books import AccountKey
from services.ledger.domain.corrections import BUST, CORRECT, Booking, Correction, correction
from services.ledger.domain.operations import Leg, Operation
from services.ledger.domain.transfers import Moved
from tests.ledger.words import Asked, Move


def operation_of(asked: Asked) -> Operation:
    """The same deed in the ledger's own words. Raises Malformed."""
    return _READ[asked.deed](asked)


def _hold(asked: Asked) -> Operation:
    return deeds.place_hold(
        hold_id=asked.id,
        customer_id=_customer(asked.who),
        asset=asked.asset,
        amount=asked.amount,
    )


def _adjust(asked: Asked) -> Operation:
    return deeds.adjust_hold(adjustment_id=asked.id, hold_id=asked.hold, amount=asked.amount)


def _fill(asked: Asked) -> Operation:
    return deeds.execution(
        deeds.Execution(
            venue="XSIM",
            execution_id=asked.id,
            trade_id=asked.hold,
            customer_id=_customer(asked.who),
            side={"BUY": deeds.BUY, "SELL": deeds.SELL}[asked.side],
            symbol=asked.asset,
            quantity=asked.amount,
            price_micros=asked.price,
            executed_at=None,
            releases_rest=asked.last,
            released_micros=asked.saved,
        )
    )


def _crossing(asked: Asked) -> deeds.Crossing:
    return deeds.Crossing(
        id=asked.id,
        customer_id=_customer(asked.who),
        amount=asked.amount,
        reference="a test",
        operator="olivia",
    )


def _deposit(asked: Asked) -> Operation:
    if asked.asset == "USD":
        return deeds.deposit(_crossing(asked))
    return deeds.deposit_shares(_crossing(asked), symbol=asked.asset, cost_micros=asked.price)


def _withdraw(asked: Asked) -> Operation:
    if asked.asset == "USD":
        return deeds.withdraw(_crossing(asked))
    return deeds.withdraw_shares(_crossing(asked), symbol=asked.asset)


def _transfer(asked: Asked) -> Operation:
    return transfers.transfer(
        transfers.AskedTransfer(
            id=asked.id,
            legs=[
                transfers.AskedLeg(
                    debit_account=move.source,
                    credit_account=move.target,
                    asset=move.asset,
                    amount=move.amount,
                    from_hold=move.from_hold,
                    cost_micros=move.cost,
                )
                for move in asked.moves
            ],
            without_floor=asked.floorless,
            hold_id=asked.hold,
            releases_rest=asked.last,
            reference="a test",
            actor="olivia",
        )
    )


def _restraint(asked: Asked) -> deeds.Restraint:
    return deeds.Restraint(id=asked.id, account=asked.who, reference="a test", operator="olivia")


def _request(asked: Asked) -> Operation:
    return transfers.reversal_request(
        request_id=asked.id, transfer_id=asked.of, reference="a test", operator="olivia"
    )


def _reversal(asked: Asked) -> Operation:
    return transfers.reversal(
        asked.id,
        transfer_id=asked.of,
        legs=[
            Leg(
                debited=AccountKey(move.source, move.asset),
                credited=AccountKey(move.target, move.asset),
                amount=move.amount,
                cost_micros=move.cost,
                cost_given_micros=move.given,
            )
            for move in asked.moves
        ],
        reference="a test",
        operator=asked.who,
    )


def correction_of(asked: Asked, bookings: Sequence[Booking]) -> Operation:
    """A bust or a correction of what was booked so. Raises Malformed."""
    return correction(
        Correction(
            correction_id=asked.id,
            execution_id=asked.who,
            venue="XSIM",
            kind={"bust": BUST, "correct": CORRECT}[asked.deed],
            quantity=asked.amount,
            price_micros=asked.price,
            effective_at=None,
            previous_correction_id=asked.after,
        ),
        bookings,
    )


def moves_back(moved: list[Moved]) -> tuple[Move, ...]:
    """What a reversal of what was `moved` moves."""
    return tuple(
        Move(
            leg.debited.name,
            leg.credited.name,
            leg.debited.asset,
            leg.amount,
            cost=leg.cost_micros,
            given=leg.cost_given_micros,
        )
        for leg in transfers.legs_back(moved)
    )


def _customer(who: str) -> str:
    return who.removeprefix("customer/")


_READ = {
    "hold": _hold,
    "adjust": _adjust,
    "release": lambda asked: deeds.release(asked.hold),
    "fill": _fill,
    "deposit": _deposit,
    "withdraw": _withdraw,
    "transfer": _transfer,
    "freeze": lambda asked: deeds.freeze(_restraint(asked)),
    "unfreeze": lambda asked: deeds.unfreeze(_restraint(asked)),
    "close": lambda asked: deeds.close(_restraint(asked)),
    "request": _request,
    "reversal": _reversal,
}
