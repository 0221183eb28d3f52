"""`offramp run`: a bundle at work on this machine, predicted beside measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offramp.cli.options import JsonOption
from offramp.cli.serving import DeadlineOption, WindowOption, check_folder_of, deadline_of, require_runtime

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from offramp.bundle import Manifest
    from offramp.core.result import RunResult
    from offramp.core.topology import Topology
    from offramp.runtime.client import Answer

SamplesOption = Annotated[
    Path | None,
    typer.Option(help="An npz of images and labels, or a folder of images. [default: the data set's held-out ones]"),
]


def run(
    bundle: Annotated[Path, typer.Argument(help="The folder that `offramp build` wrote.")],
    samples: SamplesOption = None,
    count: Annotated[int, typer.Option(min=2, help="How many samples to send at most.")] = 100,
    window: WindowOption = 1,
    deadline: DeadlineOption = "60s",
    emulate: Annotated[
        bool,
        typer.Option("--emulate/--full-speed", help="Play the tiers' slowdowns, or none; links are always emulated."),
    ] = True,
    out: Annotated[Path | None, typer.Option(help="Write what was predicted and measured to this JSON file.")] = None,
    json: JsonOption = False,
) -> None:
    """Run a bundle on this machine: every tier a process, every link emulated. Shows predicted beside measured.

    With one request in flight latencies are the model's; with more they hold the waiting too, which it leaves out.
    Exit code 1 says that some samples got no answer.

    Example: offramp run bundle --count 100
    """
    require_runtime()
    from offramp.bundle import read_bundle
    from offramp.core.exits import PlanRates
    from offramp.files import read_profile, write_run_result
    from offramp.pipeline.measure_run import run_result
    from offramp.pipeline.reference import estimate_of, plan_rates, rehearse
    from offramp.runtime.local import LocalDeployment
    from offramp.runtime.tier.serve import load_sessions

    deadline_s = deadline_of(deadline)
    check_folder_of(out)
    manifest = read_bundle(bundle)
    images, labels = _samples(manifest, samples, count)
    profile_path = bundle / "profile.json"
    profile = read_profile(profile_path)
    plan, planned = manifest.plans[0], manifest.estimate
    topology = manifest.topology if emulate else as_fast_as_here(manifest.topology)
    expected = PlanRates(planned.exit_rates, planned.stay_rates, planned.accuracy)
    predicted, replayed = estimate_of(plan, expected, profile=profile, topology=topology), None
    if labels is not None and len(labels) > 1:
        found = plan_rates(rehearse(load_sessions(bundle, manifest), plan, images, labels), plan)
        replayed = estimate_of(plan, found, profile=profile, topology=topology)
    local = LocalDeployment(bundle, emulate=profile_path if emulate else None)
    with local as deployment, deployment.client() as client:
        answers = client.ask_all(images, deadline_s=deadline_s, window=window)
        finished = list(with_progress(answers, total=len(images), wanted=not json))
    result = run_result(
        finished,
        labels,
        plan=plan,
        topology=manifest.topology.name,
        predicted=predicted,
        replayed=replayed,
    )
    if json:
        from offramp.cli.output import print_json
        from offramp.files.results import run_document

        print_json(run_document(result))
    else:
        _print_result(result, finished, emulated=emulate)
    if out:
        write_run_result(result, out)
    if result.outcomes.failed:
        raise typer.Exit(1)


def as_fast_as_here(topology: Topology) -> Topology:
    """The same line of tiers, every one of them the machine that the profile was made on."""
    from dataclasses import replace

    return replace(topology, tiers=tuple(replace(tier, slowdown=1.0, device=None) for tier in topology.tiers))


def with_progress(answers: Iterable[Answer], *, total: int | None, wanted: bool) -> Iterator[Answer]:
    """The answers, with a bar on stderr that goes on with them."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("samples"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not wanted) as bar:
        task = bar.add_task("", total=total)
        for answer in answers:
            bar.update(task, advance=1)
            yield answer


def _samples(manifest: Manifest, source: Path | None, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    """[S, C, H, W] samples and [S] labels, if they are known."""
    from offramp.files.samples import read_samples

    if source is not None:
        classes = len(manifest.class_names)
        return read_samples(source, shape=manifest.input_shape, classes=classes, most=count)[1:]
    from offramp.cli.training import require_torch
    from offramp.errors import MissingExtraError

    try:
        require_torch()
    except MissingExtraError as error:
        raise MissingExtraError(f"give --samples; the data set's own are read by what trains: {error}") from error
    from offramp.nn.datasets import read_data

    match manifest.provenance.get("data"):
        case {"source": str(origin), "seed": int(seed), "image_size": int() | None as size}:
            held_out = read_data(origin, seed=seed, size=size).test
            return held_out.images[:count], held_out.labels[:count]
        case _:
            from offramp.errors import fail

            fail("--samples", "the bundle does not say which data set it is for", "give samples")


def _print_result(result: RunResult, answers: list[Answer], *, emulated: bool) -> None:
    """Predicted, replayed and measured side by side."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from offramp.view.text import percent, seconds

    console, measured, outcomes = Console(), result.measured, result.outcomes
    console.print(f"[bold]{result.plan}[/bold]", highlight=False)
    ended = f"{outcomes.answered} answered, {outcomes.degraded} degraded, {outcomes.failed} failed"
    console.print(f"{len(result.requests)} samples: {ended}", highlight=False)
    if measured is None:
        console.print(f"[red]No answer at all. The first error: {escape(answers[0].error)}[/]", highlight=False)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    columns = [("predicted", result.predicted), ("on these samples", result.replayed)]
    shown = [(heading, each) for heading, each in columns if each is not None]
    for heading in (*(heading for heading, _ in shown), "measured", "off by"):
        table.add_column(heading, justify="right")
    nearest = shown[-1][1]
    right = "-" if measured.accuracy is None else percent(measured.accuracy)
    off = "-" if measured.accuracy is None else f"{100 * (measured.accuracy - nearest.accuracy):+.2f} points"
    table.add_row("accuracy", *(percent(each.accuracy) for _, each in shown), right, off)
    for name, predicted_s, measured_s in (
        ("mean latency", [each.latency_s for _, each in shown], measured.latency_s),
        ("p50", [each.percentile_s(50) for _, each in shown], measured.p50_s),
        ("p95", [each.percentile_s(95) for _, each in shown], measured.p95_s),
        ("p99", [each.percentile_s(99) for _, each in shown], measured.p99_s),
    ):
        off = f"{100 * (measured_s - predicted_s[-1]) / predicted_s[-1]:+.2f} %"
        table.add_row(name, *map(seconds, predicted_s), seconds(measured_s), off)
    for k, ((first, last), tier) in enumerate(zip(result.plan.blocks, result.plan.placement, strict=True)):
        off = f"{100 * (measured.exit_rates[k] - nearest.exit_rates[k]):+.2f} points"
        shares = (percent(each.exit_rates[k]) for _, each in shown)
        table.add_row(f"leave {first}-{last}@{tier}", *shares, percent(measured.exit_rates[k]), off)
    console.print(table)
    if emulated:
        real_s = sum((s.computed_ns - s.started_ns) / 1e9 for answer in answers for s in answer.trace)
        console.print(
            f"Stages were stretched to their tiers' predicted speed; the partitions themselves ran for "
            f"{seconds(real_s / len(answers))} a sample here.",
            highlight=False,
            style="dim",
        )
