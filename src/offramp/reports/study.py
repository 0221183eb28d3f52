"""What a report tells of: a plan or several, what was asked, what others would do, what runs measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offramp.core import baselines
from offramp.core.estimate import EstimatedPlan
from offramp.core.feasible import is_feasible
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.result import RunResult
from offramp.core.spread import spread_s
from offramp.core.validation import Validation
from offramp.errors import Fault, refuse
from offramp.pipeline.solution import Solution


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan that the report tells of.

    spread_s: standard deviation of its mean latency from run to run; None where it is not known.
    meets: whether it is what was asked for.
    """

    estimated: EstimatedPlan
    spread_s: float | None
    meets: bool


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """All that a report tells.

    solution: what planning came to.
    candidates: the plans in question, at least one; the first is the one the report is about.
    systems: what published systems would choose, and last what Offramp does where it has a plan.
    runs, validations: what was measured, each with a name.
    """

    solution: Solution
    candidates: tuple[Candidate, ...]
    systems: tuple[baselines.ComparedSystem, ...]
    runs: tuple[tuple[str, RunResult], ...]
    validations: tuple[tuple[str, Validation], ...]

    @classmethod
    def of(
        cls,
        solution: Solution,
        *,
        plans: Sequence[Plan] = (),
        results: Sequence[tuple[str, RunResult | Validation]] = (),
    ) -> Study:
        """The study of `plans`; without any, of those that ran, and without runs, of the solution's.

        results: what runs and validations measured, each with a name.
        Raises `InputError` where a plan does not fit the profile and the topology, or a run was on another topology.
        """
        runs = tuple((name, result) for name, result in results if isinstance(result, RunResult))
        refuse(
            Fault(
                "results",
                f"{name} ran on {run.topology}, the report is about {solution.topology.name}",
                f"report on the topology {run.topology}, or leave the run out",
            )
            for name, run in runs
            if run.topology != solution.topology.name
        )
        told = tuple(dict.fromkeys(plans or [run.plan for _, run in runs])) or (solution.plan,)
        return cls(
            solution=solution,
            candidates=tuple(_candidate(plan, solution, _planner(solution, plan)) for plan in told),
            systems=baselines.compare(solution.profile, solution.planner, solution.requirement),
            runs=runs,
            validations=tuple((name, result) for name, result in results if isinstance(result, Validation)),
        )


def _planner(solution: Solution, plan: Plan) -> Planner:
    """The solution's planner, or one like it where the plan's activations or its input travel in another codec."""
    planner = solution.planner
    if planner.serves(plan):
        return planner
    return Planner.of(
        solution.profile,
        solution.topology,
        exits=planner.exits.name,
        compute=planner.work.compute,
        thresholds=planner.exits.thresholds.tolist(),
        codec=plan.codec,
        inputs=(plan.input_codec,),
    )


def _candidate(plan: Plan, solution: Solution, planner: Planner) -> Candidate:
    requirement = solution.requirement
    if plan == solution.plan:
        estimated, meets = solution.estimated, solution.met
    else:
        estimated = planner.estimate(plan)
        meets = (
            requirement.met_by(estimated.estimate)
            and plan.codec in requirement.codecs
            and (plan.input_codec in requirement.input_codecs or plan.placement[0] == solution.topology.source)
            and is_feasible(planner, estimated, requirement.constraints)
        )
    return Candidate(estimated, spread_s(estimated, profile=solution.profile, topology=solution.topology), meets)
