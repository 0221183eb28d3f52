"""What the verbs take: values, or names and paths of files; checked at once."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from importlib.util import find_spec
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from offramp.core.codec import Codec
from offramp.core.exits import ExitModelName
from offramp.core.latency import ComputeSource
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.requirement import Requirement
from offramp.core.topology import Topology
from offramp.errors import MissingExtraError, fail
from offramp.files import RequirementWords, read_plan, read_profile, read_requirements, read_topology

if TYPE_CHECKING:
    from offramp.nn.training.run import Run

E = TypeVar("E", bound=Enum)

_TRAINS = ("torch", "safetensors", "sklearn", "onnx", "onnxscript", "onnxruntime", "msgspec")
_RUNS = ("zenoh", "onnxruntime", "msgspec", "cryptography")


def profile_of(profile: Profile | str | Path) -> Profile:
    """A profile, the path of one, or the name of one that ships."""
    if isinstance(profile, Profile):
        return profile
    return read_profile(_text("profile", profile, "a Profile, or the name or path of one"))


def topology_of(topology: Topology | str | Path) -> Topology:
    """A topology, the path of one, or the name of one that ships."""
    if isinstance(topology, Topology):
        return topology
    return read_topology(_text("topology", topology, "a Topology, or the name or path of one"))


def plan_of(plan: Plan | str | Path) -> Plan:
    """A plan, its one-line form, or the path of a file that holds one."""
    if isinstance(plan, Plan):
        return plan
    return read_plan(_text("plan", plan, "a Plan, its one-line form, or the path of one"))


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


def uncertified(requirement: Requirement, verb: str) -> None:
    """Raise `InputError` where a bound on accuracy is asked of a verb that has none to give."""
    if requirement.confidence is not None:
        fail("confidence", f"{verb} certifies nothing", "leave it out, and certify one plan with offramp plan")


def planner_of(
    profile: Profile,
    topology: Topology,
    *,
    exit_model: ExitModelName | str | None = None,
    compute: ComputeSource | str | None = None,
    thresholds: Sequence[float] | None = None,
    codec: Codec = Codec.FP32,
) -> Planner:
    """The planner of a profile on a topology; None stands for the defaults of `Planner.of`."""
    return Planner.of(
        profile,
        topology,
        exits=member("exit_model", ExitModelName, exit_model),
        compute=member("compute", ComputeSource, compute),
        thresholds=thresholds,
        codec=codec,
    )


def planners_of(
    profile: Profile,
    topology: Topology,
    codecs: Sequence[Codec],
    *,
    exit_model: ExitModelName | str | None = None,
    compute: ComputeSource | str | None = None,
    thresholds: Sequence[float] | None = None,
    compiled: bool | None = None,
) -> tuple[Planner, ...]:
    """A planner for each of the codecs, as `Planner.each` makes them; None stands for its defaults."""
    return Planner.each(
        profile,
        topology,
        codecs,
        exits=member("exit_model", ExitModelName, exit_model),
        compute=member("compute", ComputeSource, compute),
        thresholds=thresholds,
        compiled=compiled,
    )


def member(place: str, kind: type[E], value: E | str | None) -> E | None:
    """The member of an enumeration that is given, itself or by its value; None where None is."""
    if value is None or isinstance(value, kind):
        return value
    known = {str(choice.value): choice for choice in kind}
    if value not in known:
        fail(place, f"{value!r} is unknown", f"use one of {', '.join(known)}")
    return known[str(value)]


def path_of(place: str, value: str | Path, wanted: str) -> Path:
    """The path that is given. Raises `InputError` where something else is, saying what was wanted."""
    return Path(_text(place, value, wanted))


def whole_numbers(**given: int | None) -> None:
    """Raise `InputError` where an argument, given by its name, is no whole number; None stands for a default."""
    for place, value in given.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, Integral)):
            fail(place, f"{value!r} is not a whole number", "give one such as 2")


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
    return value
