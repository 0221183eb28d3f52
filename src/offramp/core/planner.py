"""The best plan, the frontier, and the proof that nothing better exists."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from offramp.core import checks, search_additive, search_replay
from offramp.core.backbone import Backbone
from offramp.core.checks import BoolArray, IntArray
from offramp.core.codec import Codec
from offramp.core.compiling import compile_kernels
from offramp.core.constraints import Constraints, Space, space
from offramp.core.counting import space_size
from offramp.core.estimate import Estimate, EstimatedPlan, Latency, estimate
from offramp.core.exits import Additive, ExitModel, ExitModelName, Replay, exit_model
from offramp.core.latency import ComputeSource, Costs, Work
from offramp.core.pareto import FRONTIER, LEAST_LATENCY, MOST_ACCURACY, nondominated
from offramp.core.plan import Plan
from offramp.core.profile import Profile
from offramp.core.topology import Topology
from offramp.errors import Fault, fail, refuse

# A requirement is met by a plan that misses it by no more than what adding up in another order can change.
TOLERANCE = 1e-9

# Up to this much work (thresholds x blocks^2 x tiers^2) a search is over before numba is imported.
_INTERPRETED_WORK = 40_000


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a plan must do. With a floor on accuracy the fastest such plan is wanted, else the most accurate.

    min_accuracy: share of samples to be answered right, at least (problem P_lat of EdgeSys'22).
    max_latency_s: latency, at most (problem P_acc).
    latency: which latency is meant.
    """

    min_accuracy: float | None = None
    max_latency_s: float | None = None
    latency: Latency = Latency.MEAN

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

    def met_by(self, predicted: Estimate) -> bool:
        """Whether a plan with that estimate meets the requirement."""
        return predicted.accuracy >= self.floor and self.latency.of(predicted) <= self.limit


@dataclass(frozen=True, slots=True, eq=False)
class SearchLimits:
    """When to end a search that takes too long, with the best plans so far and the proof of what is left.

    stop: [1] whoever sets it to true, from another thread, ends the search.
    memory_bytes: most that the search may keep; a search over exit tables needs next to none.
    """

    stop: BoolArray = field(default_factory=lambda: np.zeros(1, np.bool_))
    memory_bytes: float = math.inf

    def __post_init__(self) -> None:
        if not self.memory_bytes >= 1e5:
            fail("memory_limit", f"{self.memory_bytes:g} bytes are too few to search in", "give at least 100 kB")


@dataclass(frozen=True, slots=True)
class Gap:
    """What a search that was ended early has not looked at.

    latency_s: no such plan is faster.
    accuracy: no such plan is more accurate.
    """

    latency_s: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search found.

    best: the optimal plan; None where no plan meets the requirement.
    nearest: where none does, the plan that comes nearest: the most accurate one if the floor is out of reach, else
        the fastest that keeps to the floor. None where not even the constraints can be met.
    gap: where the search was ended early, what is proven all the same; None where the answer is final.
    """

    best: EstimatedPlan | None
    nearest: EstimatedPlan | None = None
    gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """Which plans are allowed.

    exits_per_tier: most partitions on a tier, one after the other; 1 as in the paper.
    threshold_per_exit: each exit has a threshold of its own instead of one for all; needs the replay model.
    constraints: what a plan must not do.
    """

    exits_per_tier: int = 1
    threshold_per_exit: bool = False
    constraints: Constraints = field(default_factory=Constraints)

    def __post_init__(self) -> None:
        refuse(checks.positive("exits_per_tier", self.exits_per_tier, "allow at least one exit on a tier"))


@dataclass(frozen=True, slots=True, eq=False)
class Planner:
    """Exact search over all thresholds, partitionings and placements of a profile on a topology.

    The answers are optimal among `plans` plans: trimming, any order of tiers, any source and destination. Ties are
    decided as `offramp.core.pareto` says.

    backbone, topology, exits, costs: the problem.
    options: which plans are allowed.
    compiled: whether to compile the search; by default only where that pays for a single answer.
    work: what `costs` come from, on any topology.
    codec: what activations travel as in all its plans.
    allowed: what the options and the costs leave of all plans.
    """

    backbone: Backbone
    topology: Topology
    exits: ExitModel
    costs: Costs
    options: Options
    compiled: bool
    work: Work
    codec: Codec = Codec.FP32
    allowed: Space = field(init=False)

    def __post_init__(self) -> None:
        left = space(
            self.options.constraints,
            backbone=self.backbone,
            topology=self.topology,
            costs=self.costs,
            bits=self.work.bits,
        )
        object.__setattr__(self, "allowed", left)

    @classmethod
    def of(
        cls,
        profile: Profile,
        topology: Topology,
        *,
        exits: ExitModelName | None = None,
        compute: ComputeSource | None = None,
        thresholds: Sequence[float] | None = None,
        options: Options = Options(),
        compiled: bool | None = None,
        codec: Codec = Codec.FP32,
    ) -> "Planner":
        """A planner for that profile on that topology; the first options are those of `exit_model` and `costs`.

        codec: what activations travel as; the plans say so.
        Raises `InputError` where the profile lacks what the topology, the exit model or the options need.
        """
        traveling = profile.encoded(codec)
        model = exit_model(traveling, exits, thresholds=thresholds)
        work = Work.of(traveling, compute=compute)
        prices = work.on(topology)
        if options.threshold_per_exit and not isinstance(model, Replay):
            fail("threshold_per_exit", f"the {model.name.value} model has one threshold", "use the replay model")
        if compiled is None:
            steps = len(model.thresholds) * len(profile.backbone.blocks) ** 2 * len(topology.tiers) ** 2
            wider = options.threshold_per_exit or options.exits_per_tier > 1
            compiled = wider or steps > _INTERPRETED_WORK
        return cls(profile.backbone, topology, model, prices, options, compiled, work, codec)

    def on(self, topology: Topology) -> "Planner":
        """The planner of the same profile and options on another topology; only what depends on that is worked out.

        Raises `InputError` where the profile or the options don't go with the topology.
        """
        return replace(self, topology=topology, costs=self.work.on(topology))

    @property
    def plans(self) -> int:
        """How many plans the answers are optimal among."""
        return space_size(
            blocks=len(self.backbone.blocks),
            tiers=len(self.topology.tiers),
            thresholds=len(self.exits.thresholds),
            exits_per_tier=self.options.exits_per_tier,
            per_exit=self.options.threshold_per_exit,
        )

    def estimate(self, plan: Plan) -> EstimatedPlan:
        """That plan with its estimate. Raises `InputError` where it doesn't fit, or travels in another codec."""
        if plan.codec is not self.codec:
            fail("plan", f"travels as {plan.codec.value}, not as {self.codec.value}", "ask a planner of that codec")
        return EstimatedPlan(plan, estimate(plan, topology=self.topology, costs=self.costs, exits=self.exits))

    def frontier(self, latency: Latency = Latency.MEAN) -> tuple[EstimatedPlan, ...]:
        """Every plan that no other beats in both accuracy and latency, fastest first; empty if none is allowed."""
        return self.frontier_within(SearchLimits(), latency)[0]

    def frontier_within(
        self, budget: SearchLimits, latency: Latency = Latency.MEAN
    ) -> tuple[tuple[EstimatedPlan, ...], Gap | None]:
        """The frontier, or where the budget ends first that of the plans looked at, and what is proven of the rest."""
        return self._search(FRONTIER, latency, -math.inf, math.inf, budget)

    def best(self, requirement: Requirement, budget: SearchLimits | None = None) -> Answer:
        """The fastest plan that is accurate enough, or the most accurate that is fast enough."""
        latency, budget = requirement.latency, budget or SearchLimits()
        goal = MOST_ACCURACY if requirement.min_accuracy is None else LEAST_LATENCY
        found, gap = self._search(goal, latency, requirement.floor, requirement.limit, budget)
        if found or gap:
            return Answer(best=found[0] if found else None, gap=gap)
        nearest, gap = self._search(LEAST_LATENCY, latency, requirement.floor, math.inf, budget)
        if not nearest and not gap:
            nearest, gap = self._search(MOST_ACCURACY, latency, -math.inf, math.inf, budget)
        return Answer(best=None, nearest=nearest[0] if nearest else None, gap=gap)

    def _search(
        self, goal: int, latency: Latency, floor: float, limit: float, budget: SearchLimits
    ) -> tuple[tuple[EstimatedPlan, ...], Gap | None]:
        rows, fastest_s, surest = self._rows(goal, latency, floor, limit, budget)
        gap = None if fastest_s == math.inf else Gap(float(fastest_s), float(surest))
        estimated = [self.estimate(self._plan(row)) for row in rows.tolist()]
        if len(estimated) == 1:
            return tuple(estimated), gap
        # The search adds up in another order than the estimate: what ties here may not have tied there.
        latencies = np.array([latency.of(each.estimate) for each in estimated])
        keep = nondominated(latencies, np.array([each.estimate.accuracy for each in estimated]))
        return tuple(each for each, kept in zip(estimated, keep, strict=True) if kept), gap

    def _rows(
        self, goal: int, latency: Latency, floor: float, limit: float, budget: SearchLimits
    ) -> tuple[IntArray, float, float]:
        allowed, source, destination = self.allowed, self.costs.source, self.costs.destination
        limits = allowed.limits.copy()
        limits[0] = limit
        arrays = (
            allowed.compute,
            allowed.send,
            np.ascontiguousarray(allowed.send[:, :, destination, -1]),
            np.ascontiguousarray(allowed.send[:, source, :, 0]),
            allowed.fits,
            allowed.required,
            self.options.exits_per_tier,
        )
        if isinstance(self.exits, Additive):
            if latency is not Latency.MEAN:
                fail("latency", f"the {self.exits.name.value} model knows the mean alone", "use the replay model")
            # While its arrays grow there are two of them, the new one twice as large.
            label_bytes = 3 * 8 * (len(limits) + 9)
            most_labels = int(min(budget.memory_bytes / label_bytes, 2**62))
            search = _additive(compiled=self.compiled)
            rates = (self.exits.left, self.exits.branch_accuracy)
            found = search(*rates, *arrays, allowed.fits_more_than_first, floor, limits, goal, budget.stop, most_labels)
        else:
            assert isinstance(self.exits, Replay)
            search = _replay(compiled=self.compiled)
            samples = (*self.exits.bit_sets(), not self.options.threshold_per_exit)
            found = search(*samples, *arrays, float(latency.value), floor, limits, goal, budget.stop)
        _, rows, fastest_s, surest = found
        return rows, fastest_s, surest

    def _plan(self, row: list[int]) -> Plan:
        most_parts = (len(row) - 1) // 3
        parts, ends, places, levels = row[0], row[1:], row[1 + most_parts :], row[1 + 2 * most_parts :]
        return Plan(
            ends=tuple(ends[:parts]),
            placement=tuple(self.topology.tiers[j].name for j in places[:parts]),
            thresholds=tuple(float(self.exits.thresholds[level]) for level in levels[: parts - 1]),
            codec=self.codec,
        )


def choose(frontier: Sequence[EstimatedPlan], requirement: Requirement) -> Answer:
    """What `Planner.best` answers, read off the whole frontier of the requirement's latency (fastest first)."""
    meeting = [estimated for estimated in frontier if requirement.met_by(estimated.estimate)]
    if meeting:
        return Answer(best=meeting[-1] if requirement.min_accuracy is None else meeting[0])
    accurate = [estimated for estimated in frontier if estimated.estimate.accuracy >= requirement.floor]
    return Answer(best=None, nearest=next(iter([*accurate, *reversed(frontier)]), None))


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
