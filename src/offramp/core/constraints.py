"""Which plans are allowed, whatever their accuracy and latency: exits, privacy, memory, uploads, money, classes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from offramp.core import checks
from offramp.core.backbone import Backbone
from offramp.core.checks import BoolArray, FloatArray
from offramp.core.latency import Costs
from offramp.core.places import Places
from offramp.core.topology import Topology
from offramp.errors import Fault, fail, refuse

# Fields of `Constraints` that are no limits by themselves: prices go with the budget, the others widen the space.
_NO_LIMITS = ("exits_per_tier", "threshold_per_exit", "prices")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What running costs, in any one unit: joules, cents.

    tier_s: price of one second of computing, by tier; tiers not named are free.
    bit: price of sending one bit over any link.
    """

    tier_s: Mapping[str, float] = field(default_factory=dict)
    bit: float = 0.0

    def __post_init__(self) -> None:
        faults = list(checks.not_negative("bit", self.bit, "give the price of a bit"))
        for name, price in self.tier_s.items():
            faults += checks.not_negative(f"tier_s.{name}", price, "give the price of a second")
        refuse(faults)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Constraints:
    """Which plans are allowed, whatever their accuracy and latency. By default those of EdgeSys'22, all of them.

    exits_per_tier: most partitions on a tier, one after the other; 1 as in the paper.
    threshold_per_exit: each exit has a threshold of its own instead of one for all; needs the replay model.
    keep_blocks: the raw input and the first so many blocks stay on the source tier.
    memory_bits: by tier, the most that the weights it holds and their largest activation may take.
    forbidden, required: tiers that must not, and must, run a partition.
    max_upload_bits: most bits per sample, on average, that the source tier may send to other tiers.
    prices, budget: what running costs, and the most that a sample may cost on average.
    max_energy_j: by tier, the most that it may spend on an answer, on average.
    max_total_energy_j: the most that all tiers together may.
    min_balanced_accuracy, min_class_recall: least mean of the classes' recalls, and least recall of any class; they
        need the replay model. Of the classes that some sample of the exit table has.
    """

    exits_per_tier: int = 1
    threshold_per_exit: bool = False
    keep_blocks: int | None = None
    memory_bits: Mapping[str, float] = field(default_factory=dict)
    forbidden: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    max_upload_bits: float | None = None
    prices: Prices | None = None
    budget: float | None = None
    max_energy_j: Mapping[str, float] = field(default_factory=dict)
    max_total_energy_j: float | None = None
    min_balanced_accuracy: float | None = None
    min_class_recall: float | None = None

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        yield from checks.positive("exits_per_tier", self.exits_per_tier, "allow at least one exit on a tier")
        if self.keep_blocks is not None and self.keep_blocks < 0:
            yield Fault("keep", f"{self.keep_blocks} blocks", "give how many of the first blocks to keep, 0 or more")
        for name, size in self.memory_bits.items():
            yield from checks.positive(f"memory.{name}", size, "give a size, e.g. 2 MB")
        if self.max_upload_bits is not None:
            yield from checks.not_negative("max_upload", self.max_upload_bits, "give a size, e.g. 20 kB")
        if (self.prices is None) != (self.budget is None):
            yield Fault("budget", "goes with prices", "give both or neither")
        if self.budget is not None:
            yield from checks.not_negative("budget", self.budget, "give the most a sample may cost")
        for name, energy in self.max_energy_j.items():
            yield from checks.not_negative(f"max_energy.{name}", energy, "give an energy, e.g. 5 mJ")
        if self.max_total_energy_j is not None:
            yield from checks.not_negative("max_total_energy", self.max_total_energy_j, "give an energy, e.g. 5 mJ")
        for floor in ("min_balanced_accuracy", "min_class_recall"):
            if getattr(self, floor) is not None:
                yield from checks.share(floor, getattr(self, floor), "give a share, e.g. 0.9")
        for name in sorted(self.forbidden & self.required):
            yield Fault("require", f"tier {name} is forbidden", "take it out of one of the two")

    def __repr__(self) -> str:
        """Only what differs from the defaults."""
        default = Constraints()
        stated = (
            f"{limit.name}={value!r}"
            for limit in fields(self)
            if (value := getattr(self, limit.name)) != getattr(default, limit.name)
        )
        return f"Constraints({', '.join(stated)})"

    @property
    def limits_energy(self) -> bool:
        """Whether there is a limit on the energy of any tier, or of all."""
        return bool(self.max_energy_j) or self.max_total_energy_j is not None

    @property
    def wide(self) -> bool:
        """Whether there are more plans than with one threshold and one exit per tier, as in EdgeSys'22."""
        return self.threshold_per_exit or self.exits_per_tier > 1

    @property
    def floor_by_class(self) -> str:
        """The name of a floor that counts class by class; empty where there is none."""
        floors = ("min_balanced_accuracy", "min_class_recall")
        return next((name for name in floors if getattr(self, name) is not None), "")

    @property
    def stated(self) -> tuple[str, ...]:
        """Names of the limits there are, of those that could be given up."""
        default = Constraints()
        return tuple(
            limit.name
            for limit in fields(self)
            if limit.name not in _NO_LIMITS and getattr(self, limit.name) != getattr(default, limit.name)
        )

    def without(self, name: str) -> "Constraints":
        """The same constraints without the one of that name."""
        if name == "budget":
            return replace(self, budget=None, prices=None)
        return replace(self, **{name: getattr(Constraints(), name)})


UNCONSTRAINED = Constraints()
"""Every plan of EdgeSys'22."""


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """What constraints leave of all plans, as arrays. R resources, M tiers, V places, N blocks.

    places: the tiers or, where a resource depends on it, what `Places` tells apart.
    fits: [V, N+1, N+1] whether place j may hold blocks p+1..q.
    fits_more_than_first: whether that depends on more than the place and block p+1.
    required: tiers that a plan must use, as bits.
    compute: [R, V, N+1, N+1] what blocks p+1..q take of each resource at place j; the first resource is to be least.
    send: [R, V, V, N+2] what object i takes from place to place.
    start, result: [R, V] what the input takes to a place, and the result from there to the destination.
    limits: [R] the most of each resource per sample; infinite for the first, and for latency, whose limit is the
        search's own.
    latency: which resource latency is.
    """

    places: Places
    fits: BoolArray
    fits_more_than_first: bool
    required: int
    compute: FloatArray
    send: FloatArray
    start: FloatArray
    result: FloatArray
    limits: FloatArray
    latency: int

    def arrays(self, exits_per_tier: int) -> tuple[Any, ...]:
        """What the searches take of it, in the order of their arguments from `compute` to `exits_per_tier`."""
        tiers = np.array(self.places.tiers)
        may_stay = np.eye(len(tiers), dtype=np.bool_) & (exits_per_tier > 1)
        travel = (self.compute, self.send, self.result, self.start, self.fits, self.places.joins | may_stay)
        return (*travel, 1 << tiers, self.required, exits_per_tier)


def space(
    constraints: Constraints,
    backbone: Backbone,
    topology: Topology,
    costs: Costs,
    *,
    bits: FloatArray,
    least_energy: bool = False,
) -> Space:
    """What the constraints leave of all plans.

    backbone: as it is in memory.
    bits: [N+2] what everything that can travel travels as.
    least_energy: whether energy, and not latency, is to be least.
    Raises `InputError` where a constraint names a tier that isn't there, or needs sizes that were not measured.
    """
    known = {tier.name for tier in topology.tiers}
    for place, names in (
        ("memory", set(constraints.memory_bits)),
        ("forbid", constraints.forbidden),
        ("require", constraints.required),
        ("prices", set() if constraints.prices is None else set(constraints.prices.tier_s)),
        ("max_energy", set(constraints.max_energy_j)),
    ):
        for name in sorted(names - known):
            fail(place, f"topology {topology.name} has no tier {name!r}", f"use some of {', '.join(sorted(known))}")
    n = len(backbone.blocks)
    if constraints.keep_blocks is not None and constraints.keep_blocks > n:
        fail("keep", f"{constraints.keep_blocks} of {n} blocks", f"give {n} at most")
    energies = _limited_energies(constraints, topology, least_energy=least_energy)
    places = Places.of_tiers(len(known), costs.source)
    if energies:
        if costs.energy is None:
            problem = f"topology {topology.name} gives neither powers of tiers nor what sending takes"
            fail("max_energy" if constraints.limits_energy else "minimize", problem, "give power, idle, send or radio")
        places = Places.of(costs.energy)
    tier = np.array(places.tiers)
    compute, send, limits = [costs.compute_s[tier]], [costs.send_s[tier][:, tier]], [np.inf]
    if constraints.max_upload_bits is not None:
        uploads = np.zeros_like(costs.send_s)
        uploads[costs.source] = bits
        uploads[costs.source, costs.source] = 0
        compute.append(np.zeros_like(compute[0]))
        send.append(uploads[tier][:, tier])
        limits.append(constraints.max_upload_bits)
    if constraints.prices is not None:
        assert constraints.budget is not None
        price_s = np.array([constraints.prices.tier_s.get(tier.name, 0.0) for tier in topology.tiers])
        finite = np.where(np.isfinite(compute[0]), compute[0], 0.0)
        compute.append(price_s[tier, None, None] * finite)
        send.append(constraints.prices.bit * np.abs(np.subtract.outer(tier, tier))[:, :, None] * bits)
        limits.append(constraints.budget)
    latency = 0
    for most_j, weights in energies:
        assert costs.energy is not None
        # What is to be least comes first.
        at = 0 if most_j == np.inf else len(compute)
        latency += at == 0
        compute.insert(at, costs.energy.compute_j(weights, places.tiers, places.radios))
        send.insert(at, costs.energy.send_j(weights, places.tiers, places.radios))
        limits.insert(at, most_j)
    fits = _fits(constraints, backbone, topology, costs)[tier]
    fits[~places.first, 0] = False
    sending = np.stack(send)
    return Space(
        places=places,
        fits=fits,
        fits_more_than_first=bool(constraints.memory_bits),
        required=sum(1 << topology.index(name) for name in constraints.required),
        compute=np.stack(compute),
        send=sending,
        start=np.ascontiguousarray(sending[:, places.origin, :, 0]),
        result=np.stack([sending[:, a, places.next(a, costs.destination), -1] for a in range(len(tier))], axis=1),
        limits=np.array(limits) * (1 + 1e-9),
        latency=latency,
    )


def _limited_energies(
    constraints: Constraints, topology: Topology, *, least_energy: bool
) -> list[tuple[float, FloatArray]]:
    """The most of each energy that is limited, and [M] how much of each tier's counts; infinite for the least."""
    everyone = np.ones(len(topology.tiers))
    energies = [
        (most_j, np.array([float(tier.name == name) for tier in topology.tiers]))
        for name, most_j in constraints.max_energy_j.items()
    ]
    if constraints.max_total_energy_j is not None:
        energies.append((constraints.max_total_energy_j, everyone))
    return [*energies, (np.inf, everyone)] if least_energy else energies


def _fits(constraints: Constraints, backbone: Backbone, topology: Topology, costs: Costs) -> BoolArray:
    fits = np.isfinite(costs.compute_s)
    for j, tier in enumerate(topology.tiers):
        if tier.name in constraints.forbidden:
            fits[j] = False
        if constraints.keep_blocks is not None and j != costs.source:
            fits[j, : max(1, constraints.keep_blocks)] = False
        if tier.name in constraints.memory_bits:
            fits[j] &= memory_bits(backbone) <= constraints.memory_bits[tier.name]
    return fits


def memory_bits(backbone: Backbone) -> FloatArray:
    """[N+1, N+1] what a tier that holds blocks p+1..q keeps in memory: their weights and the largest activation.

    The weights are those of the blocks and of every branch among them; activations count one at a time, input
    included. Raises `InputError` where the weights were not measured.
    """
    if any(block.weight_bits is None for block in backbone.blocks):
        fail("memory", f"the profile of {backbone.name} has no weight_bits", "profile it again, or leave memory out")
    weights = np.concatenate([[0.0], np.cumsum([block.weight_bits or 0 for block in backbone.blocks])])
    n = len(backbone.blocks)
    needed = np.full((n + 1, n + 1), np.inf)
    for p in range(n):
        largest = np.maximum.accumulate(np.array(backbone.object_bits[p : n + 1], np.float64))
        needed[p, p + 1 :] = weights[p + 1 :] - weights[p] + largest[1:]
    return needed
