"""Many plans run on this machine, predicted against measured."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from offramp.core.codec import InputCodec
from offramp.core.exits import ExitModelName
from offramp.core.feasible import is_feasible
from offramp.core.latency import ComputeSource
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.requirement import Requirement
from offramp.core.topology import Topology
from offramp.core.validation import Achieved, ValidatedPlan, Validation
from offramp.errors import fail
from offramp.files import RequirementWords, write_validation
from offramp.pipeline.arguments import (
    check_answerable,
    path_of,
    planner_of,
    planners_of,
    profile_of,
    require_training,
    requirement_of,
    run_of,
    same_backbone,
    topologies_of,
    whole_number,
)
from offramp.pipeline.progress import ShowProgress, counted, reporting
from offramp.pipeline.sampling import MOST_PARTITIONS, trial_plans
from offramp.view.drawing import save_figure
from offramp.view.latency import AgreementPicture

if TYPE_CHECKING:
    from offramp.nn.training.run import Run

DEADLINE_S = 120.0


def validate(
    run: Run | str | Path,
    profile: Profile | str | Path,
    topology: Topology | str | Path | Sequence[Topology | str | Path] = ("mobile", "iot"),
    requirement: Requirement | str | Path | None = None,
    *,
    plans: int = 20,
    count: int = 20,
    exit_model: ExitModelName | str | None = None,
    compute: ComputeSource | str | None = None,
    thresholds: Sequence[float] | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    progress: ShowProgress = None,
    **words: Unpack[RequirementWords],
) -> Validation:
    """Run many plans on this machine and compare what was predicted with what was measured; no plan is left out.

    Half of the plans are from the frontier, of those that meet the requirement, and the others drawn at random among
    all that its limits allow, of up to five partitions. Predicted is what the model says of the very samples that are
    sent.

    run: a run, or its folder. profile: that was made of it on this machine.
    topology: one or several to run plans on.
    requirement, words, exit_model, compute, thresholds: as in `solve`. Where neither a requirement nor a codec is
        given, activations travel in any.
    plans: how many on each topology.
    count: how many held-out samples to send through each.
    seed: of the random plans.
    out: a folder for validation.json, written plan by plan, and validation.png.
    Raises `InputError` for what can't be used, and where a plan's samples were not all answered as planned.
    """
    require_training()
    if requirement is None:
        words = {"codec": "any", **words}
    asked = requirement_of(requirement, words)
    check_answerable(asked, "a validation")
    whole_number("plans", plans, least=1)
    whole_number("count", count, least=2)
    whole_number("seed", seed)
    topologies = topologies_of(topology)
    measured, trained = profile_of(profile), run_of(run)
    same_backbone(trained, measured, "profile")
    folder = None if out is None else _folder(path_of("out", out, "a folder for what was measured"))
    validated: list[ValidatedPlan] = []
    with reporting(progress) as tell:
        for tiers in topologies:
            judges = planners_of(measured, tiers, asked)
            planners = planners_of(
                measured, tiers, asked, exit_model=exit_model, compute=compute, thresholds=thresholds
            )
            chosen = _chosen(planners[0], judges, asked, plans, seed)
            ran = _validated(trained, measured, tiers, chosen, count)
            for plan in counted(ran, f"plans on {tiers.name}", total=len(chosen), tell=tell):
                validated.append(plan)
                if folder is not None:
                    write_validation(Validation(tuple(validated)), folder / "validation.json")
    validation = Validation(tuple(validated))
    if folder is not None:
        save_figure(AgreementPicture.of(validation), folder / "validation.png")
    return validation


def _folder(out: Path) -> Path:
    if out.exists() and not out.is_dir():
        fail("out", f"{out} is a file", "give a folder")
    out.mkdir(parents=True, exist_ok=True)
    return out


def _chosen(
    planner: Planner, judges: Sequence[Planner], requirement: Requirement, count: int, seed: int
) -> tuple[Plan, ...]:
    """Half of them from the planner's frontier, the others at random.

    judges: planners that can estimate any plan, of the codecs that are allowed.
    """
    # A random plan may have several exits on a tier, and a threshold for each: what runs them makes no difference.
    wide = replace(requirement.constraints, exits_per_tier=MOST_PARTITIONS, threshold_per_exit=True)
    members = planner.frontier(requirement)

    def allowed(plan: Plan) -> bool:
        judge = next((each for each in judges if each.serves(plan)), None)
        return judge is not None and is_feasible(judge, judge.estimate(plan), wide)

    return trial_plans(
        [plan for plan in members if not requirement.has_goal or requirement.met_by(plan.estimate)],
        count,
        blocks=len(planner.backbone.blocks),
        topology=planner.topology,
        thresholds=planner.exits.thresholds.tolist(),
        codecs=[*dict.fromkeys(judge.codec for judge in judges)],
        input_codecs=[*dict.fromkeys(codec for judge in judges for codec in judge.inputs.codecs)] or [InputCodec.RAW],
        allowed=allowed,
        seed=seed,
    )


def _validated(
    run: Run, profile: Profile, topology: Topology, plans: tuple[Plan, ...], count: int
) -> Iterator[ValidatedPlan]:
    """Each plan, after it has run; on one deployment that was built for all of them."""
    from offramp.bundle import write_bundle
    from offramp.nn.network import selected
    from offramp.pipeline.measure_run import run_result
    from offramp.pipeline.partitions import export_plans
    from offramp.pipeline.reference import run_locally
    from offramp.runtime.local import LocalDeployment
    from offramp.runtime.tier.serve import load_sessions

    samples = run.dataset.test[:count]
    network = selected(run.network, {end for plan in plans for end in plan.ends})
    planned = planner_of(profile, topology, plans[0]).estimate(plans[0]).estimate
    exported = export_plans(
        network, run.dataset, plans, profile=profile, topology=topology, estimate_before=planned, provenance={}
    )
    with tempfile.TemporaryDirectory(prefix="offramp-") as folder:
        bundle = Path(folder) / "bundle"
        write_bundle(exported.manifest, exported.models, profile, bundle)
        sessions = load_sessions(bundle, exported.manifest)
        with LocalDeployment(bundle, emulate=bundle / "profile.json") as deployment, deployment.client() as client:
            for plan in plans:
                outputs = run_locally(sessions, plan, samples.images, samples.labels)
                predicted = outputs.estimate(profile=profile, topology=topology)
                answers = list(client.ask_all(samples.images, deadline_s=DEADLINE_S, plan=plan))
                result = run_result(
                    answers, samples.labels, plan=plan, topology=topology.name, predicted=predicted, replayed=predicted
                )
                measured, outcomes = result.measured, result.outcomes
                if measured is None or measured.accuracy is None or outcomes.failed or outcomes.degraded:
                    problem = f"{outcomes.failed} of {count} samples failed, {outcomes.degraded} degraded"
                    fail(str(plan), problem, "let the machine do nothing else, and look at what `offramp run` says")
                yield ValidatedPlan(
                    topology=topology.name,
                    plan=plan,
                    samples=outcomes.answered,
                    predicted=Achieved(
                        accuracy=predicted.accuracy, latency_s=predicted.latency_s, exit_rates=predicted.exit_rates
                    ),
                    measured=Achieved(
                        accuracy=measured.accuracy, latency_s=measured.latency_s, exit_rates=measured.exit_rates
                    ),
                )
