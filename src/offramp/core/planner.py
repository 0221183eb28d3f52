"""The best plan, the frontier, and the proof that nothing better exists."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from offramp.core import search_additive, search_replay
from offramp.core.backbone import Backbone
from offramp.core.checks import BoolArray, IntArray
from offramp.core.class_floors import class_floors
from offramp.core.codec import Codec, InputCodec
from offramp.core.compiling import compile_kernels
from offramp.core.constraints import UNCONSTRAINED, Constraints, Space, space
from offramp.core.counting import space_size
from offramp.core.estimate import EstimatedPlan, Latency, check_plan, estimate
from offramp.core.exits import Additive, ExitModel, ExitModelName, Replay, exit_model
from offramp.core.input_choice import RAW_INPUT, InputChoice, InputCodecs, measured_only
from offramp.core.latency import ComputeSource, Costs, Work
from offramp.core.pareto import FRONTIER, LEAST_LATENCY, MOST_ACCURACY
from offramp.core.places import Places
from offramp.core.plan import Plan
from offramp.core.profile import Profile
from offramp.core.requirement import NO_REQUIREMENT, Objective, Requirement
from offramp.core.search_result import Gap, SearchResult, unbeaten
from offramp.core.topology import Topology
from offramp.errors import fail

# Up to this much work (thresholds x blocks^2 x tiers^2) a search is over before numba is imported.
_INTERPRETED_WORK = 40_000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Planner:
    """Exact search over all thresholds, partitionings and placements of a profile on a topology.

    A planner is the problem; what is asked of a plan is the `Requirement` that goes with each question. The answers are
    optimal among `plan_count` plans: trimming, any order of tiers, any source and destination. Ties are
    decided as `offramp.core.pareto` says.

    backbone, topology, exits, costs: the problem.
    inputs: how inputs may travel, and what `costs` come from, on any topology.
    sent_as: [M] the codec that is fastest for inputs sent to each tier, which `costs` count.
    codec: what activations travel as in all its plans.
    compiled: whether to compile the search; None for only where that pays for a single answer.
    """

    backbone: Backbone
    topology: Topology
    exits: ExitModel
    costs: Costs
    inputs: InputChoice
    sent_as: InputCodecs
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
        inputs: InputCodecs = RAW_INPUT,
    ) -> "Planner":
        """A planner for that profile on that topology; the first options are those of `exit_model` and `Work.of`.

        codec: what activations travel as; the plans say so.
        inputs: what inputs may travel as: lossless codecs, of which plans take the fastest, or one lossy one, or none.
            Plans that begin on the source send no input; they count unless the codec is lossy.
        Raises `InputError` where the profile lacks what the topology or the exit model needs.
        """
        choice = InputChoice.of(profile, codec, inputs, compute=compute)
        model = exit_model(profile.encoded(codec, (inputs or RAW_INPUT)[0]), exits, thresholds=thresholds)
        costs, sent_as = choice.costs(topology)
        return cls(profile.backbone, topology, model, costs, choice, sent_as, codec, compiled)

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
        inputs: Sequence[InputCodecs] = (RAW_INPUT,),
    ) -> tuple["Planner", ...]:
        """A planner for each of the codecs, or of several for those that were measured; the rest is as in `of`.

        inputs: groups of codecs of inputs, as `together` makes them; a planner for each.
        """
        asked = [(codec, group) for codec in codecs for group in inputs]
        measured = measured_only(profile, asked)
        if not measured and len(asked) > 1:
            fail("codec", "none of those that are allowed was measured", "allow fp32, or profile the run again")
        of = partial(cls.of, profile, topology, exits=exits, compute=compute, thresholds=thresholds, compiled=compiled)
        return tuple(of(codec=codec, inputs=group) for codec, group in measured or asked)

    @property
    def work(self) -> Work:
        """What the profile says of time, on any topology."""
        return self.inputs.work

    def __repr__(self) -> str:
        backbone, model = self.backbone, self.exits.name.value
        return f"Planner({backbone.name} on {self.topology.name}, {self.codec.value}, {model} exit model)"

    def on(self, topology: Topology) -> "Planner":
        """The planner of the same profile and options on another topology; only what depends on that is worked out.

        Raises `InputError` where the profile or the options don't go with the topology.
        """
        costs, sent_as = self.inputs.costs(topology)
        return replace(self, topology=topology, costs=costs, sent_as=sent_as)

    def allowed(self, constraints: Constraints, *, least_energy: bool = False) -> Space:
        """What the constraints leave of all plans. Raises `InputError` where they don't go with the problem.

        least_energy: whether energy, and not latency, is to be least.
        """
        if constraints.threshold_per_exit and not isinstance(self.exits, Replay):
            fail("threshold_per_exit", f"the {self.exits.name.value} model has one threshold", "use the replay model")
        if constraints.floor_by_class and not isinstance(self.exits, Replay):
            problem = f"the {self.exits.name.value} model knows nothing of classes"
            fail(constraints.floor_by_class, problem, "use the replay model, which needs an exit table")
        allowed = space(
            constraints, self.backbone, self.topology, self.costs, bits=self.work.bits, least_energy=least_energy
        )
        allowed.fits[self.inputs.barred(self.topology)[list(allowed.places.tiers)], 0] = False
        return allowed

    def _allowed(self, requirement: Requirement) -> Space:
        least_energy = requirement.minimize is Objective.ENERGY
        return self.allowed(requirement.constraints, least_energy=least_energy)

    def plan_count(self, constraints: Constraints = UNCONSTRAINED) -> int:
        """How many plans an answer is optimal among, those that break a limit counted."""
        count = space_size(
            blocks=len(self.backbone.blocks),
            tiers=len(self.topology.tiers),
            thresholds=len(self.exits.thresholds),
            exits_per_tier=constraints.exits_per_tier,
            per_exit=constraints.threshold_per_exit,
        )
        return self.inputs.counted(count, tiers=len(self.topology.tiers))

    def serves(self, plan: Plan) -> bool:
        """Whether the plan's activations and its input travel as this planner's do."""
        if plan.placement[0] == self.topology.source:
            return plan.codec is self.codec and not self.inputs.is_lossy
        return plan.codec is self.codec and plan.input_codec in self.inputs.codecs

    def estimate(self, plan: Plan) -> EstimatedPlan:
        """That plan with its estimate. Raises `InputError` where it doesn't fit, or travels in another codec."""
        if plan.codec is not self.codec:
            fail("plan", f"travels as {plan.codec.value}, not as {self.codec.value}", "ask a planner of that codec")
        check_plan(plan, blocks=len(self.backbone.blocks), topology=self.topology)
        if not self.serves(plan):
            fail("plan", f"sends inputs as {plan.input_codec.value}", "ask a planner of that codec of inputs")
        costs = self.costs
        if plan.placement[0] != self.topology.source:
            counted = {self.sent_as[self.topology.index(plan.placement[0])]}
            if costs.energy is not None:
                counted.add(self.inputs.codecs[0])  # energy is counted for the first alone
            if counted != {plan.input_codec}:
                costs = self.inputs.works[plan.input_codec].on(self.topology)
        return EstimatedPlan(plan, estimate(plan, topology=self.topology, costs=costs, exits=self.exits))

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
        first = places.tiers[route[0]]
        return Plan(
            ends=tuple(ends[:parts]),
            placement=tuple(self.topology.tiers[places.tiers[place]].name for place in route[:parts]),
            thresholds=tuple(float(self.exits.thresholds[level]) for level in levels[: parts - 1]),
            codec=self.codec,
            input_codec=InputCodec.RAW if first == self.costs.source else self.sent_as[first],
        )


def serving(planners: Sequence[Planner], plan: Plan) -> Planner:
    """The first of the planners that the plan is one of. Raises `InputError` where there is none."""
    for planner in planners:
        if planner.serves(plan):
            return planner
    fail("plan", f"{plan} sends in other codecs than are allowed", "allow them, or leave the plan out")


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
