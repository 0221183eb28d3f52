"""One given plan, and what it would achieve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.core.estimate import Estimate, EstimatedPlan
from offramp.core.exits import ExitModelName, Replay
from offramp.core.latency import ComputeSource
from offramp.core.metrics import Quality, quality_of_plan
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.spread import spread_s
from offramp.core.topology import Topology
from offramp.files import plan_document
from offramp.files.results import estimate_document
from offramp.pipeline.arguments import plan_of, planner_of, profile_of, topology_of
from offramp.view.drawing import plotted
from offramp.view.html import page, picture, table
from offramp.view.latency import TermsPicture
from offramp.view.placement import Placement
from offramp.view.text import percent, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Prediction:
    """What a given plan would achieve.

    estimated: the plan with its estimate.
    topology: what it would run on.
    exit_model: by which its exit rates are modeled.
    spread_s: standard deviation of its mean latency from run to run; None where it is not known.
    quality: what it has right class by class; None where the exit model has no samples.
    """

    estimated: EstimatedPlan
    topology: Topology
    exit_model: ExitModelName
    spread_s: float | None
    quality: Quality | None

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.estimated.plan

    @property
    def estimate(self) -> Estimate:
        """Its accuracy and latency, and their terms."""
        return self.estimated.estimate

    def document(self) -> dict[str, Any]:
        """The prediction as JSON, as `offramp estimate --json` prints it."""
        quality = {} if self.quality is None else {"quality": quality_document(self.quality)}
        return {**plan_and_estimate(self.estimated, self.spread_s), **quality}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw what the mean latency is made of, on `ax`; on a figure of its own where none is given."""
        return plotted(TermsPicture.of([(str(self.plan), self.estimate)]), ax)

    def __repr__(self) -> str:
        return f"Prediction({self.plan}: {percent(self.estimate.accuracy)}, {seconds(self.estimate.latency_s)})"

    def _repr_html_(self) -> str:
        rows = [(seconds(self.estimate.latency_s), percent(self.estimate.accuracy), str(self.plan))]
        placement = picture(Placement.of(self.topology, self.estimated), name="placement")
        return page(table(("mean latency", "accuracy", "plan"), rows), placement)


def estimate(
    profile: Profile | str | Path,
    topology: Topology | str | Path,
    plan: Plan | str | Path,
    *,
    exit_model: ExitModelName | str | None = None,
    compute: ComputeSource | str | None = None,
) -> Prediction:
    """Predict the accuracy and the latency of one given plan.

    profile, topology: values, names of those that ship, or paths of files.
    plan: a value, its one-line form, or the path of a file that holds one.
    exit_model, compute: as in `solve`.
    Raises `InputError` for what can't be used, and for a plan that doesn't fit the profile and the topology.
    """
    profile, topology, plan = profile_of(profile), topology_of(topology), plan_of(plan)
    planner = planner_of(profile, topology, plan, exit_model=exit_model, compute=compute)
    estimated = planner.estimate(plan)
    return Prediction(
        estimated,
        topology,
        planner.exits.name,
        spread_s(estimated, profile=profile, topology=topology),
        quality_of(planner, plan),
    )


def quality_of(planner: Planner, plan: Plan) -> Quality | None:
    """What a plan has right class by class; None where the exit model has no samples."""
    if not isinstance(planner.exits, Replay):
        return None
    return quality_of_plan(planner.exits.table, plan.ends, plan.thresholds)


def quality_document(quality: Quality) -> dict[str, Any]:
    """The `quality` object, of a plan or of an exit, that every command prints alike."""
    classes = zip(quality.classes.tolist(), quality.count.tolist(), quality.recall.tolist(), strict=True)
    return {
        "samples": quality.samples,
        **quality.figures(),
        "majority_share": quality.majority_share,
        "classes": [{"label": label, "samples": count, "recall": recall} for label, count, recall in classes],
    }


def plan_and_estimate(estimated: EstimatedPlan, spread_s: float | None = None) -> dict[str, Any]:
    """The `plan` and `estimate` objects that every command prints alike."""
    document = estimate_document(estimated.estimate)
    if spread_s is not None:
        document["spread_s"] = spread_s
    if estimated.plan.accuracy_is_approximate:
        document["accuracy_is_approximate"] = True
    return {"plan": plan_document(estimated.plan), "estimate": document}
