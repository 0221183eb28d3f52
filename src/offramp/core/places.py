"""Where a sample can be, as far as its further costs depend on it: on a tier, the source's radio off or on.

The radio goes on when a sample leaves the source and stays on until the answer, whatever the sample does then. So what
a step takes depends on more than the two tiers that it joins; between places it adds up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.core.checks import BoolArray
from offramp.core.energy import OFF, EnergyCosts


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """V places, by tier and then by radio, so that they come in the order of their tiers. M tiers.

    tiers: [V] the tier of each. radios: [V] the state of the radio there, as in `EnergyCosts`.
    first: [V] whether a sample's first partition can run there.
    joins: [V, V] whether a sample can go from one to the other, a tier of its own each.
    origin: where samples arise.
    """

    tiers: tuple[int, ...]
    radios: tuple[int, ...]
    first: BoolArray
    joins: BoolArray
    origin: int

    @classmethod
    def of_tiers(cls, count: int, source: int) -> "Places":
        """The tiers themselves, where nothing depends on the radio."""
        return cls(
            tuple(range(count)), (OFF,) * count, np.ones(count, np.bool_), ~np.eye(count, dtype=np.bool_), source
        )

    @classmethod
    def of(cls, energy: EnergyCosts) -> "Places":
        """What the costs tell apart: at the source whether a sample has left it, and by which link if that matters."""
        count, source = len(energy.names), energy.source
        if not energy.radio_w.any():
            return cls.of_tiers(count, source)
        sides = sorted({energy.radio_toward(tier) for tier in range(count) if tier != source})
        pairs = [(tier, radio) for tier in range(count) for radio in ([OFF] if tier == source else []) + sides]
        after = [energy.radio_toward(tier) for tier in range(count)]

        def joins(a: tuple[int, int], b: tuple[int, int]) -> bool:
            return a[0] != b[0] and b[1] == (after[b[0]] if a[1] == OFF else a[1])

        origin = pairs.index((source, OFF))
        return cls(
            tiers=tuple(tier for tier, _ in pairs),
            radios=tuple(radio for _, radio in pairs),
            first=np.array([place == pairs[origin] or joins(pairs[origin], place) for place in pairs]),
            joins=np.array([[joins(a, b) for b in pairs] for a in pairs]),
            origin=origin,
        )

    def next(self, place: int, tier: int) -> int:
        """Where a sample is that goes from there to a tier; the same place where it stays on its tier."""
        if self.tiers[place] == tier:
            return place
        return next(b for b, own in enumerate(self.tiers) if own == tier and self.joins[place, b])

    def route(self, tiers: Sequence[int]) -> list[int]:
        """[L] where a sample's partitions run whose tiers these are, from the source on."""
        route, place = [], self.origin
        for tier in tiers:
            place = self.next(place, tier)
            route.append(place)
        return route
