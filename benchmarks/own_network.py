"""What exits for a network that is trained already cost, beside training all of it with its exits.

A residual network is trained without exits, by means of PyTorch alone, and saved as its owner would. Then, in the same
run and with the same number of epochs: exits for it as it is, and all of it with exits from new weights. Each way is
timed from the file to the first plan. The largest difference between the last exit and the owner's network has to be
zero. With `--memory`, instead: what memory it takes on data of twice what is allowed, see `memory.py`.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import memory
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import offramp
from offramp.nn.catalog import backbone_spec
from offramp.nn.data import Augmentation, Dataset, Split, batches
from offramp.nn.datasets import read_data
from offramp.nn.network import as_given

MEAN, DEVIATION = 0.5, 0.25
BATCH = 256  # that `predict` takes at once: other batches are summed in another order


def owned(backbone: str, dataset: Dataset) -> nn.Module:
    """A network of the built-in kinds as someone else would have it: one module, of normalized images."""
    network, _ = as_given(backbone_spec(backbone), dataset, seed=0, normalize=None)
    first = cast("nn.Sequential", network.blocks[0])
    return nn.Sequential(first[1], *network.blocks[1:], network.branches[-1])


def normalized(images: torch.Tensor) -> torch.Tensor:
    """As torchvision does it."""
    return (images.float() / 255 - MEAN) / DEVIATION


def trained_without_exits(module: nn.Module, dataset: Dataset, epochs: int) -> None:
    """Nothing but PyTorch: momentum, one cycle."""
    images, labels = torch.tensor(dataset.train.images), torch.tensor(dataset.train.labels)
    rate, size = 0.1, 64
    optimizer = torch.optim.SGD(module.parameters(), rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = epochs * -(-len(labels) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    module.train()
    for epoch in range(epochs):
        rng = np.random.default_rng([1, epoch])
        shifted = Augmentation(dataset.augmentation.shift, dataset.augmentation.flip)
        for x, y in batches(images, labels, batch_size=size, augmentation=shifted, rng=rng):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(module(normalized(x)), y))
            optimizer.step()
            if schedule.last_epoch < steps:
                schedule.step()
    module.eval()


def said(module: nn.Module, images: np.ndarray[Any, np.dtype[np.uint8]]) -> torch.Tensor:
    """Logits of the owner's network, in the batches that ours are computed in."""
    with torch.inference_mode():
        return torch.cat([module(normalized(few)) for few in torch.tensor(images).split(BATCH)])


def largest_difference(run: Any, module: nn.Module, dataset: Dataset) -> float:
    """Of the last exit from the owner's network, over every sample there is."""
    worst = 0.0
    for split in (dataset.train, dataset.validation, dataset.test):
        with torch.inference_mode():
            ours = torch.cat([run.network(few)[-1] for few in torch.tensor(split.images).split(BATCH)])
        worst = max(worst, float((ours - said(module, split.images)).abs().max()))
    return worst


def to_first_plan(out: Path, repeats: int, *args: Any, **asked: Any) -> tuple[Any, dict[str, float]]:
    """A run, and the seconds that each step took until there was a plan."""
    began = time.perf_counter()
    run = offramp.train(*args, out=out, progress=False, **asked)
    trained = time.perf_counter()
    profile = offramp.profile(run, repeats=repeats, progress=False)
    profiled = time.perf_counter()
    offramp.solve(profile, "mobile", min_accuracy=0.0)
    return run, {
        "train": trained - began,
        "profile": profiled - trained,
        "plan": time.perf_counter() - profiled,
        "all": time.perf_counter() - began,
    }


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Both ways."""
    dataset = read_data(options.data)
    few = np.random.default_rng(0).permutation(len(dataset.train))[: options.train_images]
    dataset = replace(
        dataset,
        train=Split(dataset.train.images[few], dataset.train.labels[few], dataset.train.members[few]),
        source=None,
    )
    module = owned(options.backbone, dataset)
    trained_without_exits(module, dataset, options.epochs)
    normalize = f"{MEAN}/{DEVIATION}"
    with tempfile.TemporaryDirectory() as folder:
        exits, exits_s = to_first_plan(
            Path(folder) / "exits",
            options.repeats,
            module,
            dataset,
            train="exits",
            normalize=normalize,
            epochs=options.epochs,
        )
        untrained = owned(options.backbone, dataset)
        joint, joint_s = to_first_plan(
            Path(folder) / "all",
            options.repeats,
            untrained,
            dataset,
            train="all",
            start_from="new",
            normalize=normalize,
            epochs=options.epochs,
            batch_size=64,
            separate=False,
        )
        difference = largest_difference(exits, module, dataset)
    return {
        "backbone": options.backbone,
        "data": dataset.name,
        "train_images": len(dataset.train),
        "epochs": options.epochs,
        "train_ratio": joint_s["train"] / exits_s["train"],
        "to_first_plan_ratio": joint_s["all"] / exits_s["all"],
        "exits_s": exits_s,
        "all_s": joint_s,
        "largest_difference": difference,
        "accuracy": [
            {"block": name, "exits": frozen, "all": together}
            for name, frozen, together in zip(exits.network.names, exits.accuracy, joint.accuracy, strict=True)
        ],
    }


def main() -> None:
    """Print a table, and JSON where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet20")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--train-images", type=int, help="train on so many at most; by default on all")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory", action="store_true", help="measure memory, and nothing else")
    options = parser.parse_args()
    if options.memory:
        found = memory.measured()
        if options.json:
            print(json.dumps(found, indent=2))
        else:
            memory.show(found)
        return
    result = measured(options)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    table = Table("exit after", "exits alone", "all, with exits", title="Accuracy on the validation split")
    for row in result["accuracy"]:
        table.add_row(row["block"], f"{100 * row['exits']:.2f} %", f"{100 * row['all']:.2f} %")
    Console().print(table)
    exits_s, all_s = result["exits_s"], result["all_s"]
    print(f"{options.backbone} on {result['data']}, {result['train_images']:,} images, {options.epochs} epochs each")
    print(
        f"from the trained file to the first plan: {exits_s['all']:.1f} s by exits alone, {all_s['all']:.1f} s by all"
    )
    print(f"training alone: {exits_s['train']:.1f} s and {all_s['train']:.1f} s, {result['train_ratio']:.1f} times")
    print(f"largest difference of the last exit from the owner's network: {result['largest_difference']:g}")


if __name__ == "__main__":
    main()
