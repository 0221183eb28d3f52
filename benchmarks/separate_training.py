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

from offramp.nn import catalog
from offramp.nn.training import jobs
from offramp.nn.training.fit import Recipe
from offramp.nn.training.run import Setup, begin_run, separate_name
from offramp.nn.training.runner import Runner, in_turn


def seconds(setup: Setup, runner: Runner) -> tuple[float, int]:
    """To train all networks with one branch, processes' starts included, and how many images they are shown."""
    assert setup.separate is not None
    dataset = catalog.dataset(setup.dataset, seed=setup.seed)
    with tempfile.TemporaryDirectory() as folder:
        run = begin_run(Path(folder), setup)
        blocks = len(run.spec.names(run.dataset))
        wanted = [run.wanted(separate_name(end), setup.separate, ends=(end,)) for end in range(1, blocks + 1)]
        began = time.perf_counter()
        events = [*jobs.train(wanted, dataset, runner)]
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
    setup = Setup(backbone=options.backbone, dataset=options.data, seed=0, bf16=False, joint=recipe, separate=recipe)
    ways: dict[str, Callable[[], Runner]] = {
        f"in turn, {torch.get_num_threads()} threads": lambda: in_turn,
        f"side by side, {torch.get_num_threads()} processes": jobs.here,
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.repeats):
        for way, runner in ways.items():
            took, images = seconds(setup, runner())
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
