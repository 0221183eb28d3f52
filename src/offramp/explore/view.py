"""What is asked, answered: the plan, and all that is known of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from offramp.core.baselines import ComparedSystem, compare
from offramp.core.estimate import EstimatedPlan
from offramp.core.exits import ExitModelName, Replay, at_or_below
from offramp.core.latency import ComputeSource
from offramp.core.planner import Gap, Planner, SearchLimits
from offramp.core.profile import Profile
from offramp.core.topology import Topology
from offramp.errors import InputError
from offramp.explore.state import State, default_axes
from offramp.files import Requirements
from offramp.pipeline.solve import Found, default_requirement, find
from offramp.view.text import headline, percent, proof, seconds


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The answer to a state.

    planner: of the state's topology and options.
    found: the plan, or where nothing has what was asked the nearest; None where there is no plan at all.
    trouble: why there is none; empty where there is one.
    pins: the state's pinned plans, with what they achieve there.
    """

    state: State
    planner: Planner
    found: Found | None
    trouble: str
    pins: tuple[EstimatedPlan, ...]

    @property
    def headline(self) -> str:
        """What the plan is, or why there is none, in one sentence."""
        return f"{headline(self.planner, self.found)}." if self.found else self.trouble

    @property
    def sentences(self) -> tuple[str, ...]:
        """How sure that is, and what to give up where no plan has all that was asked."""
        if self.found is None:
            return ()
        ways = [
            f"Without the {_ASKED.get(way.given_up[0], way.given_up[0])}: {percent(way.plan.estimate.accuracy)} in "
            f"{seconds(self.found.wanted.latency.of(way.plan.estimate))}, by {way.plan.plan}."
            for way in self.found.ways
            if len(way.given_up) == 1
        ]
        nearest = [] if self.found.met else ["Shown is the plan that comes nearest."]
        return (*nearest, *(ways if len(ways) > 1 else ()), *proof(self.found))

    @property
    def listed(self) -> tuple[EstimatedPlan, ...]:
        """The plan, then those pinned that are others."""
        shown = (self.found.shown,) if self.found else ()
        return (*shown, *(each for each in self.pins if each not in shown))


_ASKED = {"min_accuracy": "floor on accuracy", "max_latency": "limit on latency"}


@dataclass(frozen=True, slots=True, eq=False)
class Explorer:
    """What is explored.

    profile: what was measured.
    planner: of the profile on the first topology, with its search compiled.
    base: the state that the page begins with.
    profile_source, topology_source: how a command line names the two. flags: what else it says.
    """

    profile: Profile
    planner: Planner
    base: State
    profile_source: str
    topology_source: str
    flags: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        profile: Profile,
        topology: Topology,
        *,
        profile_source: str,
        topology_source: str,
        exits: ExitModelName | None = None,
        compute: ComputeSource | None = None,
    ) -> Explorer:
        """An explorer that begins with the floor that stands in where nothing is asked, to half a percent.

        Raises `InputError` where the profile lacks what the topology or the exit model needs.
        """
        planner = Planner.of(profile, topology, exits=exits, compute=compute, compiled=True)
        floor = default_requirement(planner.frontier()).min_accuracy or 0.0
        state = State(topology, min_accuracy=int(200 * floor) / 200, axes=default_axes(topology))
        flags: tuple[str, ...] = () if exits is None else ("--exit-model", exits.value)
        flags += () if compute is None else ("--compute", compute.value)
        return cls(profile, planner, state, profile_source, topology_source, flags)

    @property
    def replays(self) -> bool:
        """Whether who leaves where is known of each sample."""
        return isinstance(self.planner.exits, Replay)

    @property
    def blocks(self) -> int:
        """How many blocks the backbone has."""
        return len(self.profile.backbone.blocks)

    def entered(self, state: State, key: str, text: str) -> State:
        """The state with one entry as a person writes it. Raises `InputError`."""
        return state.entered(key, text, blocks=self.blocks, replays=self.replays)

    def from_query(self, query: str) -> tuple[State, tuple[str, ...]]:
        """The state that the query of a URL means, and a sentence for each entry of it that can't be used."""
        return self.base.with_query(query, blocks=self.blocks, replays=self.replays)

    def planner_for(self, state: State) -> Planner:
        """The planner of that state. Raises `InputError` where the profile does not go with it."""
        return replace(self.planner.on(state.topology), options=state.options)

    def view(self, state: State, limits: SearchLimits) -> View:
        """The answer to a state; never raises, it says what is the trouble."""
        planner = self.planner
        try:
            planner = self.planner_for(state)
            asked = Requirements(state.requirement, state.options, confidence=None, certify=False)
            found = find(planner, asked, limits, frontier=False, seed=0)
            return View(state, planner, found, "", tuple(planner.estimate(plan) for plan in state.pins))
        except InputError as error:
            return View(state, planner, None, str(error), ())


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What there is around a plan, which may take a while to find.

    members: the frontier, fastest first. gap: what is proven of the rest where its search was ended early.
    systems: what published systems would choose.
    """

    members: tuple[EstimatedPlan, ...]
    gap: Gap | None = None
    systems: tuple[ComparedSystem, ...] = ()

    @classmethod
    def of(cls, view: View, limits: SearchLimits) -> Surroundings:
        """The frontier around a view's plan; the systems take longer than most frontiers."""
        if view.found is None:
            return cls(())
        return cls(*view.planner.frontier_within(limits, view.found.wanted.latency))

    def with_systems(self, explorer: Explorer, view: View) -> Surroundings:
        """With what published systems would choose; without where there is no plan, or no whole frontier."""
        if view.found is None or self.gap is not None:
            return self
        return replace(self, systems=compare(explorer.profile, view.planner, view.found.wanted)[:-1])


@dataclass(frozen=True, slots=True)
class ExitRow:
    """An exit of the full configuration, at one threshold for all.

    block: the one it is after.
    leave: share of all samples that leave here where every exit is in place.
    alone: share that would leave here were this the only exit before the last.
    right_alone: share of those that would then be right; None where there are none, or it is not known.
    right_all: share right if everyone left here.
    used: whether the plan has this exit.
    """

    block: int
    leave: float
    alone: float
    right_alone: float | None
    right_all: float
    used: bool


def exit_rows(planner: Planner, threshold: float, ends: Sequence[int] = ()) -> tuple[ExitRow, ...]:
    """A row for each exit, at that threshold or the nearest that was measured; `ends` are those of the plan."""
    exits, n = planner.exits, len(planner.backbone.blocks)
    if not isinstance(exits, Replay):
        threshold = nearest(exits.thresholds.tolist(), threshold)
    everywhere = exits.rates(range(1, n + 1), (threshold,) * (n - 1)).exit_rates
    rows = []
    for block in range(1, n + 1):
        alone = exits.rates((block, n), (threshold,)).exit_rates[0] if block < n else 1.0
        right = None
        if isinstance(exits, Replay):
            leave = at_or_below(exits.table.entropy[block - 1], threshold) | (block == n)
            right = float(exits.table.correct[block - 1][leave].mean()) if leave.any() else None
        right_all = exits.rates((block,), ()).accuracy
        rows.append(ExitRow(block, everywhere[block - 1], alone, right, right_all, block in ends))
    return tuple(rows)


def nearest(values: Sequence[float], wanted: float) -> float:
    """The value nearest to `wanted`."""
    return min(values, key=lambda value: abs(value - wanted))
