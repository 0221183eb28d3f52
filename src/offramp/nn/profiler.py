"""A trained run and the machine at hand, measured: from a run to the core's `Profile`."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import torch
from torch import Tensor

from offramp.core.backbone import Backbone, Block
from offramp.core.checks import FloatArray
from offramp.core.exits import DEFAULT_THRESHOLDS, at_or_below
from offramp.core.profile import ExitRates, ExitTable, Meaning, Profile, Timing, normalized_entropy
from offramp.nn import machine
from offramp.nn.data import Dataset, Split
from offramp.nn.network import MultiExitNetwork
from offramp.nn.runs import Run
from offramp.nn.timing import PERCENTILE, Report, measure
from offramp.nn.train import predict

REPEATS = 200
PARTITION_REPEATS = 50


def silent(stage: str, done: float) -> None:
    """A `Report` for nobody."""


def profile_run(
    run: Run,
    *,
    device: str,
    repeats: int = REPEATS,
    partition_repeats: int = PARTITION_REPEATS,
    report: Report = silent,
) -> Profile:
    """Everything measured of a trained run: times here, sizes, and the exits of its validation split.

    device: what to call this machine; it comes with all its threads as `device` and with one as `device-1thread`.
    repeats, partition_repeats: how often to time each block and each partition.
    Raises `InputError` while the full configuration isn't trained to the end.
    """
    network, dataset = run.network(), run.dataset
    table = exit_table(network, dataset.validation)
    joint = table.correct.mean(axis=1)
    separate = run.separate_accuracy()
    return Profile(
        backbone=describe(run),
        timings=measure_here(
            network, dataset, device=device, repeats=repeats, partition_repeats=partition_repeats, report=report
        ),
        reference_device=device,
        exits=ExitRates(
            thresholds=np.array(DEFAULT_THRESHOLDS),
            meaning=Meaning.FIRST_EXIT,
            exit_rate=first_exit_rates(table.entropy, DEFAULT_THRESHOLDS),
            accuracy=joint if separate is None else np.array(separate),
            samples=table.samples,
            joint_accuracy=joint,
        ),
        exit_table=table,
        provenance={
            **_origin(repeats, partition_repeats),
            "accuracy": "of the joint network" if separate is None else "of networks trained for each branch alone",
            "training": {"seed": run.setup.seed, "joint": asdict(run.setup.joint), "bf16": run.setup.bf16}
            | ({} if separate is None or run.setup.separate is None else {"separate": asdict(run.setup.separate)}),
            "samples": {
                "train": len(dataset.train),
                "validation": len(dataset.validation),
                "test": len(dataset.test),
            },
        },
    )


def times_only(
    run: Run,
    *,
    device: str,
    repeats: int = REPEATS,
    partition_repeats: int = PARTITION_REPEATS,
    report: Report = silent,
) -> dict[str, Timing]:
    """The times alone, by device name as in `profile_run`, to go into a profile that was made elsewhere."""
    return measure_here(
        run.network(),
        run.dataset,
        device=device,
        repeats=repeats,
        partition_repeats=partition_repeats,
        report=report,
    )


def measure_here(
    network: MultiExitNetwork, dataset: Dataset, *, device: str, repeats: int, partition_repeats: int, report: Report
) -> dict[str, Timing]:
    """Times on this machine by device name: with all its threads, and with one."""
    image = _first_image(dataset)
    return {
        name: measure(
            network,
            image,
            threads=threads,
            repeats=repeats,
            partition_repeats=partition_repeats,
            report=lambda stage, done, name=name: report(f"{name}: {stage}", done),  # type: ignore[misc]
        )
        for name, threads in ((device, torch.get_num_threads()), (f"{device}-1thread", 1))
    }


def describe(run: Run) -> Backbone:
    """The core's view of a run's network: names of the blocks, and sizes taken from the tensors of a real sample."""
    network = run.network()
    x = _first_image(run.dataset)
    input_bits = _bits(x)
    blocks = []
    with torch.inference_mode():
        for name, block, branch in zip(run.spec.make_blocks(), network.blocks, network.branches, strict=True):
            x = block(x)
            weights = [*block.state_dict().values(), *branch.state_dict().values()]
            blocks.append(Block(name, _bits(x), sum(map(_bits, weights))))
        result_bits = _bits(network.branches[-1](x))
    return Backbone(run.setup.backbone, run.setup.dataset, input_bits, result_bits, tuple(blocks))


def exit_table(network: MultiExitNetwork, split: Split) -> ExitTable:
    """What every branch of the full configuration says of every sample of `split`."""
    logits = predict(network, split)
    return ExitTable(
        entropy=normalized_entropy(torch.softmax(logits.double(), dim=2).numpy()),
        correct=logits.argmax(dim=2).numpy() == split.labels,
        label=split.labels,
    )


def first_exit_rates(entropy: FloatArray, thresholds: tuple[float, ...]) -> FloatArray:
    """[K, N] alpha_i(T): the share of samples whose first branch at or below T is i (EdgeSys'22, section 2.3).

    entropy: [N, S] of every branch. The last branch takes all who are left.
    """
    leaves = np.stack([at_or_below(entropy, threshold) for threshold in thresholds])  # [K, N, S]
    leaves[:, -1] = True
    first = leaves.argmax(axis=1)[:, None, :] == np.arange(len(entropy))[:, None]  # [K, N, S]
    rates: FloatArray = first.mean(axis=2)
    return rates


def _first_image(dataset: Dataset) -> Tensor:
    return torch.tensor(dataset.validation.images[:1])


def _bits(tensor: Tensor) -> int:
    """Size of the one sample in `tensor` [1, ...]."""
    return tensor.numel() * tensor.element_size() * 8


def _origin(repeats: int, partition_repeats: int) -> Mapping[str, object]:
    """Where and how the times were measured."""
    return {
        "machine": machine.cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": machine.versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "statistic": f"p{PERCENTILE}",
        "repeats": repeats,
        "partition_repeats": partition_repeats,
    }
