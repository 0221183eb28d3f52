"""The best plan, the frontier, and the proof that nothing better exists."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from offramp.core import search_additive, search_replay
from offramp.core.backbone import Backbone
from offramp.core.checks import BoolArray, IntArray
from offramp.core.class_floors import class_floors
from offramp.core.codec import Codec
from offramp.core.compiling import compile_kernels
from offramp.core.constraints import UNCONSTRAINED, Constraints, Space, space
from offramp.core.counting import space_size
from offramp.core.estimate import EstimatedPlan, Latency, estimate
from offramp.core.exits import Additive, ExitModel, ExitModelName, Replay, exit_model
from offramp.core.latency import ComputeSource, Costs, Work
from offramp.core.pareto import FRONTIER, LEAST_LATENCY, MOST_ACCURACY, nondominated
from offramp.core.places import Places
from offramp.core.plan import Plan
from offramp.core.profile import Profile
from offramp.core.requirement import NO_REQUIREMENT, Objective, Requirement
from offramp.core.topology import Topology
from offramp.errors import fail

# Up to this much work (thresholds x blocks^2 x tiers^2) a search is over before numba is imported.
_INTERPRETED_WORK = 40_000


@dataclass(frozen=True, slots=True)
class Gap:
    """What a search that was ended early has not looked at.

    latency_s: no such plan is faster; 0 where energy was to be least, and nothing is known of latency.
    accuracy: no such plan is more accurate.
    energy_j: no such plan takes less; None where latency was to be least.
    """

    latency_s: float
    accuracy: float
    energy_j: float | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    best: the optimal plan; None where no plan meets the requirement.
    nearest: where none does, the plan that comes nearest: the most accurate one if the floor is out of reach, else
        the fastest that keeps to the floor. None where not even the constraints can be met.
    gap: where the search was ended early, what is proven all the same; None where the answer is final.
    """

    best: EstimatedPlan | None
    nearest: EstimatedPlan | None = None
    gap: Gap | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Planner:
    """Exact search over all thresholds, partitionings and placements of a profile on a topology.

    A planner is the problem; what is asked of a plan is the `Requirement` that goes with each question. The answers are
    optimal among `plan_count` plans: trimming, any order of tiers, any source and destination. Ties are
    decided as `offramp.core.pareto` says.

    backbone, topology, exits, costs: the problem.
    work: what `costs` come from, on any topology.
    codec: what activations travel as in all its plans.
    compiled: whether to compile the search; None for only where that pays for a single answer.
    """

    backbone: Backbone
    topology: Topology
    exits: ExitModel
    costs: Costs
    work: Work
    codec: Codec = Codec.FP32
    compiled: bool | None = None

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
        codec: Codec = Codec.FP32,
    ) -> "Planner":
        """A planner for that profile on that topology; the first options are those of `exit_model` and `Work.of`.

        codec: what activations travel as; the plans say so.
        Raises `InputError` where the profile lacks what the topology or the exit model needs.
        """
        encoded = profile.encoded(codec)
        model = exit_model(encoded, exits, thresholds=thresholds)
        work = Work.of(encoded, compute=compute)
        return cls(profile.backbone, topology, model, work.on(topology), work, codec, compiled)

    @classmethod
    def each(
        cls,
        profile: Profile,
        topology: Topology,
        codecs: Sequence[Codec],
        *,
        exits: ExitModelName | None = None,
        compute: ComputeSource | None = None,
        thresholds: Sequence[float] | None = None,
        compiled: bool | None = None,
    ) -> tuple["Planner", ...]:
        """A planner for each of the codecs, or of several for those that were measured; the rest is as in `of`."""
        measured = [codec for codec in codecs if codec is Codec.FP32 or codec in profile.codecs]
        if not measured and len(codecs) > 1:
            fail("codec", "none of those that are allowed was measured", "allow fp32, or profile the run again")
        return tuple(
            cls.of(
                profile, topology, exits=exits, compute=compute, thresholds=thresholds, compiled=compiled, codec=codec
            )
            for codec in measured or codecs
        )

    def __repr__(self) -> str:
        backbone, model = self.backbone, self.exits.name.value
        return f"Planner({backbone.name} on {self.topology.name}, {self.codec.value}, {model} exit model)"

    def on(self, topology: Topology) -> "Planner":
        """The planner of the same profile and options on another topology; only what depends on that is worked out.

        Raises `InputError` where the profile or the options don't go with the topology.
        """
        return replace(self, topology=topology, costs=self.work.on(topology))

    def allowed(self, constraints: Constraints, *, least_energy: bool = False) -> Space:
        """What the constraints leave of all plans. Raises `InputError` where they don't go with the problem.

        least_energy: whether energy, and not latency, is to be least.
        """
        if constraints.threshold_per_exit and not isinstance(self.exits, Replay):
            fail("threshold_per_exit", f"the {self.exits.name.value} model has one threshold", "use the replay model")
        if constraints.floor_by_class and not isinstance(self.exits, Replay):
            problem = f"the {self.exits.name.value} model knows nothing of classes"
            fail(constraints.floor_by_class, problem, "use the replay model, which needs an exit table")
        return space(
            constraints, self.backbone, self.topology, self.costs, bits=self.work.bits, least_energy=least_energy
        )

    def _allowed(self, requirement: Requirement) -> Space:
        least_energy = requirement.minimize is Objective.ENERGY
        return self.allowed(requirement.constraints, least_energy=least_energy)

    def plan_count(self, constraints: Constraints = UNCONSTRAINED) -> int:
        """How many plans an answer is optimal among, those that break a limit counted."""
        return space_size(
            blocks=len(self.backbone.blocks),
            tiers=len(self.topology.tiers),
            thresholds=len(self.exits.thresholds),
            exits_per_tier=constraints.exits_per_tier,
            per_exit=constraints.threshold_per_exit,
        )

    def estimate(self, plan: Plan) -> EstimatedPlan:
        """That plan with its estimate. Raises `InputError` where it doesn't fit, or travels in another codec."""
        if plan.codec is not self.codec:
            fail("plan", f"travels as {plan.codec.value}, not as {self.codec.value}", "ask a planner of that codec")
        return EstimatedPlan(plan, estimate(plan, topology=self.topology, costs=self.costs, exits=self.exits))

    def frontier(self, requirement: Requirement = NO_REQUIREMENT) -> tuple[EstimatedPlan, ...]:
        """Every allowed plan that no other beats in both accuracy and latency, fastest first; empty if none is allowed.

        requirement: its floor and its limit are not looked at; where energy is to be least, that stands for latency,
            and the limit on latency is kept.
        """
        return self.frontier_within(requirement)[0]

    def frontier_within(
        self, requirement: Requirement, stop: BoolArray | None = None
    ) -> tuple[tuple[EstimatedPlan, ...], Gap | None]:
        """The frontier, or where the search was ended early that of the plans seen, and what is proven of the rest.

        stop: [1] whoever sets it to true, from another thread, ends the search.
        """
        # A limit on latency says where to stop on the frontier of latency; on that of energy it says what to leave out.
        limit = math.inf if requirement.minimize is Objective.LATENCY else requirement.limit
        return self._search(FRONTIER, requirement, -math.inf, limit, self._allowed(requirement), stop)

    def best(self, requirement: Requirement, stop: BoolArray | None = None) -> SearchResult:
        """The plan that is wanted: the fastest, that of least energy, or the most accurate; else the nearest.

        stop: as for `frontier_within`.
        Raises `InputError` where the requirement has neither a floor nor a limit, or doesn't go with the problem.
        """
        found = self.meeting(requirement, stop)
        if found.best is not None or found.gap is not None:
            return found
        allowed = self._allowed(requirement)
        nearest, gap = self._search(LEAST_LATENCY, requirement, requirement.floor, math.inf, allowed, stop)
        if not nearest and not gap:
            nearest, gap = self._search(MOST_ACCURACY, requirement, -math.inf, math.inf, allowed, stop)
        return SearchResult(best=None, nearest=nearest[0] if nearest else None, gap=gap)

    def meeting(self, requirement: Requirement, stop: BoolArray | None = None) -> SearchResult:
        """The same without the nearest: to find that none is good enough takes less than to find the nearest.

        stop: as for `frontier_within`.
        Raises `InputError` as `best` does.
        """
        requirement.check_goal()
        allowed, floor, limit = self._allowed(requirement), requirement.floor, requirement.limit
        goal = LEAST_LATENCY if requirement.wants_least else MOST_ACCURACY
        plans, gap = self._search(goal, requirement, floor, limit, allowed, stop)
        return SearchResult(best=plans[0] if plans else None, gap=gap)

    def _search(
        self,
        goal: int,
        requirement: Requirement,
        floor: float,
        limit: float,
        allowed: Space,
        stop: BoolArray | None,
    ) -> tuple[tuple[EstimatedPlan, ...], Gap | None]:
        rows, least, surest = self._rows(goal, requirement, floor, limit, allowed, stop)
        gap = None
        if least < math.inf:
            least_s, least_j = (float(least), None) if allowed.latency == 0 else (0.0, float(least))
            gap = Gap(least_s, float(surest), least_j)
        plans = [self.estimate(self._plan(row, allowed.places)) for row in rows.tolist()]
        # The search adds up in another order than the estimate: what ties here may not have tied there.
        return unbeaten(plans, requirement), gap

    def _rows(
        self,
        goal: int,
        requirement: Requirement,
        floor: float,
        limit: float,
        allowed: Space,
        stop: BoolArray | None,
    ) -> tuple[IntArray, float, float]:
        constraints, latency = requirement.constraints, requirement.latency
        stop = np.zeros(1, np.bool_) if stop is None else stop
        limits = allowed.limits.copy()
        limits[allowed.latency] = limit
        arrays = allowed.arrays(constraints.exits_per_tier)
        compiled = self._worth_compiling(constraints) if self.compiled is None else self.compiled
        if isinstance(self.exits, Additive):
            if latency is not Latency.MEAN:
                fail("latency", f"the {self.exits.name.value} model knows the mean alone", "use the replay model")
            # While its arrays grow there are two of them, the new one twice as large.
            label_bytes = 3 * 8 * (len(limits) + 9)
            most_labels = int(min(requirement.limits.memory_bytes / label_bytes, 2**62))
            search = _additive(compiled=compiled)
            rates = (self.exits.exited, self.exits.branch_accuracy)
            found = search(*rates, *arrays, allowed.fits_more_than_first, floor, limits, goal, stop, most_labels)
        else:
            assert isinstance(self.exits, Replay)
            self.exits.check_memory(requirement.limits.memory_bytes)
            search = _replay(compiled=compiled)
            samples = (*self.exits.bit_sets(), not constraints.threshold_per_exit)
            by_class = class_floors(self.exits.table.label, constraints)
            found = search(*samples, *arrays, float(latency.value), floor, limits, goal, stop, *by_class)
        _, rows, least, surest = found
        return rows, least, surest

    def _worth_compiling(self, constraints: Constraints) -> bool:
        steps = len(self.exits.thresholds) * len(self.backbone.blocks) ** 2 * len(self.topology.tiers) ** 2
        return constraints.wide or steps > _INTERPRETED_WORK

    def _plan(self, row: list[int], places: Places) -> Plan:
        most_parts = (len(row) - 1) // 3
        parts, ends, route, levels = row[0], row[1:], row[1 + most_parts :], row[1 + 2 * most_parts :]
        return Plan(
            ends=tuple(ends[:parts]),
            placement=tuple(self.topology.tiers[places.tiers[place]].name for place in route[:parts]),
            thresholds=tuple(float(self.exits.thresholds[level]) for level in levels[: parts - 1]),
            codec=self.codec,
        )


def unbeaten(plans: Sequence[EstimatedPlan], requirement: Requirement) -> tuple[EstimatedPlan, ...]:
    """Those that no other beats in both accuracy and what is to be least, in order; of equal ones the first."""
    if len(plans) < 2:
        return tuple(plans)
    costs = np.array([requirement.cost(plan.estimate) for plan in plans])
    keep = nondominated(costs, np.array([plan.estimate.accuracy for plan in plans]))
    return tuple(plan for plan, kept in zip(plans, keep, strict=True) if kept)


def choose(frontier: Sequence[EstimatedPlan], requirement: Requirement) -> SearchResult:
    """What `Planner.best` answers, read off the whole frontier of what the requirement wants least, that first."""
    requirement.check_goal()
    meeting = [plan for plan in frontier if requirement.met_by(plan.estimate)]
    if meeting:
        return SearchResult(best=meeting[0] if requirement.wants_least else meeting[-1])
    accurate = [plan for plan in frontier if plan.estimate.accuracy >= requirement.floor]
    return SearchResult(best=None, nearest=next(iter([*accurate, *reversed(frontier)]), None))


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
