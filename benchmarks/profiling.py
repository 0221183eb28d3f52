"""What a partition takes: the sum of its parts' times, or fitted to a share of the partitions that were measured.

Every partition of untrained CIFAR ResNets, as ONNX Runtime runs it on one thread (or PyTorch, with --engine torch), one
sample at a time. All are measured twice, two hundred at a time that take turns with each other and with all blocks and
branches alone; the second time is what the first must predict. Medians, not a profile's percentile 99: the question is
what a way of predicting gets wrong, not how restless the machine is. That is what the first row says: the same
partition at two times. A fit can be better only where it evens that out.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from offramp.core.checks import FloatArray
from offramp.nn.catalog import backbone_spec
from offramp.nn.datasets import read_data
from offramp.nn.export import export
from offramp.nn.network import build
from offramp.nn.profiling import machine, partition_fit, timing
from offramp.nn.profiling.partition_fit import Ends

AT_A_TIME = 200
ENGINES = ("onnxruntime", "torch")


def loaded(backbone: str, engine: str) -> timing.Compute:
    """The parts of that network, untrained, for one of the digits; each is made when it is measured."""
    dataset = read_data("digits")
    network = build(backbone_spec(backbone), dataset, seed=0)
    objects = timing.objects_of(network, torch.tensor(dataset.validation.images[:1]))
    if engine == "torch":
        return timing.in_torch(network, objects)
    return timing.in_onnx_runtime(export(network, dataset.image_shape), objects)


def measured(compute: timing.Compute, ends: Sequence[Ends], options: argparse.Namespace) -> tuple[FloatArray, ...]:
    """[N] seconds of the blocks, [N] of the branches alone, [P] of the partitions."""
    parts = [*compute.blocks, *compute.branches]
    alone, wholes = [], []
    with Progress(console=Console(stderr=True), transient=True) as progress, torch.inference_mode():
        task = progress.add_task("partitions", total=len(ends))
        for begin in range(0, len(ends), AT_A_TIME):
            calls = [compute.partition(*each) for each in ends[begin : begin + AT_A_TIME]]
            seconds = timing.timed([*parts, *calls], repeats=options.repeats, report=lambda done: None)
            alone.append(seconds[: len(parts)])
            wholes.append(seconds[len(parts) :])
            progress.advance(task, len(calls))
            del calls  # before the next are loaded
    parts_s, partition_s = (
        np.percentile(seconds, options.percentile, axis=1)
        for seconds in (np.concatenate(alone, axis=1), np.concatenate(wholes))
    )
    return *np.split(parts_s, 2), partition_s


def rows(compute: timing.Compute, options: argparse.Namespace) -> list[dict[str, Any]]:
    """How wrong each way is, beside the sums over the same partitions: those that it didn't measure."""
    blocks = len(compute.blocks)
    # In no order, so that a slow moment of the machine does not fall on neighbors.
    ends = partition_fit.sample(blocks, partition_fit.count(blocks, 1.0), seed=options.seed)
    block_s, branch_s, found_s = measured(compute, ends, options)
    _, _, truth_s = measured(compute, ends, options)
    sums_s = partition_fit.sums(block_s, branch_s, ends)
    found = [row("measured once more", len(ends), found_s, sums_s, truth_s)]
    for share in options.shares:
        taken = {*partition_fit.sample(blocks, partition_fit.count(blocks, share), seed=options.seed)}
        inside = np.array([each in taken for each in ends])
        fitted_s = partition_fit.predicted(
            block_s,
            branch_s,
            [each for each in ends if each in taken],
            found_s[inside],
            [each for each in ends if each not in taken],
        )
        found.append(row(f"fitted to {share:.0%}", len(taken), fitted_s, sums_s[~inside], truth_s[~inside]))
    return found


def row(way: str, measurements: int, found_s: FloatArray, sums_s: FloatArray, truth_s: FloatArray) -> dict[str, Any]:
    wrong, sums = (partition_fit.errors(each - truth_s, truth_s) for each in (found_s, sums_s))
    return {
        "way": way,
        "measured": measurements,
        "judged": len(truth_s),
        "rmse_s": wrong.rmse_s,
        "mean_error": wrong.error,
        "p95_error": float(np.percentile(np.abs(found_s / truth_s - 1), 95)),
        "sums_rmse_s": sums.rmse_s,
        "sums_mean_error": sums.error,
    }


def show(console: Console, title: str, found: list[dict[str, Any]]) -> None:
    """Print a table of rows: errors of the way, and of block-wise sums over the same partitions."""
    table = Table(title=title)
    for column in ("", "timed", "judged", "RMSE ms", "sums ms", "error", "sums"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for each in found:
        table.add_row(
            each["way"],
            f"{each['measured']:,}",
            f"{each['judged']:,}",
            *(f"{each[name] * 1e3:.4f}" for name in ("rmse_s", "sums_rmse_s")),
            *(f"{each[name]:.1%}" for name in ("mean_error", "sums_mean_error")),
        )
    console.print(table)


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbones", nargs="+", default=["resnet20", "resnet110"])
    parser.add_argument("--engine", choices=ENGINES, default="onnxruntime")
    parser.add_argument("--repeats", type=int, default=20, help="of every partition, each time")
    parser.add_argument(
        "--percentile", type=float, default=50, help="of the repeats; less where others use the machine"
    )
    parser.add_argument("--shares", nargs="+", type=float, default=[0.1, 0.2, 0.5])
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--json", type=Path, help="write the rows there as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    console.print(
        f"{machine.cpu_model()}, {os.cpu_count()} processors, {options.engine}, percentile {options.percentile:g}"
    )
    tables = {}
    for backbone in options.backbones:
        began = time.perf_counter()
        tables[backbone] = rows(loaded(backbone, options.engine), options)
        show(console, f"{backbone}, in {time.perf_counter() - began:.0f} s", tables[backbone])
    if options.json:
        options.json.write_text(json.dumps(tables, indent=2))


if __name__ == "__main__":
    main()
