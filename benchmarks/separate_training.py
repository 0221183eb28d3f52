"""How long the networks with one branch take to train: one after the other with every core, or side by side.

ResNet-20 on the digits, one epoch of each of its ten networks by default; both ways in the same run, in turns, as other
work on the machine comes and goes. The times are the smallest of several.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from offramp.nn.catalog import backbone_spec
from offramp.nn.data import Dataset
from offramp.nn.datasets import read_data
from offramp.nn.network import Spec
from offramp.nn.training import jobs
from offramp.nn.training.fit import Recipe
from offramp.nn.training.run import begin_run
from offramp.nn.training.runner import Runner, in_turn
from offramp.nn.training.setup import Setup


def seconds(setup: Setup, dataset: Dataset, spec: Spec, runner: Runner) -> tuple[float, int]:
    """To train all networks with one branch, processes' starts included, and how many images they are shown."""
    with tempfile.TemporaryDirectory() as folder:
        _, *separate = begin_run(Path(folder), setup, dataset, spec).networks()
        began = time.perf_counter()
        events = [*jobs.train(separate, dataset, runner)]
        took = time.perf_counter() - began
    return took, sum(event.images for event in events if isinstance(event, jobs.Learned))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnet20")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    recipe = Recipe(epochs=options.epochs, batch_size=options.batch_size)
    spec, dataset = backbone_spec(options.backbone), read_data(options.data)
    setup = Setup.of(spec, dataset, seed=0, bf16=False, joint=recipe, separate=recipe)
    ways: dict[str, Callable[[], Runner]] = {
        f"in turn, {torch.get_num_threads()} threads": lambda: in_turn,
        f"side by side, {torch.get_num_threads()} processes": jobs.local_runner,
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.repeats):
        for way, runner in ways.items():
            took, images = seconds(setup, dataset, spec, runner())
            times[way].append(took)
    if options.json:
        print(json.dumps({"images": images, "seconds": times, "load": os.getloadavg()}, indent=1))
        return
    table = Table("networks trained", "seconds", "images/s", "all runs")
    for way, found in times.items():
        runs_text = " ".join(f"{each:.1f}" for each in found)
        table.add_row(way, f"{min(found):.1f}", f"{images / min(found):,.0f}", runs_text)
    Console().print(table)
    print(f"Load of the machine over the last 15 minutes: {os.getloadavg()[2]:.1f}")


if __name__ == "__main__":
    main()
