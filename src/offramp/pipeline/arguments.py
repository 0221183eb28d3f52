"""What the verbs take: values, or names and paths of files; checked at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from importlib.util import find_spec
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, runtime_checkable

from offramp.core.exits import ExitModelName
from offramp.core.input_choice import together
from offramp.core.latency import ComputeSource
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.requirement import Objective, Requirement
from offramp.core.topology import Topology
from offramp.errors import MissingExtraError, fail
from offramp.files import RequirementWords, read_plan, read_profile, read_requirements, read_topology

if TYPE_CHECKING:
    from offramp.nn.training.run import Run

E = TypeVar("E", bound=Enum)


@runtime_checkable
class HasPlan(Protocol):
    """What brings a plan along: a solution, a prediction, a bundle, a run of one, an estimated plan."""

    @property
    def plan(self) -> Plan:
        """The plan."""
        ...


PlanSource: TypeAlias = Plan | HasPlan | str | Path
"""A plan, what brings one along, its one-line form, or the path of a file that holds one."""

_TRAINS = ("torch", "safetensors", "sklearn", "onnx", "onnxscript", "onnxruntime", "msgspec", "zstandard")
_RUNS = ("zenoh", "onnxruntime", "msgspec", "cryptography", "zstandard")


def profile_of(profile: Profile | str | Path, place: str = "profile") -> Profile:
    """A profile, the path of one, or the name of one that ships; given at that place."""
    if isinstance(profile, Profile):
        return profile
    return read_profile(_text(place, profile, "a Profile, or the name or path of one"))


def topology_of(topology: Topology | str | Path) -> Topology:
    """A topology, the path of one, or the name of one that ships."""
    if isinstance(topology, Topology):
        return topology
    return read_topology(_text("topology", topology, "a Topology, or the name or path of one"))


def topologies_of(topology: Topology | str | Path | Sequence[Topology | str | Path]) -> list[Topology]:
    """One topology or several, each as `topology_of` takes it."""
    if isinstance(topology, Topology | str | Path):
        return [topology_of(topology)]
    if not isinstance(topology, Iterable):
        fail("topology", f"is {type(topology).__name__}", "give one or several: Topology, name or path")
    return [topology_of(one) for one in topology]


def plan_of(plan: PlanSource, place: str = "plan") -> Plan:
    """The plan that is meant, given at that place."""
    if isinstance(plan, Plan):
        return plan
    if isinstance(plan, HasPlan):
        return plan.plan
    return read_plan(_text(place, plan, "a Plan, its one-line form, or the path of one"))


def plans_of(place: str, plans: PlanSource | Iterable[PlanSource]) -> list[Plan]:
    """One plan or several, each as `plan_of` takes it, given at that place."""
    if isinstance(plans, Plan | HasPlan | str | Path):
        return [plan_of(plans, place)]
    if not isinstance(plans, Iterable):
        fail(place, f"is {type(plans).__name__}", "give plans: each a Plan, its one-line form, or the path of one")
    return [plan_of(plan, f"{place}[{number}]") for number, plan in enumerate(plans)]


def run_of(run: Run | str | Path) -> Run:
    """A training run, or the folder of one."""
    require_training()
    from offramp.nn.training.run import Run, read_run

    return run if isinstance(run, Run) else read_run(Path(_text("run", run, "a Run, or the folder of one")))


def same_backbone(run: Run, profile: Profile, place: str) -> None:
    """Raise `InputError` where a profile, given at that place, is of another network than the run's."""
    from offramp.nn.profiling.profiler import describe

    measured, planned = describe(run.network, run.dataset, backbone=run.setup.backbone), profile.backbone
    if measured != planned:
        profiled, trained = (f"{backbone.name} on {backbone.dataset}" for backbone in (planned, measured))
        problem = f"the profile is of {profiled}, the run is of {trained}"
        if profiled == trained:
            problem = f"the blocks of {profiled} in the profile differ from those of the run"
        fail(place, problem, "give the profile that was made from this run")


def requirement_of(requirement: Requirement | str | Path | None, words: RequirementWords) -> Requirement:
    """The requirement that is given as a value, or stated by a YAML file and words, which take precedence."""
    if isinstance(requirement, Requirement):
        if words:
            problem = f"is given beside a Requirement: {', '.join(words)}"
            fail("requirement", problem, "give either a Requirement, or words and a file of them")
        return requirement
    if requirement is not None:
        requirement = _text("requirement", requirement, "a Requirement, or the path of a YAML file")
    return read_requirements(requirement, **words)


def check_answerable(requirement: Requirement, verb: str, *, timed: bool = False, certified: bool = False) -> None:
    """Raise `InputError` where least energy, a certificate, or a limit on time, is asked of a verb that has none.

    timed, certified: whether it has.
    """
    if requirement.minimize is Objective.ENERGY:
        problem = f"{verb} looks for the least latency"
        fail("minimize", problem, "limit the energy with max_energy, or ask for one plan: solve, or offramp plan")
    if not certified and requirement.certifies(samples=False):
        place = "certify" if requirement.certify else "confidence"
        fail(place, f"{verb} certifies nothing", "leave it out, and have one plan certified: solve, or offramp plan")
    if requirement.limits.time_s is not None and not timed:
        fail("time_limit", f"{verb} brings every search to its end", "leave it out, or give a memory_limit")


def planner_of(
    profile: Profile,
    topology: Topology,
    plan: Plan,
    *,
    exit_model: ExitModelName | str | None = None,
    compute: ComputeSource | str | None = None,
) -> Planner:
    """A planner of the plan's codecs; None stands for the defaults of `Planner.of`."""
    return Planner.of(
        profile,
        topology,
        exits=member("exit_model", ExitModelName, exit_model),
        compute=member("compute", ComputeSource, compute),
        codec=plan.codec,
        inputs=(plan.input_codec,),
    )


def planners_of(
    profile: Profile,
    topology: Topology,
    asked: Requirement,
    *,
    exit_model: ExitModelName | str | None = None,
    compute: ComputeSource | str | None = None,
    thresholds: Sequence[float] | None = None,
    compiled: bool | None = None,
    bits_matter: bool = False,
) -> tuple[Planner, ...]:
    """A planner for each of the codecs that are allowed, as `Planner.each` makes them; None: its defaults.

    bits_matter: whether what travels may be counted by the bit, even if the requirement doesn't.
    """
    return Planner.each(
        profile,
        topology,
        asked.codecs,
        exits=member("exit_model", ExitModelName, exit_model),
        compute=member("compute", ComputeSource, compute),
        thresholds=thresholds,
        compiled=compiled,
        inputs=together(asked.input_codecs, bits_matter=bits_matter or asked.counts_bits),
    )


def member(place: str, kind: type[E], value: E | str | None) -> E | None:
    """The member of an enumeration that is given, itself or by its value; None where None is."""
    if value is None or isinstance(value, kind):
        return value
    known = {str(choice.value): choice for choice in kind}
    if not isinstance(value, str) or value not in known:
        fail(place, f"{value!r} is unknown", f"use one of {', '.join(known)}")
    return known[value]


def path_of(place: str, value: str | Path, wanted: str) -> Path:
    """The path that is given. Raises `InputError` where something else is, saying what was wanted."""
    return Path(_text(place, value, wanted))


def whole_number(place: str, value: int, *, least: int = 0, most: int | None = None) -> None:
    """Raise `InputError` where the argument of that name is no whole number from `least` to `most`."""
    wanted = f"give {least} or more" if most is None else f"give {least} to {most}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        fail(place, f"{value!r} is not a whole number", wanted)
    if value < least or (most is not None and value > most):
        fail(place, f"{value} is too {'small' if value < least else 'large'}", wanted)


def require_training() -> None:
    """Raise `MissingExtraError` where the packages that train and measure are not installed."""
    if any(find_spec(package) is None for package in _TRAINS):
        raise MissingExtraError("training needs PyTorch and more: pip install 'offramp[train]'")


def require_runtime() -> None:
    """Raise `MissingExtraError` where the packages that run bundles are not installed."""
    if any(find_spec(package) is None for package in _RUNS):
        raise MissingExtraError("running bundles needs more packages: pip install 'offramp[run]'")


def _text(place: str, value: object, wanted: str) -> str | Path:
    if not isinstance(value, str | Path):
        fail(place, f"is {type(value).__name__}", f"give {wanted}")
    if value == "":
        fail(place, "is empty", f"give {wanted}")
    return value
