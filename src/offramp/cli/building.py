"""`offramp build`: a plan becomes a bundle that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offramp.cli.options import JsonOption, TopologyOption
from offramp.cli.planning import PlanOption
from offramp.view.text import percent

if TYPE_CHECKING:
    from offramp.pipeline.build import Bundle


def build(
    run: Annotated[Path, typer.Argument(help="The folder that `offramp train` wrote.")],
    plan: PlanOption,
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
    ] = 2,
    json: JsonOption = False,
) -> None:
    """Turn a plan into a bundle: its branches tuned, its partitions exported and checked, a folder for every tier.

    Example: offramp build runs/digits --plan plan.json --profile profile.json --topology mobile --out bundle
    """
    from offramp.pipeline.build import build as build_bundle

    bundle = build_bundle(
        run, plan, out=out, profile=profile, topology=topology, alternatives=alternative or (), epochs=epochs
    )
    if json:
        from offramp.cli.output import print_json

        print_json(bundle.document())
    else:
        print_bundle(bundle)


def print_bundle(bundle: Bundle) -> None:
    """Show what was planned beside what was built, and how near it is to PyTorch."""
    from rich.console import Console
    from rich.table import Table

    console, manifest = Console(), bundle.manifest
    console.print(f"[bold]{bundle.plan}[/bold]", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("as planned", justify="right")
    table.add_column("as built", justify="right")
    for row in bundle.comparison_rows():
        table.add_row(*row)
    console.print(table)
    match manifest.provenance.get("tuned"):
        case {"before": float(before), "after": float(after), "kept": bool(kept)}:
            verdict = "kept" if kept else "not kept: the old weights are better"
            change = f"{percent(before)} -> {percent(after)}"
            console.print(f"Tuning, on the validation split: {change}, {verdict}.", highlight=False)
    size = sum(partition.size_bytes for partition in manifest.partitions)
    console.print(
        f"{len(manifest.partitions)} partitions, {size / 1e6:.1f} MB of ONNX, at most {manifest.deviation:.1e} from "
        f"PyTorch on held-out samples (allowed: {manifest.tolerance:.2g}).",
        highlight=False,
    )
    folder = bundle.folder
    console.print(
        f"\n{folder}: bundle {manifest.deployment}. Next: offramp run {folder}", highlight=False, soft_wrap=True
    )
