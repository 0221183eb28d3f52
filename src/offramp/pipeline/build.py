"""A plan becomes a bundle that runs: its branches tuned, its partitions exported and checked, a folder per tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.bundle import Manifest, check_place, read_bundle, write_bundle
from offramp.core.plan import Plan
from offramp.core.profile import Profile
from offramp.core.score import Score
from offramp.core.topology import Topology
from offramp.errors import fail
from offramp.files.results import estimate_document
from offramp.pipeline.arguments import (
    PlanSource,
    path_of,
    plan_of,
    planner_of,
    plans_of,
    profile_of,
    require_training,
    run_of,
    same_backbone,
    topology_of,
    whole_number,
)
from offramp.pipeline.progress import ShowProgress, reporting
from offramp.pipeline.solution import Solution
from offramp.view.html import page, table
from offramp.view.text import percent, seconds

if TYPE_CHECKING:
    from offramp.nn.network import MultiExitNetwork
    from offramp.nn.training.finetune import Tuned
    from offramp.nn.training.run import Run

EPOCHS = 2


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Bundle:
    """A bundle in its folder.

    folder: where it is.
    manifest: what it is.
    """

    folder: Path
    manifest: Manifest

    @property
    def plan(self) -> Plan:
        """The plan that is active from the start."""
        return self.manifest.plans[0]

    def document(self) -> dict[str, Any]:
        """The bundle as JSON, as `offramp build --json` prints it."""
        manifest = self.manifest
        return {
            "bundle": str(self.folder),
            "deployment": manifest.deployment,
            "plans": [str(plan) for plan in manifest.plans],
            "tuned": manifest.provenance.get("tuned"),
            "deviation": manifest.deviation,
            "tolerance": manifest.tolerance,
            "estimate_before": estimate_document(manifest.estimate_before),
            "estimate": estimate_document(manifest.estimate),
        }

    def comparison_rows(self) -> list[tuple[str, str, str]]:
        """What was planned beside what was built: (what, planned, built)."""
        planned, built = self.manifest.estimate_before, self.manifest.estimate
        rates = zip(self.plan.blocks, planned.exit_rates, built.exit_rates, strict=True)
        return [
            ("accuracy", percent(planned.accuracy), percent(built.accuracy)),
            ("latency", seconds(planned.latency_s), seconds(built.latency_s)),
            *(
                (f"exit after {first}-{last}", percent(before), percent(after))
                for (first, last), before, after in rates
            ),
        ]

    def __repr__(self) -> str:
        return f"Bundle({self.folder}: {self.manifest.deployment}, {self.plan})"

    def _repr_html_(self) -> str:
        return page(
            f"Bundle {self.manifest.deployment} in {self.folder}: {self.plan}",
            table(("", "as planned", "as built"), self.comparison_rows()),
        )


def build(
    run: Run | str | Path,
    plan: PlanSource,
    *,
    out: str | Path = "bundle",
    profile: Profile | str | Path | None = None,
    topology: Topology | str | Path | None = None,
    alternatives: PlanSource | Sequence[PlanSource] = (),
    epochs: int = EPOCHS,
    progress: ShowProgress = None,
) -> Bundle:
    """Turn a plan into a bundle: its branches tuned, its partitions exported and checked, a folder for every tier.

    run: a run, or its folder.
    plan: a solution, which brings its profile and topology along; or a plan, what else brings one along, its one-line
        form, or a file of one.
    out: the folder of the bundle; a bundle that is there is replaced.
    profile, topology: what a plan was planned with; the topology is `mobile` where none is given.
    alternatives: one other plan, or several, that can be switched in while the bundle runs.
    epochs: to tune the plan's branches for; with alternatives none are tuned, nor where exits alone were trained: the
        network stays as it was given.
    Raises `InputError` for what can't be used, for a profile of another network, and where a partition says something
    else in ONNX Runtime than in PyTorch.
    """
    require_training()
    from offramp.deploy import deployment_files
    from offramp.nn.profiling import machine
    from offramp.pipeline.partitions import export_plans

    out = path_of("out", out, "the folder of the bundle")
    check_place(out)
    whole_number("epochs", epochs)
    first, measured, tiers = _planned(plan, profile, topology)
    others = plans_of("alternatives", alternatives)
    plans = [first, *others]
    before = [planner_of(measured, tiers, option).estimate(option).estimate for option in plans]
    trained = run_of(run)
    same_backbone(trained, measured, "profile")
    network, tuned = _network(trained, plans, epochs=0 if others else epochs, score=measured.score, progress=progress)
    exported = export_plans(
        network,
        trained.dataset,
        plans,
        profile=measured,
        topology=tiers,
        estimate_before=before[0],
        provenance={
            "data": _origin(trained),
            "tuned": None
            if tuned is None
            else {"epochs": epochs, "before": tuned.accuracy_before, "after": tuned.accuracy_after, "kept": tuned.kept},
            "versions": machine.versions(),
        },
    )
    write_bundle(exported.manifest, exported.models, measured, out, extra=deployment_files(exported.manifest))
    return Bundle(out, exported.manifest)


def bundle_of(bundle: Bundle | str | Path) -> Bundle:
    """A bundle, or the folder of one. Raises `InputError` where there is none."""
    if isinstance(bundle, Bundle):
        return bundle
    folder = path_of("bundle", bundle, "a Bundle, or the folder of one")
    return Bundle(folder, read_bundle(folder))


def _planned(
    plan: PlanSource, profile: Profile | str | Path | None, topology: Topology | str | Path | None
) -> tuple[Plan, Profile, Topology]:
    if isinstance(plan, Solution):
        if profile is not None or topology is not None:
            given = "profile" if profile is not None else "topology"
            fail(given, "is given beside a solution, which has its own", "leave it out, or give the solution's plan")
        return plan.plan, plan.profile, plan.topology
    if profile is None:
        fail("profile", "is missing", "give the profile that the plan was made with, or a solution instead of a plan")
    return plan_of(plan), profile_of(profile), topology_of("mobile" if topology is None else topology)


def _origin(run: Run) -> dict[str, object]:
    """How to read the run's data set again."""
    source = run.dataset.source
    if source is None:
        return {}
    return {"source": source.name, "seed": source.seed, "image_size": source.size}


def _network(
    run: Run, plans: list[Plan], *, epochs: int, score: Score, progress: ShowProgress
) -> tuple[MultiExitNetwork, Tuned | None]:
    """A network with the branches of all plans, tuned if it is one plan's."""
    from offramp.nn.network import selected
    from offramp.nn.training.finetune import tune, tuned
    from offramp.pipeline.train import tell_training

    if epochs == 0 or run.setup.train == "exits":
        return selected(run.network, {end for plan in plans for end in plan.ends}), None
    with reporting(progress) as tell:
        tell_training(tune(run, plans[0], epochs=epochs), tell)
    result = tuned(run, plans[0], epochs=epochs, score=score)
    return result.network, result
