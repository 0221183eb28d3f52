"""`offramp validate`: many plans run, predicted against measured."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offramp.cli.options import JsonOption
from offramp.cli.training import require_torch, same_backbone
from offramp.errors import fail

if TYPE_CHECKING:
    from offramp.core.plan import Plan
    from offramp.core.profile import Profile
    from offramp.core.result import ValidatedPlan, Validation
    from offramp.core.topology import Topology
    from offramp.nn.training.run import Run

DEADLINE_S = 120.0


def validate(
    run: Annotated[Path, typer.Argument(help="The folder that `offramp train` wrote.")],
    profile: Annotated[str, typer.Option(help="The profile that was made of it on this machine.")],
    topology: Annotated[
        list[str], typer.Option("--topology", "-t", help="A topology to run plans on. Can be given again.")
    ] = ["mobile", "iot"],  # noqa: B006 - typer copies it
    plans: Annotated[int, typer.Option(min=1, help="How many plans on each: half of the frontier, half random.")] = 20,
    count: Annotated[int, typer.Option(min=2, help="How many held-out samples to send through each.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the random plans.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for validation.json and validation.png.")] = Path("validation"),
    json: JsonOption = False,
) -> None:
    """Run many plans on this machine and report how far the predictions are off; no plan is left out.

    Predicted is what the model says of the very samples that are sent. What was measured is kept plan by plan.

    Example: offramp validate runs/digits --profile profile.json
    """
    require_torch()
    from offramp.core.result import Validation
    from offramp.files import read_profile, read_topology, write_validation
    from offramp.nn.profiling.profiler import describe
    from offramp.nn.training.run import read_run

    trained, measured = read_run(run), read_profile(profile)
    topologies = [read_topology(name) for name in topology]
    described = describe(trained.network, trained.dataset, backbone=trained.setup.backbone)
    same_backbone(described, measured.backbone, "--profile")
    if out.exists() and not out.is_dir():
        fail("--out", f"{out} is a file", "give a folder")
    out.mkdir(parents=True, exist_ok=True)
    done: list[ValidatedPlan] = []
    for tiers in topologies:
        chosen = _choose(measured, tiers, plans, seed)
        for each in _shown(_validated(trained, measured, tiers, chosen, count), tiers, len(chosen), wanted=not json):
            done.append(each)
            write_validation(Validation(tuple(done)), out / "validation.json")
    validation = Validation(tuple(done))
    _draw(validation, out / "validation.png")
    if json:
        from offramp.cli.output import print_json
        from offramp.files.results import validation_document

        print_json(validation_document(validation))
    else:
        _print(validation, out)


def _choose(profile: Profile, topology: Topology, count: int, seed: int) -> tuple[Plan, ...]:
    from offramp.core.codec import Codec
    from offramp.core.planner import Planner
    from offramp.pipeline.sampling import trial_plans

    planner = Planner.of(profile, topology)
    return trial_plans(
        planner.frontier(),
        count,
        blocks=len(profile.backbone.blocks),
        topology=topology,
        thresholds=planner.exits.thresholds.tolist(),
        codecs=(Codec.FP32, *profile.codecs),
        seed=seed,
    )


def _validated(
    run: Run, profile: Profile, topology: Topology, plans: tuple[Plan, ...], count: int
) -> Iterator[ValidatedPlan]:
    """Each plan, after it has run; on one deployment that was built for all of them."""
    from offramp.bundle import write_bundle
    from offramp.core.planner import Planner
    from offramp.core.result import Achieved, ValidatedPlan
    from offramp.nn.network import selected
    from offramp.pipeline.build import build
    from offramp.pipeline.measure_run import run_result
    from offramp.pipeline.reference import estimate_of, plan_rates, rehearse
    from offramp.runtime.local import LocalDeployment
    from offramp.runtime.tier.serve import load_sessions

    samples = run.dataset.test
    images, labels = samples.images[:count], samples.labels[:count]
    network = selected(run.network, {end for plan in plans for end in plan.ends})
    planned = Planner.of(profile, topology, codec=plans[0].codec).estimate(plans[0]).estimate
    built = build(
        network, run.dataset, plans, profile=profile, topology=topology, estimate_before=planned, provenance={}
    )
    with tempfile.TemporaryDirectory(prefix="offramp-") as folder:
        bundle = Path(folder) / "bundle"
        write_bundle(built.manifest, built.models, profile, bundle)
        sessions = load_sessions(bundle, built.manifest)
        with LocalDeployment(bundle, emulate=bundle / "profile.json") as deployment, deployment.client() as client:
            for plan in plans:
                found = plan_rates(rehearse(sessions, plan, images, labels), plan)
                predicted = estimate_of(plan, found, profile=profile, topology=topology)
                answers = list(client.ask_all(images, deadline_s=DEADLINE_S, plan=plan))
                result = run_result(
                    answers, labels, plan=plan, topology=topology.name, predicted=predicted, replayed=predicted
                )
                measured = result.measured
                if measured is None or measured.accuracy is None or result.outcomes.failed or result.outcomes.degraded:
                    problem = f"{result.outcomes.failed} of {count} samples failed, {result.outcomes.degraded} degraded"
                    fail(str(plan), problem, "let the machine do nothing else, and look at what `offramp run` says")
                yield ValidatedPlan(
                    topology=topology.name,
                    plan=plan,
                    samples=result.outcomes.answered,
                    predicted=Achieved(
                        accuracy=predicted.accuracy,
                        latency_s=predicted.latency_s,
                        exit_rates=predicted.exit_rates,
                    ),
                    measured=Achieved(
                        accuracy=measured.accuracy, latency_s=measured.latency_s, exit_rates=measured.exit_rates
                    ),
                )


def _shown(
    validated: Iterator[ValidatedPlan], topology: Topology, count: int, *, wanted: bool
) -> Iterator[ValidatedPlan]:
    """The plans, with a bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(f"plans on {topology.name}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not wanted) as bar:
        task = bar.add_task("", total=count)
        for each in validated:
            bar.update(task, advance=1)
            yield each


def _draw(validation: Validation, path: Path) -> None:
    from matplotlib.figure import Figure

    from offramp.view.latency import AgreementPicture, draw_agreement

    figure = Figure(figsize=(7, 6), layout="constrained")
    draw_agreement(AgreementPicture.of(validation), figure.subplots())
    figure.savefig(path, dpi=150)


def _print(validation: Validation, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from offramp.view.text import percent, seconds

    console, agreement = Console(), validation.latency
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("topology", "predicted", "measured", "off by", "plan"):
        table.add_column(heading, justify="left" if heading in ("topology", "plan") else "right")
    for each in validation.plans:
        off = 100 * (each.measured.latency_s / each.predicted.latency_s - 1)
        latencies = seconds(each.predicted.latency_s), seconds(each.measured.latency_s)
        table.add_row(each.topology, *latencies, f"{off:+.2f} %", str(each.plan))
    console.print(table)
    slope = "-" if agreement.slope is None else f"{agreement.slope:.4f}"
    r2 = "-" if agreement.r2 is None else f"{agreement.r2:.5f}"
    median, worst = percent(agreement.median_relative_error), percent(agreement.worst_relative_error)
    console.print(
        f"\n{len(validation.plans)} plans: latency slope {slope}, R2 {r2}, error {median} in the median and {worst} at "
        f"worst; accuracy off by at most {validation.accuracy_worst_points:.2f} points, exit rates by "
        f"{validation.exit_rate_worst_points:.2f}.",
        highlight=False,
    )
    console.print(f"In {out}: validation.json validation.png", highlight=False)
