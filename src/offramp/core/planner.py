"""The best plan, the frontier, and the proof that nothing better exists."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from offramp.core import checks, search_additive, search_replay
from offramp.core.checks import BoolArray, IntArray
from offramp.core.compiling import compile_kernels
from offramp.core.estimate import PricedPlan, estimate
from offramp.core.exits import Additive, ExitModel, ExitModelName, Replay, at_or_below, exit_model
from offramp.core.latency import ComputeSource, Costs, costs
from offramp.core.pareto import FRONTIER, LEAST_LATENCY, MOST_ACCURACY, nondominated
from offramp.core.plan import Plan
from offramp.core.profile import Profile
from offramp.core.topology import Topology
from offramp.errors import Fault, refuse

# A requirement is met by a plan that misses it by no more than what adding up in another order can change.
TOLERANCE = 1e-9

# Up to this much work (thresholds x blocks^2 x tiers^2) a search is over before numba is imported.
_INTERPRETED_WORK = 40_000


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a plan must do. With a floor on accuracy the fastest such plan is wanted, else the most accurate.

    min_accuracy: share of samples to be answered right, at least (problem P_lat of EdgeSys'22).
    max_latency_s: mean latency, at most (problem P_acc).
    """

    min_accuracy: float | None = None
    max_latency_s: float | None = None

    def __post_init__(self) -> None:
        faults: list[Fault] = []
        if self.min_accuracy is None and self.max_latency_s is None:
            faults.append(Fault("requirement", "is empty", "give a floor on accuracy or a limit on latency"))
        if self.min_accuracy is not None:
            faults += checks.share("min_accuracy", self.min_accuracy, "give a share of samples, e.g. 0.92")
        if self.max_latency_s is not None:
            faults += checks.positive("max_latency", self.max_latency_s, "give a time, e.g. 300 ms")
        refuse(faults)

    @property
    def floor(self) -> float:
        """The least accuracy that meets the requirement; minus infinity where there is no floor."""
        return -math.inf if self.min_accuracy is None else self.min_accuracy - TOLERANCE

    @property
    def limit(self) -> float:
        """The greatest latency that meets the requirement, in seconds; infinity where there is no limit."""
        return math.inf if self.max_latency_s is None else self.max_latency_s * (1 + TOLERANCE)

    def met_by(self, priced: PricedPlan) -> bool:
        """Whether that plan meets the requirement."""
        return priced.estimate.accuracy >= self.floor and priced.estimate.latency_s <= self.limit


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search found.

    best: the optimal plan; None where no plan meets the requirement.
    nearest: where none does, the plan that comes nearest: the most accurate one if the floor is out of reach, else
        the fastest that keeps to the floor.
    """

    best: PricedPlan | None
    nearest: PricedPlan | None = None


def space_size(*, blocks: int, tiers: int, thresholds: int) -> int:
    """How many plans (T, P, A) there are: K times the sum over L of C(N, L) M! / (M-L)!, as EdgeSys'22 counts them."""
    pairs = sum(math.comb(blocks, parts) * math.perm(tiers, parts) for parts in range(1, min(blocks, tiers) + 1))
    return thresholds * pairs


@dataclass(frozen=True, slots=True, eq=False)
class Planner:
    """Exact search over all thresholds, partitionings and placements of a profile on a topology.

    The answers are optimal among `plans` plans: trimming, any order of tiers, any source and destination; one
    partition at most on a tier. Ties are decided as `offramp.core.pareto` says.

    compiled: whether to compile the search; by default only where that pays for a single answer.
    """

    topology: Topology
    exits: ExitModel
    costs: Costs
    compiled: bool

    @classmethod
    def of(
        cls,
        profile: Profile,
        topology: Topology,
        *,
        exits: ExitModelName | None = None,
        compute: ComputeSource | None = None,
        thresholds: Sequence[float] | None = None,
        compiled: bool | None = None,
    ) -> "Planner":
        """A planner for that profile on that topology; the options are those of `exit_model` and `costs`.

        Raises `InputError` where the profile lacks what the topology or the exit model needs.
        """
        model = exit_model(profile, exits, thresholds=thresholds)
        prices = costs(profile, topology, compute=compute)
        if compiled is None:
            work = len(model.thresholds) * len(profile.backbone.blocks) ** 2 * len(topology.tiers) ** 2
            compiled = work > _INTERPRETED_WORK
        return cls(topology, model, prices, compiled)

    @property
    def plans(self) -> int:
        """How many plans the answers are optimal among."""
        return space_size(
            blocks=self.costs.compute_s.shape[1] - 1,
            tiers=len(self.topology.tiers),
            thresholds=len(self.exits.thresholds),
        )

    def price(self, plan: Plan) -> PricedPlan:
        """That plan with its estimate. Raises `InputError` where it doesn't fit."""
        return PricedPlan(plan, estimate(plan, topology=self.topology, costs=self.costs, exits=self.exits))

    def frontier(self) -> tuple[PricedPlan, ...]:
        """Every plan that no other beats in both accuracy and latency, fastest first."""
        return self._search(FRONTIER, -math.inf, math.inf)

    def best(self, requirement: Requirement) -> Answer:
        """The fastest plan that is accurate enough, or the most accurate that is fast enough."""
        goal = MOST_ACCURACY if requirement.min_accuracy is None else LEAST_LATENCY
        found = self._search(goal, requirement.floor, requirement.limit)
        if found:
            return Answer(best=found[0])
        nearest = self._search(LEAST_LATENCY, requirement.floor, math.inf)
        return Answer(best=None, nearest=(nearest or self._search(MOST_ACCURACY, -math.inf, math.inf))[0])

    def _search(self, goal: int, floor: float, limit: float) -> tuple[PricedPlan, ...]:
        rows = self._rows(goal, floor, limit)
        priced = [self.price(self._plan(row)) for row in rows.tolist()]
        # The search adds up in another order than the estimate: what ties here may not have tied there.
        keep = nondominated(
            np.array([each.estimate.latency_s for each in priced]),
            np.array([each.estimate.accuracy for each in priced]),
        )
        return tuple(each for each, kept in zip(priced, keep, strict=True) if kept)

    def _rows(self, goal: int, floor: float, limit: float) -> IntArray:
        send = self.costs.send_s[None]
        space = (
            np.ascontiguousarray(self.costs.compute_s[None]),
            np.ascontiguousarray(send),
            np.ascontiguousarray(send[:, :, self.costs.destination, -1]),
            np.ascontiguousarray(send[:, self.costs.source, :, 0]),
            np.isfinite(self.costs.compute_s),
            0,
            1,
        )
        limits = np.array([limit])
        stop = np.zeros(1, np.bool_)
        if isinstance(self.exits, Additive):
            search = _additive(compiled=self.compiled)
            found = search(self.exits.left, self.exits.branch_accuracy, *space, False, floor, limits, goal, stop)
        else:
            assert isinstance(self.exits, Replay)
            search = _replay(compiled=self.compiled)
            found = search(*_bit_sets(self.exits), True, *space, floor, limits, goal, stop)
        rows: IntArray = found[1]
        return rows

    def _plan(self, row: list[int]) -> Plan:
        most_parts = (len(row) - 1) // 3
        parts, ends, places, levels = row[0], row[1:], row[1 + most_parts :], row[1 + 2 * most_parts :]
        return Plan(
            ends=tuple(ends[:parts]),
            placement=tuple(self.topology.tiers[j].name for j in places[:parts]),
            thresholds=tuple(float(self.exits.thresholds[level]) for level in levels[: parts - 1]),
        )


def choose(frontier: Sequence[PricedPlan], requirement: Requirement) -> Answer:
    """What `Planner.best` answers, read off the whole frontier (fastest first)."""
    meeting = [priced for priced in frontier if requirement.met_by(priced)]
    if meeting:
        return Answer(best=meeting[-1] if requirement.min_accuracy is None else meeting[0])
    accurate = [priced for priced in frontier if priced.estimate.accuracy >= requirement.floor]
    return Answer(best=None, nearest=accurate[0] if accurate else frontier[-1])


@cache
def _additive(*, compiled: bool) -> Any:
    if not compiled:
        return search_additive.search_additive
    return compile_kernels(search_additive.KERNELS)


@cache
def _replay(*, compiled: bool) -> Any:
    if not compiled:
        return search_replay.search_replay
    return compile_kernels(search_replay.KERNELS, search_replay.COMPILED_AS)


def _bit_sets(exits: Replay) -> tuple[Any, ...]:
    """The exit table as the replay search wants it: bit sets of samples, with a row for the input in front."""
    table = exits.table
    leaves = np.stack([at_or_below(table.entropy, threshold) for threshold in exits.thresholds])
    right = np.concatenate([np.zeros((1, table.samples), np.bool_), table.correct])
    after = np.logical_or.accumulate(right[::-1], axis=0)[::-1]
    later = np.concatenate([after[1:], np.zeros((1, table.samples), np.bool_)])
    return (
        _words(np.pad(leaves, ((0, 0), (1, 0), (0, 0)))),
        _words(right),
        _words(later),
        _words(np.ones(table.samples, np.bool_)),
        table.samples,
    )


def _words(members: BoolArray) -> Any:
    """[..., S] to [..., W]: sets of samples as words of 64 bits."""
    width = -(-members.shape[-1] // 64) * 64
    padded = np.zeros((*members.shape[:-1], width), np.bool_)
    padded[..., : members.shape[-1]] = members
    return np.packbits(padded, axis=-1, bitorder="little").view(np.uint64)
