"""A trained run and the machine at hand, measured: from a run to the core's `Profile`."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, replace
from datetime import UTC, datetime

import numpy as np
import torch
from torch import Tensor

from offramp.bundle.codecs import decode, encode
from offramp.core.backbone import Backbone, Block
from offramp.core.checks import FloatArray
from offramp.core.codec import Codec
from offramp.core.exits import DEFAULT_THRESHOLDS, at_or_below, normalized_entropy
from offramp.core.profile import Encoded, ExitRates, ExitTable, Meaning, Profile
from offramp.core.timing import Timing
from offramp.nn.data import Dataset, Split
from offramp.nn.export import export
from offramp.nn.network import MultiExitNetwork
from offramp.nn.profiling import machine
from offramp.nn.profiling.partition_fit import count, sample
from offramp.nn.profiling.timing import (
    PERCENTILE,
    ComputeTimes,
    EncodingTimes,
    Report,
    compute_times,
    encoding_times,
    in_onnx_runtime,
    in_torch,
    objects_of,
    torch_threads,
)
from offramp.nn.training.fit import predict
from offramp.nn.training.run import Run

REPEATS = 200
PARTITION_REPEATS = 50


def silent(stage: str, done: float) -> None:
    """A `Report` for nobody."""


@dataclass(frozen=True, slots=True, eq=False)
class MachineTimes:
    """What was measured on one machine.

    compute: by device name, how the same machine does with different sessions.
    encoding: by codec, the same for all of them.
    """

    compute: Mapping[str, ComputeTimes]
    encoding: Mapping[Codec, EncodingTimes]

    def into(self, profile: Profile) -> Profile:
        """The profile with these times added, or in place of what it had for the same device names."""
        for device, compute in self.compute.items():
            profile = profile.with_timing(
                device, self._timing(compute), {codec: astuple(self.encoding[codec]) for codec in profile.codecs}
            )
        before = profile.provenance.get("partitions")
        partitions = {**(before if isinstance(before, Mapping) else {}), **self.partitions()}
        return replace(profile, provenance={**profile.provenance, "partitions": partitions})

    def timings(self) -> dict[str, Timing]:
        """By device, with activations as they are."""
        return {device: self._timing(compute) for device, compute in self.compute.items()}

    def partitions(self) -> dict[str, Mapping[str, object]]:
        """For the provenance: by device, how many partitions were measured, and how wrong the others may be."""
        return {
            device: {
                "measured": compute.measured,
                "of": int(np.isfinite(compute.partition_s).sum()),
                "held_out": None if compute.held_out is None else asdict(compute.held_out),
            }
            for device, compute in self.compute.items()
        }

    def encoded(self, codec: Codec, table: ExitTable) -> Encoded:
        """What is different in that codec, with which the samples leave as `table` says."""
        found = self.encoding[codec]
        return Encoded(
            exit_table=table,
            serialize_s=dict.fromkeys(self.compute, found.serialize_s),
            deserialize_s=dict.fromkeys(self.compute, found.deserialize_s),
        )

    def _timing(self, compute: ComputeTimes) -> Timing:
        found = self.encoding[Codec.FP32]
        return Timing(
            block_s=compute.block_s,
            branch_s=compute.branch_s,
            partition_s=compute.partition_s,
            serialize_s=found.serialize_s,
            deserialize_s=found.deserialize_s,
            block_spread_s=compute.block_spread_s,
            branch_spread_s=compute.branch_spread_s,
        )


def profile_run(
    run: Run,
    *,
    device: str,
    repeats: int = REPEATS,
    partition_repeats: int = PARTITION_REPEATS,
    partitions: float | None = None,
    overhead_bits: int = 0,
    report: Report = silent,
) -> Profile:
    """Everything measured of a trained run: times here, sizes, and the exits of its validation split.

    device: what to call this machine, as in `measure`.
    repeats, partition_repeats: how often to time each block and each partition.
    partitions: the share of them to measure, in (0, 1]; the others are fitted. None for the usual,
        `partition_times.count`.
    overhead_bits: what travels with every object beside its own bits.
    Raises `InputError` while the full configuration isn't trained to the end.
    """
    network, dataset = run.network(), run.dataset
    table = exit_table(network, dataset.validation)
    joint = table.correct.mean(axis=1)
    separate = run.separate_accuracy()
    encoded = _encoded_exit_tables(network, dataset.validation)
    times = measure(
        run,
        device=device,
        repeats=repeats,
        partition_repeats=partition_repeats,
        partitions=partitions,
        codecs=encoded,
        report=report,
    )
    return Profile(
        backbone=describe(run),
        timings=times.timings(),
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
        codecs={codec: times.encoded(codec, found) for codec, found in encoded.items()},
        overhead_bits=overhead_bits,
        provenance={
            **_origin(repeats, partition_repeats),
            "partitions": times.partitions(),
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


def measure(
    run: Run,
    *,
    device: str,
    repeats: int = REPEATS,
    partition_repeats: int = PARTITION_REPEATS,
    partitions: float | None = None,
    codecs: Iterable[Codec] = (),
    report: Report = silent,
) -> MachineTimes:
    """Times on this machine: as `device` in ONNX Runtime on one thread, which is what gets deployed.

    Beside it, for comparison: as `device-torch` in PyTorch with all its threads, as `device-torch-1thread` with one.

    partitions: as in `profile_run`.
    codecs: those to time beside fp32.
    """
    network, dataset = run.network(), run.dataset
    objects = objects_of(network, _first_image(dataset))
    n = len(network.blocks)
    wanted = sample(n, count(n, partitions), seed=run.setup.seed)
    in_torch_ = in_torch(network, objects)
    ways = (
        (device, in_onnx_runtime(export(network, dataset.image_shape), objects), 1),
        (f"{device}-torch", in_torch_, torch.get_num_threads()),
        (f"{device}-torch-1thread", in_torch_, 1),
    )
    compute = {}
    for name, way, threads in ways:
        with torch_threads(threads):
            compute[name] = compute_times(
                way,
                wanted,
                repeats=repeats,
                partition_repeats=partition_repeats,
                report=lambda stage, done, name=name: report(f"{name}: {stage}", done),  # type: ignore[misc]
            )
    return MachineTimes(compute, encoding_times(objects, [Codec.FP32, *codecs], repeats=repeats, report=report))


def describe(run: Run) -> Backbone:
    """The core's view of a run's network: names of the blocks, and sizes taken from the tensors of a real sample."""
    network, dataset = run.network(), run.dataset
    x = _first_image(dataset)
    input_bits = _bits(x)
    blocks = []
    with torch.inference_mode():
        for name, block, branch in zip(run.spec.names(dataset), network.blocks, network.branches, strict=True):
            x = block(x)
            weights = [*block.state_dict().values(), *branch.state_dict().values()]
            blocks.append(Block(name, _bits(x), sum(map(_bits, weights))))
        result_bits = _bits(network.branches[-1](x))
    return Backbone(run.setup.backbone, dataset.name, input_bits, result_bits, tuple(blocks))


def exit_table(network: MultiExitNetwork, split: Split) -> ExitTable:
    """What every branch of the full configuration says of every sample of `split`."""
    return _table(predict(network, split), split)


def _encoded_exit_tables(network: MultiExitNetwork, split: Split) -> dict[Codec, ExitTable]:
    """By codec, except those that can't hold what the network puts out."""
    found = {}
    for codec in Codec:
        if codec is not Codec.FP32:
            with contextlib.suppress(ValueError):
                found[codec] = encoded_exit_table(network, split, codec)
    return found


def encoded_exit_table(network: MultiExitNetwork, split: Split, codec: Codec) -> ExitTable:
    """The exit table with every activation between blocks as it is after traveling in `codec`.

    Raises `ValueError` for an activation that the codec can't hold.
    """
    logits = []
    with torch.inference_mode():
        for image in torch.tensor(split.images).split(1):
            x, said = image, []
            for block, branch in zip(network.blocks, network.branches, strict=True):
                output = block(x)
                said.append(branch(output))
                x = torch.from_numpy(decode(encode(output.numpy(), codec), output.shape, codec))
            logits.append(torch.stack(said))
    return _table(torch.cat(logits, dim=1), split)


def _table(logits: Tensor, split: Split) -> ExitTable:
    """Of logits [branches, S, C]."""
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
