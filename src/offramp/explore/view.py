"""What is asked, answered: the plan, and all that is known of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from offramp.core.baselines import ComparedSystem, compare
from offramp.core.checks import BoolArray
from offramp.core.estimate import EstimatedPlan
from offramp.core.exits import ExitModelName, Replay
from offramp.core.latency import ComputeSource
from offramp.core.planner import Planner, serving
from offramp.core.profile import Profile
from offramp.core.requirement import NO_REQUIREMENT, Requirement
from offramp.core.search_result import Gap
from offramp.core.topology import Topology
from offramp.errors import InputError
from offramp.explore.state import State, default_axes
from offramp.pipeline.arguments import check_answerable, planners_of
from offramp.pipeline.solution import Solution
from offramp.pipeline.solve import default_requirement, frontier_among, solve_among
from offramp.view.frontier import FrontierPicture
from offramp.view.text import percent, seconds


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The answer to a state.

    planners: of the state's topology, one for each codec.
    solution: the plan, or where nothing has what was asked the nearest; None where there is no plan at all.
    trouble: why there is none; empty where there is one.
    pins: the state's pinned plans, with their estimates.
    """

    state: State
    planners: tuple[Planner, ...]
    solution: Solution | None
    trouble: str
    pins: tuple[EstimatedPlan, ...]

    @property
    def planner(self) -> Planner:
        """The planner of the plan's codec; the first where there is no plan."""
        return self.solution.planner if self.solution else self.planners[0]

    @property
    def headline(self) -> str:
        """What the plan is, or why there is none, in one sentence."""
        return f"{self.solution.headline}." if self.solution else self.trouble

    @property
    def sentences(self) -> tuple[str, ...]:
        """How sure that is, and what to give up where no plan has all that was asked."""
        if self.solution is None:
            return ()
        latency = self.solution.requirement.latency
        single = [
            f"Without the {_ASKED.get(relaxation.given_up[0], relaxation.given_up[0])}: "
            f"{percent(relaxation.plan.estimate.accuracy)} in {seconds(latency.of(relaxation.plan.estimate))}, "
            f"by {relaxation.plan.plan}."
            for relaxation in self.solution.relaxations
            if len(relaxation.given_up) == 1
        ]
        nearest = []
        if self.solution.certificate is not None:
            nearest = [self.solution.guarantee]
        elif not self.solution.met:
            nearest = ["Shown is the plan that comes nearest."]
        return (*nearest, *(single if len(single) > 1 else ()), *self.solution.proof)

    @property
    def listed(self) -> tuple[EstimatedPlan, ...]:
        """The plan, then those pinned that are others."""
        shown = (self.solution.estimated,) if self.solution else ()
        return (*shown, *(pin for pin in self.pins if pin not in shown))


_ASKED = {"min_accuracy": "floor on accuracy", "max_latency": "limit on latency"}


@dataclass(frozen=True, slots=True, eq=False)
class Explorer:
    """What is explored.

    profile: what was measured.
    planners: of the profile on the first topology, one for each codec that is allowed, with their search compiled.
    base: the state that the page begins with.
    profile_source, topology_source: how a command line names the two. flags: the model's options there.
    """

    profile: Profile
    planners: tuple[Planner, ...]
    base: State
    profile_source: str
    topology_source: str
    flags: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        profile: Profile,
        topology: Topology,
        requirement: Requirement = NO_REQUIREMENT,
        *,
        profile_source: str,
        topology_source: str,
        exit_model: ExitModelName | str | None = None,
        compute: ComputeSource | str | None = None,
        thresholds: Sequence[float] | None = None,
    ) -> Explorer:
        """An explorer that begins with what is asked.

        requirement: without a floor and a limit, the floor that stands in where nothing is asked, to half a percent.
        exit_model, compute, thresholds: as for `solve`.
        Raises `InputError` where the profile lacks what the topology or the exit model needs, or where no plan is
        allowed.
        """
        check_answerable(requirement, "the explorer", certified=True)
        planners = planners_of(
            profile,
            topology,
            requirement,
            exit_model=exit_model,
            compute=compute,
            thresholds=thresholds,
            compiled=True,
            # What counts bits may be set while the page is open.
            bits_matter=True,
        )
        planner = planners[0]
        if not requirement.has_goal:
            stand_in = default_requirement(frontier_among(planners, requirement)[0], requirement)
            requirement = replace(stand_in, min_accuracy=int(200 * (stand_in.min_accuracy or 0.0)) / 200)
        flags = [] if exit_model is None else ["--exit-model", planner.exits.name.value]
        if planner.work.compute is not None:
            flags += ["--compute", planner.work.compute.value]
        if thresholds is not None:
            flags += ["--thresholds", ",".join(map(repr, planner.exits.thresholds.tolist()))]
        state = State(topology, requirement, axes=default_axes(topology))
        return cls(profile, planners, state, profile_source, topology_source, tuple(flags))

    @property
    def replays(self) -> bool:
        """Whether the exits of each sample are known, and not their rates alone."""
        return isinstance(self.planners[0].exits, Replay)

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

    def planners_for(self, state: State) -> tuple[Planner, ...]:
        """The planners of that state's topology. Raises `InputError` where the profile does not go with it."""
        return tuple(planner.on(state.topology) for planner in self.planners)

    def view(self, state: State, stop: BoolArray | None = None) -> View:
        """The answer to a state; never raises, it says what is the trouble.

        stop: as for `Planner.best`.
        """
        planners = self.planners
        try:
            planners = self.planners_for(state)
            solution = solve_among(self.profile, planners, state.asked, stop=stop, frontier=False)
            pins = tuple(serving(planners, plan).estimate(plan) for plan in state.pins)
            return View(state, planners, solution, "", pins)
        except InputError as error:
            return View(state, planners, None, str(error), ())


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What there is around a plan, which may take a while to find.

    members: the frontier, fastest first. gap: what is proven of the rest where its search was ended early.
    systems: what published systems would choose.
    """

    members: tuple[EstimatedPlan, ...] = ()
    gap: Gap | None = None
    systems: tuple[ComparedSystem, ...] = ()

    @classmethod
    def of(cls, view: View, stop: BoolArray | None = None) -> Surroundings:
        """The frontier around a view's plan; the systems take longer than most frontiers.

        stop: as for `Planner.best`.
        """
        if view.solution is None:
            return cls()
        return cls(*frontier_among(view.planners, view.solution.requirement, stop))

    def with_systems(self, view: View) -> Surroundings:
        """With what published systems would choose; without where there is no plan, or no whole frontier."""
        if view.solution is None or self.gap is not None:
            return self
        compared = compare(view.solution.profile, view.planner, view.solution.requirement)
        return replace(self, systems=compared[:-1])


def frontier_picture(view: View, surroundings: Surroundings) -> FrontierPicture | None:
    """The plan among its surroundings and the pinned plans; None where there is no plan."""
    if view.solution is None:
        return None
    return FrontierPicture.of(
        surroundings.members,
        view.solution.estimated,
        view.solution.requirement,
        topology=view.state.topology,
        plan_count=view.solution.plan_count,
        pinned=view.listed[1:],
        systems=surroundings.systems,
    )
