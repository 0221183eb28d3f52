"""`offramp build`: a plan becomes a bundle that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.options import JsonOption, TopologyOption
from offramp.cli.training import require_torch

if TYPE_CHECKING:
    from offramp.bundle import Manifest
    from offramp.core.estimate import Estimate
    from offramp.core.plan import Plan
    from offramp.core.profile import Profile
    from offramp.nn.network import MultiExitNetwork
    from offramp.nn.training.finetune import Tuned
    from offramp.nn.training.run import Run

EPOCHS = 2


def build(
    run: Annotated[Path, typer.Argument(help="The folder that `offramp train` wrote.")],
    plan: Annotated[
        str, typer.Option(help="The plan in one line, or a file that holds one.", metavar="'1-3@TIER ... T=0.40'")
    ],
    profile: Annotated[str, typer.Option(help="The profile that it was planned with.")],
    topology: TopologyOption = "mobile",
    out: Annotated[Path, typer.Option(help="Folder for the bundle; a bundle that is there is replaced.")] = Path(
        "bundle"
    ),
    alternative: Annotated[
        list[str] | None,
        typer.Option(help="Another plan that can be switched in while the bundle runs. Can be given again."),
    ] = None,
    epochs: Annotated[
        int, typer.Option(min=0, help="To tune the plan's branches for; with alternatives none are.")
    ] = EPOCHS,
    json: JsonOption = False,
) -> None:
    """Turn a plan into a bundle: its branches tuned, its partitions exported and checked, a folder for every tier.

    Example: offramp build runs/digits --plan plan.json --profile profile.json --topology mobile --out bundle
    """
    require_torch()
    from offramp.bundle import check_place, write_bundle
    from offramp.core.planner import Planner
    from offramp.deploy import deployment_files
    from offramp.files import read_plan, read_profile, read_topology
    from offramp.nn.profiling import machine
    from offramp.nn.training.run import read_run
    from offramp.pipeline.build import build as build_bundle

    check_place(out)
    trained, measured, tiers = read_run(run), read_profile(profile), read_topology(topology)
    plans = [read_plan(each) for each in (plan, *(alternative or ()))]
    before = [Planner.of(measured, tiers, codec=each.codec).estimate(each).estimate for each in plans]
    _same_network(trained, measured)
    data = trained.dataset.source
    assert data is not None  # whatever a run was trained on can be read again
    network, tuned = _network(trained, plans, epochs=0 if alternative else epochs, quiet=json)
    built = build_bundle(
        network,
        trained.dataset,
        plans,
        profile=measured,
        topology=tiers,
        estimate_before=before[0],
        provenance={
            "data": {"source": data.name, "seed": data.seed, "image_size": data.size},
            "tuned": None
            if tuned is None
            else {"epochs": epochs, "before": tuned.accuracy_before, "after": tuned.accuracy_after, "kept": tuned.kept},
            "versions": machine.versions(),
        },
    )
    manifest = built.manifest
    extra = {"README.md": _readme(manifest), **deployment_files(manifest)}
    write_bundle(manifest, built.models, measured, out, extra=extra)
    if json:
        from offramp.cli.output import print_json

        print_json(_document(manifest, tuned, out))
    else:
        _print(manifest, tuned, out)


def _same_network(run: Run, profile: Profile) -> None:
    from offramp.cli.training import same_backbone
    from offramp.nn.profiling.profiler import describe

    described = describe(run.network, run.dataset, backbone=run.setup.backbone)
    same_backbone(described, profile.backbone, "--profile")


def _network(run: Run, plans: list[Plan], *, epochs: int, quiet: bool) -> tuple[MultiExitNetwork, Tuned | None]:
    """A network with the branches of all plans, tuned if it is one plan's."""
    from offramp.cli.training import train_with_progress
    from offramp.nn.network import selected
    from offramp.nn.training import finetune

    if epochs == 0:
        return selected(run.network, {end for plan in plans for end in plan.ends}), None
    train_with_progress(finetune.tune(run, plans[0], epochs=epochs), wanted=not quiet)
    found = finetune.tuned(run, plans[0], epochs=epochs)
    return found.network, found


def _document(manifest: Manifest, tuned: Tuned | None, out: Path) -> dict[str, Any]:
    from offramp.files.results import estimate_document

    return {
        "bundle": str(out),
        "deployment": manifest.deployment,
        "plans": [str(plan) for plan in manifest.plans],
        "tuned": manifest.provenance["tuned"],
        "deviation": manifest.deviation,
        "tolerance": manifest.tolerance,
        "estimate_before": estimate_document(manifest.estimate_before),
        "estimate": estimate_document(manifest.estimate),
    }


def _print(manifest: Manifest, tuned: Tuned | None, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from offramp.view.text import percent, seconds

    console = Console()
    console.print(f"[bold]{manifest.plans[0]}[/bold]", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("as planned", justify="right")
    table.add_column("as built", justify="right")
    was, now = manifest.estimate_before, manifest.estimate
    table.add_row("accuracy", percent(was.accuracy), percent(now.accuracy))
    table.add_row("latency", seconds(was.latency_s), seconds(now.latency_s))
    rows: list[tuple[float, float]] = [*zip(was.exit_rates, now.exit_rates, strict=True)]
    for (first, last), (planned, built) in zip(manifest.plans[0].blocks, rows, strict=True):
        table.add_row(f"leave after {first}-{last}", percent(planned), percent(built))
    console.print(table)
    if tuned is not None:
        verdict = "kept" if tuned.kept else "not kept: the old weights are better"
        change = f"{percent(tuned.accuracy_before)} -> {percent(tuned.accuracy_after)}"
        console.print(f"Tuning, on the validation split: {change}, {verdict}.", highlight=False)
    size = sum(each.size_bytes for each in manifest.partitions)
    console.print(
        f"{len(manifest.partitions)} partitions, {size / 1e6:.1f} MB of ONNX, at most {manifest.deviation:.1e} from "
        f"PyTorch on held-out samples (allowed: {manifest.tolerance:g}).",
        highlight=False,
    )
    console.print(f"\n{out}: bundle {manifest.deployment}. Next: offramp run {out}", highlight=False, soft_wrap=True)


def _readme(manifest: Manifest) -> str:
    """What is in the folder, for whom it is handed to."""
    topology = manifest.topology
    names = [tier.name for tier in topology.tiers]
    nexts = [f" --next {name}:7447" for name in names[1:]] + [""]
    destination = "" if topology.destination == topology.source else f" --destination {topology.destination}:7447"
    lines = [
        f"# {manifest.backbone} on {manifest.dataset}, bundle {manifest.deployment}",
        "",
        f"`{manifest.plans[0]}`",
        "",
        _promise(manifest.estimate),
        "",
        "On one machine, every tier a process and every link emulated:",
        "",
        "    offramp run .",
        "",
        "On real hosts, each with its own folder and `pip install 'offramp[run]'`, in any order:",
        "",
        *(f"    offramp worker tiers/{name}{after}" for name, after in zip(names, nexts, strict=True)),
        "",
        "And wherever samples are:",
        "",
        f"    offramp infer . photos/ --source {topology.source}:7447{destination}",
        "",
        "`--next`, `--source` and `--destination` take the names by which those hosts are found.",
        "",
        "`offramp certs . --out ../certs` makes certificates, a folder for each tier and one for clients: with",
        "`--certs ../certs/NAME`, workers talk to their neighbors and to clients, and to nobody else. Keep them out",
        "of this folder, which another build replaces. `deploy/` is the same for Compose and Kubernetes.",
    ]
    return "\n".join(lines) + "\n"


def _promise(estimate: Estimate) -> str:
    from offramp.view.text import percent, seconds

    return (
        f"Accuracy {percent(estimate.accuracy)} on the validation split, mean latency {seconds(estimate.latency_s)} "
        "as the tiers and links were described."
    )
