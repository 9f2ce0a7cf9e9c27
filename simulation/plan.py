"""What a run is to be: what is asked for, and for the rest what its seed says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulation.amending import amends
from simulation.coverage import seeded_strikes
from simulation.faults import Strike
from simulation.races import Race, strikes_by
from simulation.scenario import Customer, customers_by
from simulation.stops import has_stops, holds_stops


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be. What is None is chosen by the seed. `races`: so many races instead,
    of these `kinds` only.

    `amends`: the exchange takes fills back. `holds_stops`: customers place stops as well, and the
    house holds them, or the exchange does.
    """

    seed: str
    races: int = 0
    kinds: Sequence[str] = ()
    rates: dict[str, float] | None = None
    script: Sequence[Strike] = ()
    counts: Mapping[str, int] | None = None
    customers: Sequence[Customer] | None = None
    calm_after_seconds: float = 12.0
    amends: bool | None = None
    holds_stops: bool | None = None
    keeps_trace: bool = False

    def customers_with(self, races: Sequence[Race]) -> Sequence[Customer]:
        """Everybody, in a run with these races."""
        if races:
            return list({race.customer.name: race.customer for race in races}.values())
        return self.customers or customers_by(self.seed)

    def strikes(self) -> Sequence[Strike]:
        """What goes wrong for certain."""
        if self.script or self.rates is not None:
            return self.script
        return strikes_by(self.seed) if self.races else seeded_strikes(self.seed)

    def takes_back(self) -> bool:
        """Whether the exchange takes fills back."""
        if self._is_special or self.amends is not None:
            return bool(self.amends)
        return amends(self.seed)

    def stops(self) -> bool | None:
        """Whether the house holds the stops; None: there are none."""
        if self._is_special or self.holds_stops is not None:
            return self.holds_stops
        return holds_stops(self.seed) if has_stops(self.seed) else None

    @property
    def _is_special(self) -> bool:
        """Whether customers are others than the seed's."""
        return bool(self.races or self.customers)
