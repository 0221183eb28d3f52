"""What a report tells of: a plan or several, what was asked, what others would do, what runs measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offramp.core import baselines
from offramp.core.estimate import EstimatedPlan
from offramp.core.feasible import allowed
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.result import RunResult
from offramp.core.spread import spread_s
from offramp.core.validation import Validation
from offramp.errors import Fault, refuse
from offramp.pipeline.solve import Found


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

    found: what planning came to, the whole frontier with it.
    candidates: the plans in question, at least one; the first is the one the report is about.
    systems: what published systems would choose, and last what Offramp does.
    runs, validations: what was measured, each with the name of where it was read.
    """

    profile: Profile
    planner: Planner
    found: Found
    candidates: tuple[Candidate, ...]
    systems: tuple[baselines.Row, ...]
    runs: tuple[tuple[str, RunResult], ...]
    validations: tuple[tuple[str, Validation], ...]

    @classmethod
    def of(
        cls,
        profile: Profile,
        planner: Planner,
        found: Found,
        *,
        plans: Sequence[Plan] = (),
        results: Sequence[tuple[str, RunResult | Validation]] = (),
    ) -> Study:
        """The study of `plans`; without any of those that ran, and without runs of the one that was found.

        planner: of that profile.
        results: what runs and validations measured, each with the name of where it was read.
        Raises `InputError` where a plan does not fit the profile and the topology, or a run was on another topology.
        """
        runs = tuple((name, result) for name, result in results if isinstance(result, RunResult))
        refuse(
            Fault(
                "--run",
                f"{name} ran on {run.topology}, the report is about {planner.topology.name}",
                f"give --topology {run.topology}, or leave the run out",
            )
            for name, run in runs
            if run.topology != planner.topology.name
        )
        told = tuple(dict.fromkeys(plans or [run.plan for _, run in runs])) or (found.shown.plan,)
        return cls(
            profile=profile,
            planner=planner,
            found=found,
            candidates=tuple(_candidate(plan, profile, planner, found) for plan in told),
            systems=baselines.compare(profile, planner, found.wanted),
            runs=runs,
            validations=tuple((name, result) for name, result in results if isinstance(result, Validation)),
        )


def _candidate(plan: Plan, profile: Profile, planner: Planner, found: Found) -> Candidate:
    if plan == found.shown.plan:
        estimated, meets = found.shown, found.met
    else:
        estimated = planner.estimate(plan)
        meets = found.wanted.met_by(estimated.estimate) and allowed(planner, estimated)
    return Candidate(estimated, spread_s(estimated, profile=profile, topology=planner.topology), meets)
